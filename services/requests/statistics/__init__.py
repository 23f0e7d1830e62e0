"""Counts of what ended."""
