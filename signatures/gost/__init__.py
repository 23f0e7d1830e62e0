"""Verify GOST R 34.10-2012 (GOST 34.10-2015 in Kazakhstan) and hash with Streebog, in pure Python.

Not constant-time: verification has no secrets.
"""
