"""Public services, their versions, and their providers' mandates."""
