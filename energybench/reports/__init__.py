"""Runs and comparisons as text and as JSON."""
