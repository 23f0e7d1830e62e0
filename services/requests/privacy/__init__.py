"""What only the sealed columns hold."""
