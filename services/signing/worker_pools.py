"""The thread pools of signing, beside those of the verification scheduler.

Parsing and hashing of Verify run in the loop's default pool, which nothing else uses.
"""

from __future__ import annotations

from services.runtime.concurrency.worker_pool import WorkerPool

# Signing with managed keys, and generating keys of elliptic curves.
SIGNING = WorkerPool("signing", 4)
# Generating RSA keys, one at a time: up to a second of a core each.
RSA_KEYS = WorkerPool("rsa-keys", 1, in_background=True)
