"""Limits on certificates that several rooms of identity apply."""

from __future__ import annotations

from datetime import timedelta

# Larger than any certificate met; parsing costs CPU.
CERTIFICATE_LIMIT_BYTES = 64 * 1024
# Longer than any authority's name: preparing names for comparison takes four microseconds a byte.
NAME_LIMIT_BYTES = 4 * 1024
# How long an answer about a certificate may be reused, so that five seconds after a revocation its
# signatures are refused everywhere.
FRESH_FOR = timedelta(seconds=5)
# By how much the clocks of other authorities may differ from ours.
CLOCK_SKEW = timedelta(minutes=5)
