"""Mobile signatures with everything real around them: identity and messaging served over gRPC, and
the simulated network with its SIMs; one clock, in the test's hands."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from google.protobuf.message import Message
from sqlalchemy import func, select

from phones.clock import NetworkClock
from phones.handset import Phone
from phones.network import Network
from phones.outcomes import Outcome
from phones.record import Record
from phones.smsc.server import Account as SmscAccount
from phones.smsc.server import Smsc
from phones.subscribers import Subscriber, new_sim
from qagazsyz.common.v1 import access_pb2
from qagazsyz.identity.v1 import phones_pb2
from qagazsyz.signing.v1 import mobile_signatures_pb2 as pb
from services.identity.main import MIGRATIONS as IDENTITY_MIGRATIONS
from services.messaging.main import MESSAGING_SERVICE
from services.messaging.main import MIGRATIONS as MESSAGING_MIGRATIONS
from services.messaging.smpp.session import Account
from services.messaging.smpp.smpp_link import SmppLink
from services.messaging.tables import received_messages
from services.runtime.access import TokenVerifier
from services.runtime.clients import InternalTokens, ServiceClient, fetch_key_set
from services.runtime.clock import system_randomness
from services.runtime.concurrency.housekeeping import Work, in_background
from services.runtime.errors import DomainError
from services.runtime.server import Call, Server
from services.runtime.storage.database import Database, sqlite_url
from services.runtime.storage.migrations import migrate
from services.signing.clients import IdentityClient
from services.signing.exchange.clients import MessageState, MessagingClient
from services.signing.exchange.sending import FIRST_LOOK
from services.signing.main import MIGRATIONS, Mobile, build_mobile
from services.signing.mobile.changes import wait_at_most
from services.signing.mobile.clients import PhoneClient
from services.signing.settings import SigningSettings
from sms.alphabets import Alphabet
from tests.calls import call
from tests.unit.identity.phones import sims
from tests.unit.identity.service import Identity, Official, running_identity
from tests.unit.messaging.builders import PACE
from tests.unit.messaging.builders import Service as Messaging
from tests.unit.messaging.builders import make_service as make_messaging
from tests.unit.signing.builders import vault

Role = access_pb2.Role
SMSC_PASSWORD = "password"
TRANSPORT_KEY = bytes(range(32))
LIFETIME_SECONDS = 180
MESSAGE = b"contract 17"
TEXT = "contract 17"
FIRST_NUMBER = "+77010001"
# How often what repeats is repeated, and a condition looked at, in real time.
ROUND_SECONDS = 0.05
LOOK_SECONDS = 0.01
# Real time after which a test fails.
TIMEOUT_SECONDS = 30.0
WAITING = pb.MOBILE_SIGNATURE_STATE_WAITING
DELIVERED = pb.MOBILE_SIGNATURE_STATE_DELIVERED
OPEN = (WAITING, DELIVERED)


class Tokens(InternalTokens):
    """The signing service's tokens, of identity's own clock."""

    def __init__(self, identity: Identity) -> None:
        self._of = identity

    async def get(self) -> str:
        return self._of.as_signing

    async def headers(self, _path: str, _request: Message) -> Mapping[str, str]:
        return {"authorization": f"Bearer {await self.get()}"}


@dataclass
class World:
    """The platform's part that has phones sign, and what is around it."""

    identity: Identity
    database: Database
    network: Network
    network_clock: NetworkClock
    smsc: Smsc
    mobile: Mobile
    organizations: dict[str, str]
    messaging: Messaging
    client: MessagingClient
    _officials: list[Official] = field(default_factory=list)

    # People and phones

    async def person(self, outcome: Outcome = Outcome.SIGNS) -> tuple[str, Subscriber]:
        """A person with an active phone of that outcome."""
        subject = await self.identity.person()
        return subject, await self.bind(subject, outcome)

    async def bind(self, subject: str, outcome: Outcome = Outcome.SIGNS) -> Subscriber:
        """A phone that is bound to the person, its key being imported."""
        subscriber = self.subscriber(outcome)
        card = self.card(subscriber)
        await sims.import_sims(self.identity, card)
        phone = await self._ask(subject, card)
        await sims.complete(self.identity, phone.name, card)
        # Only now, so that the platform did not ask the card by itself meanwhile.
        await self.import_keys(subscriber)
        return subscriber

    async def pending(
        self, subject: str, outcome: Outcome = Outcome.SIGNS
    ) -> tuple[phones_pb2.Phone, Subscriber]:
        """A phone of the person's whose SIM is yet to sign."""
        subscriber = self.subscriber(outcome)
        card = self.card(subscriber)
        await sims.import_sims(self.identity, card)
        await self.import_keys(subscriber)
        return await self._ask(subject, card), subscriber

    async def _ask(self, subject: str, card: sims.Card) -> phones_pb2.Phone:
        """A pending phone, by one official or two, as many as it takes."""
        while len(self._officials) < 2:
            self._officials.append(await self.identity.official())
        # Their first tokens have expired by now.
        first, second = (
            self.identity.token(
                Role.ROLE_OPERATOR,
                Role.ROLE_CITIZEN,
                subject=each.subject,
                certificate=each.certificate,
            )
            for each in self._officials
        )
        phone = await sims.ask(self.identity, subject, card, first, "en")
        if phone.state == sims.PENDING_APPROVAL:
            phone = await sims.approve(self.identity, phone.name, second)
        return phone

    def subscriber(self, outcome: Outcome = Outcome.SIGNS, language: str = "en") -> Subscriber:
        """A new subscriber of the network, whose number has the outcome's digits."""
        serial = len(self.network.phones) + 1
        digits = f"{int(outcome):03d}" if outcome else f"{serial % 100:03d}"
        one = Subscriber(
            number=f"+7701{serial:04d}{digits}",
            sim=new_sim(system_randomness),
            language=language,
            alphabet=Alphabet.UCS2,
            screen="2x16",
        )
        self.network.phones[one.number] = Phone(one)
        return one

    @staticmethod
    def card(subscriber: Subscriber) -> sims.Card:
        """The subscriber's card, as identity's tests have it."""
        return sims.Card(subscriber.number, subscriber.sim.iccid, subscriber.sim.key)

    async def import_keys(self, *subscribers: Subscriber) -> None:
        keys = [
            pb.SimKey(
                iccid=each.sim.iccid, wrapped_key=aes_key_wrap(TRANSPORT_KEY, each.sim.mac_key)
            )
            for each in subscribers
        ]
        done = await self.servicer.ImportSimKeys(pb.ImportSimKeysRequest(keys=keys), operator())
        assert done.imported_count == len(keys)

    def organization(self, short_name: str = "Bank") -> str:
        """An organization that may ask phones."""
        name = f"subjects/00000000-0000-7000-8000-{len(self.organizations):012d}"
        self.organizations[name] = short_name
        return name

    # Sessions

    @property
    def servicer(self) -> Any:
        return self.mobile.servicer

    async def create(
        self,
        subject: str,
        by: Call | None = None,
        *,
        message: bytes = MESSAGE,
        text: str = TEXT,
        **fields: Any,
    ) -> pb.MobileSignature:
        """A session, begun by the person themselves if not by another."""
        request = pb.CreateMobileSignatureRequest(
            subject=subject, message=message, display_text=text, **fields
        )
        created: pb.MobileSignature = await self.servicer.CreateMobileSignature(
            request, by or citizen(subject)
        )
        return created

    async def get(self, name: str, by: Call | None = None, wait: float = 0.0) -> pb.MobileSignature:
        request = pb.GetMobileSignatureRequest(name=name)
        request.wait.FromMilliseconds(int(wait * 1000))
        found: pb.MobileSignature = await self.servicer.GetMobileSignature(request, by or service())
        return found

    async def until(self, name: str, *states: int) -> pb.MobileSignature:
        """The session once it has one of the states; once it has ended if there are none."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while True:
                session = await self.get(name, wait=TIMEOUT_SECONDS)
                if session.state in states or (not states and session.state not in OPEN):
                    return session
                assert session.state in OPEN, session

    async def cancel(self, name: str, by: Call | None = None) -> pb.MobileSignature:
        done: pb.MobileSignature = await self.servicer.CancelMobileSignature(
            pb.CancelMobileSignatureRequest(name=name), by or service()
        )
        return done

    async def advance(self, seconds: float) -> None:
        """Move the clock, and the network's with it: what binds phones moves the first alone."""
        self.identity.clock.move(seconds=seconds)
        behind = self.identity.clock() - self.network_clock.now()
        self.network_clock.advance(behind.total_seconds())

    async def expire(self, name: str) -> pb.MobileSignature:
        """The session once its time is over."""
        await self.advance(LIFETIME_SECONDS)
        return await self.until(name)

    async def refused(self, *arguments: Any, **fields: Any) -> DomainError:
        """The error that create is refused with."""
        with pytest.raises(DomainError) as caught:
            await self.create(*arguments, **fields)
        return caught.value

    # What is on its way

    async def delivered(self, name: str) -> pb.MobileSignature:
        """The session once it is known that the phone has its request."""
        await self.sent(name, MessageState.DELIVERED)
        await self.advance(FIRST_LOOK.total_seconds())
        return await self.until(name, DELIVERED)

    async def sent(self, name: str, state: MessageState) -> None:
        """Wait until messaging has the state of a session's request."""

        async def is_so() -> bool:
            session = await self.mobile.sessions.find(name.rpartition("/")[2])
            assert session is not None
            return session.message != "" and await self.client.state_of(session.message) is state

        await until(is_so)

    async def taken(self) -> int:
        """How many answers of SIMs were taken, for good."""
        query = select(func.count()).where(received_messages.c.end_time.is_not(None))
        async with self.messaging.database.reading() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def until_taken(self, count: int) -> None:
        async def is_so() -> bool:
            return await self.taken() >= count

        await until(is_so)

    def texts(self, subscriber: Subscriber) -> list[str]:
        """The texts that a phone has."""
        return [text for _, text in self.network.phone(subscriber.number).texts]

    def asked(self, subscriber: Subscriber) -> int:
        """How many requests a SIM accepted and answered."""
        answered = self.network._record.of("answered")
        return sum(each["number"] == subscriber.number for each in answered)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not await condition():  # noqa: ASYNC110 - the condition is asked for
            await asyncio.sleep(LOOK_SECONDS)


