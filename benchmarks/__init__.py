"""Benchmarks of the suite on this machine: `qagazsyz bench` and `python -m benchmarks`.

Inputs are made beforehand. What counts is the servers' CPU time per item, because on a small
machine the client competes with them for the cores. Figures that are compared are measured side by
side.
"""
