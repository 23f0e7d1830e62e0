"""Rules over frozen dataclasses and a clock: what a request may become, and when."""
