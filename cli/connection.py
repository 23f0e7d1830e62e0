"""Call the suite through its gateway, signed in or not, within one command."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cli.errors import REFUSED, Failure
from cli.terminal import say

if TYPE_CHECKING:
    import grpc
    from google.protobuf.message import Message

    from qagazsyz.credentials import Credential
    from qagazsyz.identity.v1 import tokens_pb2, tokens_pb2_grpc
    from qagazsyz.phone import PhoneCredential

Q = TypeVar("Q", bound="Message")
A = TypeVar("A", bound="Message")
# Picks a method of a stub: lambda channel: SubjectServiceStub(channel).GetSubject
Method = Callable[["grpc.Channel"], "grpc.UnaryUnaryMultiCallable[Q, A]"]

# IIN and BIN alike.
NUMBER = re.compile(r"\d{12}")
# Deadline of each call: generous, so that a command ends in the end.
TIMEOUT_SECONDS = 30.0
# The largest page that the services give (AIP-158).
PAGE_SIZE = 1_000


def call(
    method: Method[Q, A], request: Q, gateway: str, credential: Path | None, organization: str = ""
) -> A:
    """Sign in and call a method once. Raises Failure as signed_in, and grpc.RpcError."""
    with signed_in(gateway, credential, organization) as channel:
        return method(channel)(request, timeout=TIMEOUT_SECONDS)


def call_pages(
    method: Method[Q, A], request: Q, gateway: str, credential: Path | None, organization: str = ""
) -> Iterator[A]:
    """Sign in and yield all pages of a list (AIP-158). Raises what call raises."""
    with signed_in(gateway, credential, organization) as channel:
        yield from pages_of(method(channel), request)


def pages_of(list_page: grpc.UnaryUnaryMultiCallable[Q, A], request: Q) -> Iterator[A]:
    """Yield all pages of a list (AIP-158). Raises grpc.RpcError."""
    # Each list request has page_size and page_token, each answer next_page_token.
    asked: Any = type(request)()
    asked.CopyFrom(request)
    asked.page_size = PAGE_SIZE
    while True:
        page: Any = list_page(asked, timeout=TIMEOUT_SECONDS)
        yield page
        asked.page_token = page.next_page_token
        if not asked.page_token:
            return


@contextmanager
def signed_in(
    gateway: str, credential: Path | None, organization: str = ""
) -> Iterator[grpc.Channel]:
    """Open a channel signed in with a credential's file, as an officer if an organization is given.

    Raises Failure without a credential, or if the organization's BIN is unknown.
    """
    from qagazsyz.client import connect

    loaded = load_sign_in(credential)
    organization = officer_organization(gateway, loaded, organization)
    with connect(gateway, loaded, organization=organization) as channel:
        yield channel


@contextmanager
def anonymous(gateway: str) -> Iterator[grpc.Channel]:
    """Open a channel without a token, for methods that need none."""
    from qagazsyz.client import connect

    with connect(gateway) as channel:
        yield channel


@dataclass(frozen=True, slots=True)
class SignIn:
    """A credential, or a sign-in by phone, before the token service; as an officer if an
    organization is given."""

    credential: Credential | PhoneCredential
    organization: str
    channel: grpc.Channel

    def token(self) -> tokens_pb2.Token:
        """Sign in. Raises grpc.RpcError, and PhoneSignInEnded."""
        from qagazsyz.client import answer_challenge
        from qagazsyz.phone import PhoneCredential

        if isinstance(self.credential, PhoneCredential):
            return self.credential.token()
        exchange = answer_challenge(self.credential, self._challenge())
        return self._tokens().ExchangeToken(exchange, timeout=TIMEOUT_SECONDS)

    def confirm(self, method: str, request: Message) -> str:
        """Return the header that confirms a call. Raises grpc.RpcError, and what token raises."""
        from qagazsyz.client import confirm_call
        from qagazsyz.phone import BlockingPhoneSource, PhoneCredential

        if isinstance(self.credential, PhoneCredential):
            return BlockingPhoneSource(self.channel, self.credential).confirm(method, request)
        # The token says which subject and organization the credential acts as.
        token = self.token()
        return confirm_call(self.credential, token, self._challenge(), method, request)

    def _challenge(self) -> tokens_pb2.Challenge:
        from qagazsyz.identity.v1 import tokens_pb2

        request = tokens_pb2.CreateChallengeRequest(organization=self.organization)
        return self._tokens().CreateChallenge(request, timeout=TIMEOUT_SECONDS)

    def _tokens(self) -> tokens_pb2_grpc.TokenServiceStub:
        from qagazsyz.identity.v1 import tokens_pb2_grpc

        return tokens_pb2_grpc.TokenServiceStub(self.channel)


@contextmanager
def signing_in(gateway: str, credential: Path | None, organization: str) -> Iterator[SignIn]:
    """Open a channel to the token service. Raises Failure as signed_in does."""
    loaded = load_sign_in(credential)
    name = officer_organization(gateway, loaded, organization)
    with anonymous(gateway) as channel:
        yield SignIn(loaded, name, channel)


def load_credential(path: Path | None) -> Credential:
    """Load a credential's file. Raises Failure without one, CredentialError for a malformed one."""
    from qagazsyz.credentials import Credential

    if path is None:
        raise Failure("a credential is needed: --credential FILE, or QAGAZSYZ_CREDENTIAL")
    return Credential.load(path)


def load_sign_in(path: Path | None) -> Credential | PhoneCredential:
    """Load what signs in: a credential, or a sign-in by phone as `qagazsyz token --save` wrote it.
    Raises Failure as load_credential does, and CredentialError."""
    from qagazsyz.credentials import CredentialError
    from qagazsyz.phone import PhoneCredential

    content = path.read_bytes() if path is not None else b""
    if not content.startswith(b"{"):
        return load_credential(path)
    try:
        return PhoneCredential.from_json(content, show_code)
    except ValueError as error:
        raise CredentialError(str(error)) from None


def show_code(code: str) -> None:
    """Tell the person what to compare."""
    say(f"Compare the code with your phone's, and answer there: {code}", to=sys.stderr)


def officer_organization(
    gateway: str, credential: Credential | PhoneCredential, name_or_number: str
) -> str:
    """Return an organization's name, resolving a BIN. Raises Failure for an unknown BIN."""
    if not NUMBER.fullmatch(name_or_number):
        return name_or_number
    from qagazsyz.client import connect
    from qagazsyz.identity.v1 import subjects_pb2, subjects_pb2_grpc

    with connect(gateway, credential) as channel:
        stub = subjects_pb2_grpc.SubjectServiceStub(channel)
        request = subjects_pb2.ResolveSubjectsRequest(numbers=[name_or_number])
        (name,) = stub.ResolveSubjects(request, timeout=TIMEOUT_SECONDS).subjects
    if not name:
        raise Failure("no organization has this BIN", REFUSED)
    return name
