"""The schema's history, forward only. A new revision is a file in `versions/` and its name here (a test compares the two)."""

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006")
"""Oldest first."""
