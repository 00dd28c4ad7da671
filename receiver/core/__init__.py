"""The pure heart: values in, values out. No clock, no environment, no client, no logging."""
