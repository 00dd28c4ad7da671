"""Attack and bad-input cases against the real service: see README.md."""