def operator() -> Call:
    return call("subjects/operator", "", Role.ROLE_CITIZEN, Role.ROLE_OPERATOR)


def citizen(subject: str) -> Call:
    return call(subject, "", Role.ROLE_CITIZEN)


def officer(organization: str) -> Call:
    return call("subjects/officer", organization, Role.ROLE_OFFICER)


def service(name: str = "requests") -> Call:
    return call(f"services/{name}", "", Role.ROLE_SERVICE)


@asynccontextmanager
async def running_world(
    tmp_path: Path,
) -> AsyncIterator[World]:
    """The world, on SQLite; test_sessions.py tries what signing stores on each kind."""
    async with _running_world(tmp_path) as world:
        yield world
    # A stream that ends within a statement leaves its connection to the collector, which must not
    # complain in another test.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@asynccontextmanager
async def _running_world(tmp_path: Path) -> AsyncIterator[World]:
    identity_url, messaging_url, signing_url = (
        sqlite_url(tmp_path / f"{name}.db") for name in ("identity", "messaging", "signing")
    )
    async with AsyncExitStack() as stack:
        await _migrate_file(identity_url, IDENTITY_MIGRATIONS)
        identity = await stack.enter_async_context(running_identity(tmp_path, identity_url))
        clock = identity.clock
        network_clock = NetworkClock(clock, held=True)
        record = Record(network_clock)
        network = Network([], network_clock, record)
        smsc = Smsc(network, network_clock, record, SmscAccount("platform", SMSC_PASSWORD))
        port = await smsc.start("127.0.0.1", 0)
        stack.push_async_callback(smsc.stop)
        messaging, channel = await stack.enter_async_context(
            _running_messaging(identity, messaging_url, port)
        )
        database = Database(signing_url)
        stack.push_async_callback(database.close)
        await migrate(database, MIGRATIONS)
        tokens = Tokens(identity)
        peer = ServiceClient(identity.channel, tokens)
        client = MessagingClient(ServiceClient(channel, tokens))
        organizations: dict[str, str] = {}
        transport_key = tmp_path / "transport.key"
        transport_key.write_text(TRANSPORT_KEY.hex())
        transport_key.chmod(0o600)
        mobile = build_mobile(
            SigningSettings(
                folder=tmp_path,
                sim_transport_key=transport_key,
                mobile_signature_seconds=LIFETIME_SECONDS,
            ),
            database=database,
            vault=vault(),
            check_certificates=IdentityClient(peer).check_certificates,
            phones=PhoneClient(peer),
            messaging=client,
            clock=clock,
        )
        # Tests add organizations: the servicer reads them at each call.
        mobile.servicer._organizations = organizations
        assert mobile.sending is not None
        work = [mobile.sending.send_some, *(each.work for each in mobile.rounds)]
        await stack.enter_async_context(_repeating(work))
        yield World(
            identity,
            database,
            network,
            network_clock,
            smsc,
            mobile,
            organizations,
            messaging,
            client,
        )


