"""Shared by the demo, the benchmarks and the tests: a suite of their own, people, an outside CA."""
