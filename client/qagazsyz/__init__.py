"""Qagazsyz for other services: stubs, sign-in, and receipts verified offline."""
