"""Benchmarks, printed as ratios measured side by side in one run: `make bench`, or `python -m bench P6 P10`."""
