"""The connection to the mobile network: a small protocol of our own, and SMPP 3.4 behind it."""
