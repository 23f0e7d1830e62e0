"""`qagazsyz demo`: the suite's main job on real input, from an empty folder to a revoked key."""
