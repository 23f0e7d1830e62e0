"""Public services, asked for, decided and answered without paper, and counted."""
