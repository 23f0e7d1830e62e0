"""Parse the requests of KeyService."""

from __future__ import annotations

from dataclasses import dataclass

from qagazsyz.signing.v1 import keys_pb2
from services.runtime.errors import InvalidArgument
from services.signing.keys.rules import check_algorithm, check_key_id
from signatures.algorithms import Algorithm

# The contract's limit.
BATCH_SIGN_LIMIT = 1_000


@dataclass(frozen=True, slots=True)
class ParsedKey:
    """The key that CreateKey asks for."""

    organization: str
    algorithm: Algorithm
    # Empty if the service chooses the id.
    key_id: str


def parse_create_key(request: keys_pb2.CreateKeyRequest) -> ParsedKey:
    """Parse a CreateKeyRequest; output fields of its key are ignored. Raises InvalidArgument."""
    algorithm = check_algorithm(request.key.algorithm, "key.algorithm")
    key_id = check_key_id(request.key_id, "key_id") if request.key_id else ""
    return ParsedKey(request.key.organization, algorithm, key_id)


def check_batch_sign(request: keys_pb2.BatchSignRequest) -> None:
    """Raise InvalidArgument for more items than the contract allows."""
    if len(request.items) > BATCH_SIGN_LIMIT:
        raise InvalidArgument("items", f"more than {BATCH_SIGN_LIMIT:,}")


def parse_payload(
    item: keys_pb2.SignRequest | keys_pb2.SignItem,
) -> tuple[bytes | None, bytes | None]:
    """Return message and digest, of which at most one is set; an empty message is set."""
    which = item.WhichOneof("payload")
    return (
        item.message if which == "message" else None,
        item.digest if which == "digest" else None,
    )
