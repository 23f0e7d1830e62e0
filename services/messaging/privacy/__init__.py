"""What is encrypted at rest: texts and numbers, and the keyed hashes that find numbers."""
