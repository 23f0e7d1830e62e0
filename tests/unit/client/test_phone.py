"""A sign-in by phone as a credential: how it is kept, and what it asks a phone for."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest

from qagazsyz.client import connect
from qagazsyz.common.v1 import confirmation_pb2
from qagazsyz.confirmations import HEADER, read_header
from qagazsyz.documents import ask_phone, phone_signature, statement
from qagazsyz.identity.v1 import phones_pb2, phones_pb2_grpc
from qagazsyz.phone import PhoneCredential, PhoneRefused, PhoneSignInEnded
from qagazsyz.registry.v1 import documents_pb2
from qagazsyz.signed_texts import PREFIX
from qagazsyz.signing.v1 import (
    mobile_signatures_pb2,
    phone_confirmations_pb2,
    phone_confirmations_pb2_grpc,
)

State = mobile_signatures_pb2.MobileSignatureState
REQUEST = phones_pb2.BindPhoneRequest(subject="subjects/a", number="+77010000001")


def credential(ends_at: float | None = None, codes: list[str] | None = None) -> PhoneCredential:
    shown = codes if codes is not None else []
    return PhoneCredential(
        "token", "subjects/a", "", time.time() + 600 if ends_at is None else ends_at, shown.append
    )


def test_a_sign_in_is_kept_in_a_file_without_its_number() -> None:
    kept = credential()
    read = PhoneCredential.from_json(kept.to_json(), kept.show_code)
    assert read == kept
    assert set(json.loads(kept.to_json())) == {
        "access_token",
        "subject",
        "organization",
        "ends_at",
    }
    assert "token" not in repr(kept)
    assert read.token().access_token == "token"


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"access_token": "t"}', b"\xff"])
def test_what_is_no_sign_in_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="not a sign-in by phone"):
        PhoneCredential.from_json(text, print)


def test_a_sign_in_that_has_ended_is_not_sent() -> None:
    with pytest.raises(PhoneSignInEnded):
        credential(ends_at=time.time() - 1).token()


class Suite(phone_confirmations_pb2_grpc.PhoneConfirmationServiceServicer):
    """A suite's edge: it asks a phone that is in the given states, one a call, and takes the call
    that was confirmed."""

    def __init__(self) -> None:
        self.states: list[int] = []
        self.started: list[Any] = []
        self.headers: list[dict[str, str]] = []

    def _answer(self, context: Any) -> phone_confirmations_pb2.PhoneConfirmation:
        assert dict(context.invocation_metadata())["authorization"] == "Bearer token"
        answer = phone_confirmations_pb2.PhoneConfirmation(
            name="mobileSignatures/m", verification_code="1234"
        )
        setattr(answer, "state", self.states.pop(0))  # noqa: B010 - an enum's number
        if answer.state == State.MOBILE_SIGNATURE_STATE_SIGNED:
            answer.confirmation.mobile_signature = answer.name
        return answer

    def StartPhoneConfirmation(self, request: Any, context: Any) -> Any:
        self.started.append(request)
        return self._answer(context)

    def GetPhoneConfirmation(self, request: Any, context: Any) -> Any:
        assert request.name == "mobileSignatures/m"
        return self._answer(context)


@pytest.fixture
def served() -> Iterator[tuple[Suite, str]]:
    suite = Suite()

    def bind_phone(_request: Any, context: Any) -> Any:
        suite.headers.append(dict(context.invocation_metadata()))
        return phones_pb2.Phone(name="subjects/a/phones/p")

    handler: Any = grpc.unary_unary_rpc_method_handler(
        bind_phone,
        request_deserializer=phones_pb2.BindPhoneRequest.FromString,
        response_serializer=phones_pb2.Phone.SerializeToString,
    )
    phones = grpc.method_handlers_generic_handler(
        "qagazsyz.identity.v1.PhoneService", {"BindPhone": handler}
    )
    server = grpc.server(futures.ThreadPoolExecutor(2))
    phone_confirmations_pb2_grpc.add_PhoneConfirmationServiceServicer_to_server(suite, server)
    server.add_generic_rpc_handlers((phones,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield suite, f"127.0.0.1:{port}"
    server.stop(None)


def test_a_confirmed_call_shows_the_code_and_waits_for_the_phone(served: tuple[Suite, str]) -> None:
    suite, address = served
    suite.states = [
        State.MOBILE_SIGNATURE_STATE_WAITING,
        State.MOBILE_SIGNATURE_STATE_DELIVERED,
        State.MOBILE_SIGNATURE_STATE_SIGNED,
    ]
    codes: list[str] = []
    with connect(address, credential(codes=codes)) as channel:
        phones_pb2_grpc.PhoneServiceStub(channel).BindPhone(REQUEST, timeout=20)
    assert codes == ["1234"]
    assert suite.started[0].method == "/qagazsyz.identity.v1.PhoneService/BindPhone"
    assert json.loads(suite.started[0].request) == {
        "subject": "subjects/a",
        "number": "+77010000001",
    }
    expected = confirmation_pb2.Confirmation(mobile_signature="mobileSignatures/m")
    assert read_header(suite.headers[0][HEADER]) == expected


def test_a_call_that_the_phone_refuses_is_not_made(served: tuple[Suite, str]) -> None:
    suite, address = served
    suite.states = [State.MOBILE_SIGNATURE_STATE_FAILED]
    with connect(address, credential()) as channel, pytest.raises(PhoneRefused, match="FAILED"):
        phones_pb2_grpc.PhoneServiceStub(channel).BindPhone(REQUEST, timeout=20)
    assert suite.headers == []


def test_the_largest_statement_may_be_signed_on_a_phone() -> None:
    """It is none of the platform's own texts, and far from 64 KiB."""
    document = documents_pb2.Document(
        document_type=f"documentTypes/{'t' * 63}",
        subjects=[f"subjects/{'s' * 36}"] * 16,
        issuer=f"subjects/{'i' * 36}",
        media_type="m" * 255,
    )
    document.expire_time.GetCurrentTime()
    request = ask_phone(document, b"content", signer="subjects/a", display_text="contract")
    assert request.message == statement(document, b"content")
    assert not request.message.startswith(PREFIX.encode())
    assert len(request.message) < 2_048
    assert hashlib.sha256(b"content").hexdigest().encode() in request.message
    signed = mobile_signatures_pb2.MobileSignature(signature=b"rs", certificate=b"der")
    assert phone_signature(signed).statement_version == 2
