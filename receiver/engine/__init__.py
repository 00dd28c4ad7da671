"""The workers: accept and fold deliveries, carry out decisions, deliver pages, and watch that somebody is always coming."""
