"""GOST R 34.10-2012 (GOST 34.10-2015 in Kazakhstan) and Streebog, in pure Python.

Verification only: nothing here is constant-time, and nothing here needs to be.
"""
