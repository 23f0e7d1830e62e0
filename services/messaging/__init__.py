"""Short messages in and out, durable on both sides; the only place that speaks SMPP."""
