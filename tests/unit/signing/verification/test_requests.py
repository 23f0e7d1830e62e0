"""What is parsed of verification's requests beside what the backend parses."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

import pytest
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import example, given
from hypothesis import strategies as st

from qagazsyz.common.v1 import certificates_pb2
from qagazsyz.common.v1.certificates_pb2 import RequiredRole
from qagazsyz.signing.v1 import verification_pb2
from services.runtime.errors import InvalidArgument
from services.signing.verification.requests import (
    DECODED_BYTES,
    ITEMS_LIMIT,
    SIGNERS_LIMIT,
    ParsedTrust,
    StampedSignature,
    check_counts,
    find_stamped_signature,
    parse_time,
    parse_trust,
)
from services.signing.verification.trust import CertificateRole, RoleRequirement, TrustPolicy
from signatures.backend import Batch
from signatures.portable import PortableBackend
from tests.unit.signing.builders import NOW

BIN = "061211600012"
SIGNER = verification_pb2.Signer(public_key=b"key")
ITEM = verification_pb2.SignedItem(message=b"m", signature=b"signature")


def batch(**fields: Any) -> Batch:
    request = verification_pb2.BatchVerifyRequest(**fields)
    return PortableBackend().parse_batch(request.SerializeToString())


# --- Trust -----------------------------------------------------------------------------------


def test_a_request_that_asks_for_nothing_checks_certificates_now() -> None:
    assert parse_trust(batch()) == ParsedTrust(TrustPolicy.UNSPECIFIED, None, None)


def test_policy_time_and_role_are_read() -> None:
    asked = RequiredRole(roles=[certificates_pb2.CERTIFICATE_ROLE_EMPLOYEE], bin=BIN, on_sim=True)
    found = parse_trust(
        batch(
            trust_policy=TrustPolicy.CERTIFICATE.value,
            at=Timestamp(seconds=int(NOW.timestamp())),
            required_role=asked,
        )
    )
    requirement = RoleRequirement(frozenset({CertificateRole.EMPLOYEE}), BIN, on_sim=True)
    assert found == ParsedTrust(TrustPolicy.CERTIFICATE, NOW, requirement)


def test_a_requirement_without_roles_means_those_that_sign_for_an_organization() -> None:
    found = parse_trust(batch(required_role=RequiredRole(bin=BIN)))
    assert found.role == RoleRequirement(
        frozenset({CertificateRole.FIRST_HEAD, CertificateRole.MAY_SIGN}), BIN
    )


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"trust_policy": 3}, "trust_policy"),
        ({"at": Timestamp(seconds=2**60)}, "at"),
        ({"at": Timestamp(nanos=-1)}, "at"),
        ({"trust_policy": 2, "required_role": RequiredRole()}, "required_role"),
        ({"required_role": RequiredRole(bin="12")}, "required_role.bin"),
        ({"required_role": RequiredRole(roles=cast("Any", [0]))}, "required_role.roles"),
        ({"required_role": RequiredRole(roles=cast("Any", [99]))}, "required_role.roles"),
        ({"required_role": RequiredRole(roles=cast("Any", [3] * 9))}, "required_role.roles"),
    ],
)
def test_what_cannot_be_taken_names_its_field_by_its_path(
    fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_trust(batch(**fields), prefix="batch.")
    assert caught.value.field == f"batch.{field}"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"items": [verification_pb2.SignedItem()] * (ITEMS_LIMIT + 1)}, "items"),
        ({"signers": [verification_pb2.Signer()] * (SIGNERS_LIMIT + 1)}, "signers"),
    ],
)
def test_more_entries_than_the_contract_allows_are_refused(
    fields: dict[str, Any], field: str
) -> None:
    check_counts(batch(**{name: entries[1:] for name, entries in fields.items()}))
    with pytest.raises(InvalidArgument) as caught:
        check_counts(batch(**fields))
    assert caught.value.field == field


def test_a_timestamp_is_a_time_or_refused() -> None:
    assert parse_time(int(NOW.timestamp()), 5_000) == NOW + timedelta(microseconds=5)
    for seconds, nanos in ((0, -1), (0, 10**9), (2**62, 0), (-(2**62), 0), (253402300800, 0)):
        with pytest.raises(ValueError, match=r"nanos|seconds"):
            parse_time(seconds, nanos)


# --- Time-stamps -----------------------------------------------------------------------------


def test_a_time_stamp_is_found_with_the_signature_under_it() -> None:
    request = verification_pb2.VerifyRequest(signer=SIGNER, item=ITEM)
    assert find_stamped_signature(request.SerializeToString()) is None
    request.time_stamp = b"token"
    found = find_stamped_signature(request.SerializeToString())
    assert found == StampedSignature(b"token", b"signature")


def test_a_time_stamp_is_found_in_a_large_request() -> None:
    item = verification_pb2.SignedItem(message=bytes(DECODED_BYTES), signature=b"signature")
    request = verification_pb2.VerifyRequest(signer=SIGNER, item=item, time_stamp=b"token")
    found = find_stamped_signature(request.SerializeToString())
    assert found == StampedSignature(b"token", b"signature")


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (verification_pb2.VerifyRequest(item=ITEM), "signer"),
        (verification_pb2.VerifyRequest(signer=SIGNER, time_stamp=b"token"), "item"),
    ],
)
def test_a_request_without_a_signer_or_an_item_is_refused(
    request_: verification_pb2.VerifyRequest, field: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        find_stamped_signature(request_.SerializeToString())
    assert caught.value.field == field


def by_protobuf(request: bytes) -> StampedSignature | str | None:
    """What find_stamped_signature has to find: protobuf's own reading, or the field at fault."""
    message = verification_pb2.VerifyRequest.FromString(request)
    for field in ("signer", "item"):
        if not message.HasField(field):
            return field
    if not message.time_stamp:
        return None
    return StampedSignature(message.time_stamp, message.item.signature)


