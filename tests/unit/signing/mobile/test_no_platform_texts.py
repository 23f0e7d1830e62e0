"""No sequence of calls by officers and citizens gets a SIM's signature over a text that begins
"qagazsyz ", but for a phone's challenge, which identity made.

Sequences are made up; every SIM signs whatever its applet can read, and all digests that reach one
are compared with all that was ever sent in.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from qagazsyz.signed_texts import CONFIRM, PHONE, PREFIX, SIGN_IN
from qagazsyz.signing.v1 import mobile_signatures_pb2 as pb
from services.runtime.errors import DomainError
from services.runtime.server import Call
from services.runtime.storage.database import Database, sqlite_url
from services.runtime.storage.migrations import migrate
from services.signing.exchange.clients import MessagingClient, Outgoing
from services.signing.main import MIGRATIONS, build_mobile
from services.signing.mobile.clients import PhoneClient, PhoneState
from services.signing.mobile.rules import MobileSignaturePurpose, SignerPhone
from services.signing.settings import SigningSettings
from services.signing.sims.keys import SimKeys
from sms.applet import read_request
from sms.secured_packets import read_command
from tests.clock import Clock
from tests.unit.signing.builders import NOW, vault
from tests.unit.signing.mobile.world import citizen, officer, operator

# Of made-up sequences; LONG_RUN=1 tries twenty times as many.
EXAMPLES = 300 if os.environ.get("LONG_RUN") else 15
PERSON = "subjects/018f0000-0000-7000-8000-00000000000a"
BANK = "subjects/018f0000-0000-7000-8000-00000000000b"
PHONE_NAME = f"{PERSON}/phones/018f0000-0000-7000-8000-00000000000c"
SIM = "018f0000-0000-7000-8000-00000000000d"
MAC_KEY = bytes(range(16))
CHALLENGE = f"{PHONE}\nplatform\n".encode()
FORBIDDEN = [PREFIX.encode(), *(f"{each}\nrest".encode() for each in (SIGN_IN, CONFIRM, PHONE))]


@dataclass
class FakePhones:
    """Stands for PhoneClient: one person with one phone, which is active, and pending as well."""

    async def find_active(self, subject: str, _name: str, _during: object = None) -> Any:
        return self._phone() if subject == PERSON else None

    async def get(self, name: str, _during: object = None) -> Any:
        return (PhoneState.PENDING, self._phone()) if name == PHONE_NAME else None

    @staticmethod
    def _phone() -> SignerPhone:
        number = "+77010000001"
        return SignerPhone(PHONE_NAME, number, SIM, b"spki", "kk", challenge=CHALLENGE)


@dataclass
class Sims:
    """Stands for MessagingClient: whatever a SIM would sign."""

    digests: set[bytes] = field(default_factory=set)
    counter: int = 0

    async def send(self, message: Outgoing) -> str:
        command = read_command(message.packet, MAC_KEY, self.counter)
        self.counter = command.counter
        self.digests.add(read_request(command.data).digest)
        return "messages/1"


messages = st.one_of(
    st.sampled_from(FORBIDDEN),
    st.sampled_from(FORBIDDEN).map(lambda each: each + b"x"),
    st.sampled_from([b" qagazsyz x", b"Qagazsyz x", b"qagazsy", b"qagazsyz"]),
    # Bytes that are a digest of a forbidden text are a document like any other.
    st.sampled_from(FORBIDDEN).map(lambda each: hashlib.sha256(each).digest()),
    st.binary(max_size=40),
)
callers = st.sampled_from([citizen(PERSON), officer(BANK), citizen(BANK), operator()])
creations = st.builds(
    pb.CreateMobileSignatureRequest,
    subject=st.sampled_from([PERSON, BANK]),
    message=messages,
    display_text=st.sampled_from(["contract 17", "qagazsyz sign-in v1", "кіру"]),
    purpose=st.sampled_from([0, *MobileSignaturePurpose]),
    phone=st.sampled_from(["", PHONE_NAME]),
)
confirmations = st.builds(pb.ConfirmPhoneRequest, phone=st.just(PHONE_NAME))
sequences = st.lists(
    st.tuples(callers, st.one_of(creations, confirmations, st.just(None))), max_size=12
)


@cache
def empty_database() -> bytes:
    """A database with all tables: to migrate one takes as long as a sequence."""

    async def make(path: Path) -> None:
        database = Database(sqlite_url(path))
        await migrate(database, MIGRATIONS)
        await database.purge_deleted()
        await database.close()

    with TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        asyncio.run(make(path))
        return path.read_bytes()


async def digests_after(sequence: list[tuple[Call, Any]], empty: bytes) -> set[bytes]:
    """What reached the SIM after these calls; None cancels what is open. empty: a database."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "signing.db"
        path.write_bytes(empty)
        database = Database(sqlite_url(path))
        clock, sims = Clock(NOW), Sims()
        async with database.transaction() as connection:
            await SimKeys(vault(), clock).put(connection, {SIM: MAC_KEY})
        mobile = build_mobile(
            SigningSettings(folder=Path(folder), mobile_signing_organizations=f"{BANK}=Bank"),
            database=database,
            vault=vault(),
            check_certificates=cast("Any", None),
            phones=cast("PhoneClient", FakePhones()),
            messaging=cast("MessagingClient", sims),
            clock=clock,
        )
        assert mobile.sending is not None
        name = ""
        for caller, request in sequence:
            try:
                if isinstance(request, pb.CreateMobileSignatureRequest):
                    created = await mobile.servicer.CreateMobileSignature(request, caller)
                    name = created.name
                elif isinstance(request, pb.ConfirmPhoneRequest):
                    name = (await mobile.servicer.ConfirmPhone(request, caller)).name
                elif name:
                    cancelled = pb.CancelMobileSignatureRequest(name=name)
                    await mobile.servicer.CancelMobileSignature(cancelled, citizen(PERSON))
            except DomainError:
                pass
            await mobile.sending.send_some()
            clock.move(hours=1)
        await database.close()
        return sims.digests


@settings(max_examples=EXAMPLES, deadline=None)
@given(sequences)
def test_no_sequence_of_calls_reaches_a_sim_with_the_platforms_texts(
    sequence: list[tuple[Call, Any]],
) -> None:
    sent = [
        request.message
        for _, request in sequence
        if isinstance(request, pb.CreateMobileSignatureRequest)
    ]
    allowed = {hashlib.sha256(each).digest() for each in sent if not each.startswith(FORBIDDEN[0])}
    confirmed = {hashlib.sha256(CHALLENGE).digest()}
    reached = asyncio.run(digests_after(sequence, empty_database()))
    assert reached <= allowed | confirmed
    assert not reached & {hashlib.sha256(each).digest() for each in FORBIDDEN} - confirmed


def test_what_may_be_signed_does_reach_it() -> None:
    """The property above is not empty."""
    document = pb.CreateMobileSignatureRequest(
        subject=PERSON, message=b"contract", display_text="contract 17"
    )
    confirmation = pb.ConfirmPhoneRequest(phone=PHONE_NAME)
    sequence: list[tuple[Call, Any]] = [
        (officer(BANK), document),
        (citizen(PERSON), None),
        (citizen(PERSON), confirmation),
    ]
    reached = asyncio.run(digests_after(sequence, empty_database()))
    assert reached == {hashlib.sha256(each).digest() for each in (b"contract", CHALLENGE)}
