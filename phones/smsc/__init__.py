"""The SMSC: SMPP 3.4 on the platform's side, and what it does wrong on demand."""
