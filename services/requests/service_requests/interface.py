"""What the registry does for a request on behalf of its applicant, as a protocol.

Every call carries the applicant's signed statement and the provider's mandate, and the registry
verifies both itself: this service is not believed (registry/v1/delegated.proto).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from services.requests.model.public_services import PublicService
from services.requests.model.service_requests import ServiceRequest
from services.requests.service_requests.store import Event
from services.runtime.server import Call


@dataclass(frozen=True, slots=True)
class FoundEvidence:
    """What a look-up of one piece of evidence left."""

    # Its record, even if it found nothing.
    access: str
    # The document that it found; "" for none.
    document: str = ""


class Delegate(Protocol):
    """The registry, acting for an applicant and a provider.

    Raises Unavailable and DeadlineExceeded, and FailedPrecondition where it refuses.
    """

    async def look_up(
        self, service: PublicService, request: ServiceRequest, index: int, during: Call | None
    ) -> FoundEvidence:
        """Look up one piece of the service's evidence; the same again is recorded once."""
        ...

    async def register(
        self, service: PublicService, request: ServiceRequest, during: Call | None
    ) -> str:
        """Have the output filled in, sealed with the provider's key and registered; return the
        document's name, the same for the same request."""
        ...

    async def is_output(
        self, service: PublicService, request: ServiceRequest, document: str, during: Call | None
    ) -> bool:
        """Return whether a document is of the service's output type, about the applicant, issued by
        the provider, and in force."""
        ...

    async def append(
        self, service: PublicService | None, request: ServiceRequest, event: Event
    ) -> int:
        """Append a change to the transparency log; return its index, the same for the same change.

        service: with its mandate, for the change that submits the request; else None.
        """
        ...