async def _migrate_file(url: str, migrations: Path) -> None:
    database = Database(url)
    try:
        await migrate(database, migrations)
    finally:
        await database.close()


@asynccontextmanager
async def _repeating(work: Sequence[Work]) -> AsyncIterator[None]:
    """Repeat each of this work during the block, and let what has a statement under way end."""
    stop = asyncio.Event()

    async def repeat(one: Work) -> None:
        while not stop.is_set():
            with suppress(DomainError, ExceptionGroup):
                await one()
            await wait_at_most(stop, ROUND_SECONDS)

    tasks = [asyncio.create_task(repeat(one)) for one in work]
    try:
        yield
    finally:
        stop.set()
        # Who reads the inbox waits for ever.
        _, reading = await asyncio.wait(tasks, timeout=2 * ROUND_SECONDS)
        for task in reading:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _running_messaging(
    identity: Identity, url: str, smsc_port: int
) -> AsyncIterator[tuple[Messaging, grpc.aio.Channel]]:
    """Messaging, linked to the network, and its channel."""
    database = Database(url)
    await migrate(database, MESSAGING_MIGRATIONS)
    messaging = make_messaging(database, clock=identity.clock)
    server = Server(
        {MESSAGING_SERVICE: messaging.servicer},
        TokenVerifier(
            lambda: fetch_key_set(identity.channel), now=lambda: identity.clock().timestamp()
        ),
        page_secret=b"secret",
    )
    port = server.listen("127.0.0.1:0")
    await server.start()
    link = SmppLink(
        Account("127.0.0.1", smsc_port, "platform", SMSC_PASSWORD),
        messaging.parts,
        loop=asyncio.get_running_loop(),
        pace=PACE,
    )
    try:
        async with (
            in_background(messaging.parts.sender.run(link)),
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        ):
            link.start()
            try:
                yield messaging, channel
            finally:
                await link.stop()
    finally:
        await server.stop()
        await database.close()
