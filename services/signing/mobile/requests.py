"""Parse the requests of MobileSignatureService."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from qagazsyz.signing.v1 import mobile_signatures_pb2 as pb
from services.runtime.errors import InvalidArgument
from services.runtime.storage.idempotency import check_request_id
from services.signing.mobile.rules import WAIT_LIMIT_SECONDS, MobileSignaturePurpose
from services.signing.sims.keys import SimKeys

# The contract's limit of ImportSimKeysRequest.keys.
KEYS_LIMIT = 1_000
_UUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
_SUBJECT_NAME = re.compile(rf"subjects/{_UUID}")
_PHONE_NAME = re.compile(rf"(subjects/{_UUID})/phones/{_UUID}")
# ITU-T E.118, with and without its check digit.
_ICCID = re.compile(r"[0-9]{18,20}")


@dataclass(frozen=True, slots=True, repr=False)
class ParsedSignature:
    """A CreateMobileSignatureRequest, checked for its form."""

    subject: str
    message: bytes
    display_text: str
    purpose: MobileSignaturePurpose
    # "" for the newest one.
    phone: str
    request_id: str


def parse_create(request: pb.CreateMobileSignatureRequest) -> ParsedSignature:
    """Return the session that is asked for. Raises InvalidArgument."""
    subject = check_subject(request.subject)
    if request.phone and parse_phone(request.phone) != subject:
        raise InvalidArgument("phone", "not a phone of the subject's")
    sign = MobileSignaturePurpose.SIGN
    try:
        purpose = MobileSignaturePurpose(request.purpose or sign)
    except ValueError:
        raise InvalidArgument("purpose", "unknown") from None
    return ParsedSignature(
        subject=subject,
        message=request.message,
        display_text=request.display_text,
        purpose=purpose,
        phone=request.phone,
        request_id=check_request_id(request.request_id),
    )


def check_subject(name: str) -> str:
    """Return the name unchanged. Raises InvalidArgument."""
    if not _SUBJECT_NAME.fullmatch(name):
        raise InvalidArgument("subject", 'not of the form "subjects/{subject}"')
    return name


def parse_phone(name: str) -> str:
    """Return the subject of a phone's name. Raises InvalidArgument."""
    match = _PHONE_NAME.fullmatch(name)
    if match is None:
        raise InvalidArgument("phone", 'not of the form "subjects/{subject}/phones/{phone}"')
    return match[1]


def parse_wait(request: pb.GetMobileSignatureRequest) -> float:
    """Return for how many seconds to wait. Raises InvalidArgument."""
    seconds = request.wait.seconds + request.wait.nanos / 1e9
    if not 0 <= seconds <= WAIT_LIMIT_SECONDS:
        raise InvalidArgument("wait", f"not 0 to {WAIT_LIMIT_SECONDS:.0f} s")
    return seconds


def parse_keys(request: pb.ImportSimKeysRequest, keys: SimKeys) -> Mapping[str, bytes]:
    """Return cards' keys, unwrapped, by the cards' own numbers. Raises InvalidArgument and
    FailedPrecondition."""
    if len(request.keys) > KEYS_LIMIT:
        raise InvalidArgument("keys", f"more than {KEYS_LIMIT:,}")
    parsed: dict[str, bytes] = {}
    for index, each in enumerate(request.keys):
        if not _ICCID.fullmatch(each.iccid):
            raise InvalidArgument(f"keys[{index}].iccid", "not 18 to 20 digits")
        if each.iccid in parsed:
            raise InvalidArgument(f"keys[{index}].iccid", "is in the list twice")
        parsed[each.iccid] = keys.unwrap(each.wrapped_key, f"keys[{index}].wrapped_key")
    return parsed
