"""Requests, from the draft to the end."""
