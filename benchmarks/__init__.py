"""`make bench`: what the suite does on this machine, measured in one run.

Inputs are made beforehand, and what counts is the CPU that the servers spent
for an item: on a small machine the client competes with them for the cores.
Every figure that is compared with another was measured beside it.
"""
