"""Monitor transparency logs from outside: rules, rounds, metrics."""
