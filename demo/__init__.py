"""`qagazsyz demo`: do the suite's main job, from an empty folder to a revoked certificate."""
