"""The thread pools of identity, one for each kind of work, so that no kind delays another.

Sign-ins and confirmed acts have services/runtime/concurrency/worker_pool.py's SIGNATURES, and the
search for paths has the validator's own thread.
"""

from __future__ import annotations

from services.runtime.concurrency.worker_pool import WorkerPool

# Inspecting what callers send: certificates and time-stamps. It is mostly Python, which more
# threads would not make faster, but the event loop slower.
INSPECTION = WorkerPool("inspection", 1)
# The same for the platform's services, whose calls stand apart: signing verifies by it.
INSPECTION_FOR_SERVICES = WorkerPool("inspection-for-services", 1)
# Judging certificates: answers about many, and OCSP responses of other authorities.
JUDGING = WorkerPool("judging", 2)
# Reading other authorities' CRLs, of which the largest take a second.
LISTS = WorkerPool("lists", 1)
# What the own authority signs: certificates, CRLs, OCSP responses, time-stamps.
AUTHORITY = WorkerPool("authority", 2)


def inspection_pool(*, is_service: bool) -> WorkerPool:
    """Return the pool for a caller's inspections."""
    return INSPECTION_FOR_SERVICES if is_service else INSPECTION
