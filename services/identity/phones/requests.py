"""Requests about phones, parsed and checked for their form."""

from __future__ import annotations

import re
from collections.abc import Callable

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from qagazsyz.identity.v1 import phones_pb2 as pb
from services.identity.phones.binding import WantedPhone
from services.identity.phones.numbers import NumberVault, check_iccid, check_number
from services.identity.phones.rules import ListedSim, check_language
from services.identity.subjects.requests import check_batch
from services.identity.subjects.rules import check_subject_name
from services.runtime.errors import InvalidArgument
from signatures.algorithms import KeyKind
from signatures.keys import EllipticKey, MalformedKey, UnsupportedKey, load_public_key

_IIN = re.compile(r"[0-9]{12}")
_UUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
_PHONE_NAME = re.compile(rf"(subjects/{_UUID})/phones/({_UUID})")


def phone_key(name: str, field: str = "name") -> tuple[str, str]:
    """Return (subject, id) of a phone's name. Raises InvalidArgument."""
    match = _PHONE_NAME.fullmatch(name)
    if match is None:
        raise InvalidArgument(field, 'not of the form "subjects/{subject}/phones/{phone}"')
    return match[1], match[2]


def check_iin(iin: str, field: str) -> str:
    """Return a person's number. Raises InvalidArgument for one that is not twelve digits; whether
    anybody has it is not said."""
    if not _IIN.fullmatch(iin):
        raise InvalidArgument(field, "not twelve digits")
    return iin


def to_wanted_phone(request: pb.BindPhoneRequest, numbers: NumberVault) -> WantedPhone:
    """Return the binding that is asked for. Raises InvalidArgument."""
    number = check_number(request.number, "number")
    return WantedPhone(
        subject=check_subject_name(request.subject, "subject"),
        number_hash=numbers.hash_number(number),
        number=numbers.seal(number),
        language=check_language(request.language),
    )


def without_number(request: pb.BindPhoneRequest, number_hash: str) -> pb.BindPhoneRequest:
    """Return the request as it may be kept: a hash of a number without a key tells the number."""
    return pb.BindPhoneRequest(
        subject=request.subject,
        number=number_hash,
        language=request.language,
        request_id=request.request_id,
    )


def to_listed_sims(request: pb.ImportSimsRequest, numbers: NumberVault) -> list[ListedSim]:
    """Return the cards of a list. Raises InvalidArgument naming the first that is malformed, or has
    the number or the card of one before it. Takes up to a tenth of a second; call it in a
    thread."""
    check_batch(request.sims, "sims")
    listed = []
    seen: dict[str, set[str]] = {"number": set(), "iccid": set()}
    for index, sim in enumerate(request.sims):
        number = check_number(sim.number, f"sims[{index}].number")
        iccid = check_iccid(sim.iccid, f"sims[{index}].iccid")
        for field, value in (("number", number), ("iccid", iccid)):
            if value in seen[field]:
                raise InvalidArgument(f"sims[{index}].{field}", "is in the list twice")
            seen[field].add(value)
        listed.append(
            ListedSim(
                number_hash=numbers.hash_number(number),
                card_hash=numbers.hash_card(iccid),
                public_key=_to_spki(sim.public_key, f"sims[{index}].public_key"),
            )
        )
    return listed


def to_number_hashes(
    request: pb.ReportSimSwapRequest, hash_number: Callable[[str], str]
) -> list[str]:
    """Return the hashes of the numbers, each once. Raises InvalidArgument."""
    check_batch(request.numbers, "numbers")
    return sorted(
        {
            hash_number(check_number(number, f"numbers[{index}]"))
            for index, number in enumerate(request.numbers)
        }
    )


def to_card_hashes(request: pb.ResolveSimsRequest, numbers: NumberVault) -> list[str]:
    """Return the hashes of the cards, in order. Raises InvalidArgument."""
    check_batch(request.iccids, "iccids")
    return [
        numbers.hash_card(check_iccid(iccid, f"iccids[{index}]"))
        for index, iccid in enumerate(request.iccids)
    ]


def _to_spki(der: bytes, field: str) -> bytes:
    """Return a key on P-256 in its uncompressed form, so that it has one. Raises
    InvalidArgument."""
    try:
        key = load_public_key(der)
    except (MalformedKey, UnsupportedKey) as error:
        raise InvalidArgument(field, str(error)) from None
    if not isinstance(key, EllipticKey) or key.kind is not KeyKind.P256:
        raise InvalidArgument(field, "not a key on P-256")
    return key.handle.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
