"""Our parts against programs of others: `python -m tests.judges` installs and runs them."""