def found_in(request: bytes) -> StampedSignature | str | None:
    """What is found in it, alike whether it is decoded or walked; or the field at fault."""
    found = [_found_in(request, decoded_bytes) for decoded_bytes in (DECODED_BYTES, -1)]
    assert found[0] == found[1]
    return found[0]


def _found_in(request: bytes, decoded_bytes: int) -> StampedSignature | str | None:
    try:
        return find_stamped_signature(request, decoded_bytes=decoded_bytes)
    except InvalidArgument as error:
        return error.field


PARTS = st.one_of(
    st.builds(
        lambda key: verification_pb2.VerifyRequest(signer=verification_pb2.Signer(public_key=key)),
        st.binary(max_size=4),
    ),
    st.builds(
        lambda signature, message: verification_pb2.VerifyRequest(
            item=verification_pb2.SignedItem(signature=signature, message=message)
        ),
        st.binary(max_size=4),
        st.binary(max_size=4),
    ),
    st.builds(
        lambda token: verification_pb2.VerifyRequest(time_stamp=token), st.binary(max_size=4)
    ),
    st.builds(lambda policy: verification_pb2.VerifyRequest(trust_policy=policy), st.just(2)),
).map(lambda message: message.SerializeToString())


@given(st.lists(PARTS | st.sampled_from([b"\x32\x00", b"\x30\x01", b"\x12\x00"]), max_size=8))
def test_fields_that_come_several_times_are_read_as_protobuf_reads_them(parts: list[bytes]) -> None:
    request = b"".join(parts)
    assert found_in(request) == by_protobuf(request)


@given(st.binary(max_size=60))
@example(b"\x0a\x00\x12\x03\x2b\x2c\x00\x32\x01t")
def test_bytes_that_protobuf_takes_are_read_as_protobuf_reads_them(request: bytes) -> None:
    try:
        expected = by_protobuf(request)
    except DecodeError:
        return
    assert found_in(request) == expected
