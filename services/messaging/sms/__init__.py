"""Short messages as the network carries them: alphabets, parts, receipts. No SQL, no network."""
