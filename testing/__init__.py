"""What the demo, the benchmarks and the tests share: a suite, people, PostgreSQL, an external CA.

It is no part of the wheel.
"""
