"""The messaging service's process: wire its parts by hand, and serve until SIGTERM."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from services.messaging.health import follow_link
from services.messaging.inbox import store as inbox_store
from services.messaging.inbox.arrivals import Arrivals
from services.messaging.inbox.receiving import Receiver
from services.messaging.outbox import store as outbox_store
from services.messaging.outbox.accepting import Acceptance
from services.messaging.outbox.sending import Limits, Sender
from services.messaging.privacy.vault import Vault
from services.messaging.servicer import MessagingServicer
from services.messaging.settings import MessagingSettings
from services.messaging.smpp.link import Answer, Incoming, Step, no_step
from services.messaging.smpp.session import Account
from services.messaging.smpp.smpp_link import Pace, SmppLink
from services.messaging.sms.receipts import Receipt
from services.messaging.tables import requests
from services.runtime import process
from services.runtime.access import TokenVerifier
from services.runtime.clients import fetch_key_set, open_channel
from services.runtime.clock import Clock, system_clock
from services.runtime.concurrency.housekeeping import every, in_background
from services.runtime.sealing import SecretKey, load_keys
from services.runtime.secret_files import SecretRefused, read_secret
from services.runtime.server import Server, wait_for
from services.runtime.settings import CannotStart
from services.runtime.storage.database import Database
from services.runtime.storage.idempotency import IdempotencyStore
from services.runtime.storage.migrations import migrate
from services.runtime.storage.readiness import follow_readiness

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
MESSAGING_SERVICE = "qagazsyz.messaging.v1.MessagingService"
# How often messages are expired and erased, and expired answers of request_id deleted.
HOUSEKEEPING_SECONDS = 60.0
# SMPP 3.4, section 5.2.2: nine octets with the final zero.
PASSWORD_LENGTH = 8


@dataclass(frozen=True, slots=True)
class Parts:
    """What the service is made of, between network and database."""

    sender: Sender
    receiver: Receiver
    arrivals: Arrivals
    acceptance: Acceptance

    def connected(self) -> None:
        self.sender.connected()

    def answered(self, answer: Answer) -> None:
        self.sender.answered(answer)

    def disconnected(self, unanswered: Sequence[int], unsent: Sequence[int]) -> None:
        self.sender.disconnected(unanswered, unsent)

    async def received(self, incoming: Incoming) -> None:
        await self.receiver.received(incoming)

    async def reported(self, phone: str, receipt: Receipt) -> None:
        await self.sender.reported(phone, receipt)


def build(
    settings: MessagingSettings,
    *,
    database: Database,
    vault: Vault,
    clock: Clock = system_clock,
    step: Step = no_step,
) -> Parts:
    """Return the parts, of which nothing runs yet; they are a link's Events."""
    keep = timedelta(days=settings.messages_kept_days)
    default_is_gsm = settings.smpp_default_alphabet == "gsm7"
    arrivals = Arrivals()
    return Parts(
        sender=Sender(
            database=database,
            vault=vault,
            limits=Limits(settings.smpp_window, settings.smpp_rate, keep),
            default_is_gsm=default_is_gsm,
            clock=clock,
            seconds=time.monotonic,
            step=step,
        ),
        receiver=Receiver(
            database=database,
            vault=vault,
            arrivals=arrivals,
            default_is_gsm=default_is_gsm,
            keep=keep,
            clock=clock,
        ),
        arrivals=arrivals,
        acceptance=Acceptance(vault, settings.allowances(), default_is_gsm, keep),
    )


def open_account(settings: MessagingSettings) -> Account:
    """Return the account at the SMSC. Raises CannotStart."""
    if not settings.smpp_host or not settings.smpp_system_id:
        raise CannotStart("QAGAZSYZ_SMPP_HOST and QAGAZSYZ_SMPP_SYSTEM_ID are not set")
    path = settings.smpp_password_file()
    password = read_secret(path).rstrip(b"\r\n")
    if not password.isascii() or not 0 < len(password) <= PASSWORD_LENGTH:
        raise SecretRefused(f"{path} is not one line of 1 to {PASSWORD_LENGTH} characters")
    context = None
    if settings.smpp_tls == "on":
        try:
            context = ssl.create_default_context(cafile=settings.smpp_tls_authorities)
        except OSError as error:
            raise CannotStart(f"the SMSC's authorities cannot be read: {error.strerror}") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    return Account(
        settings.smpp_host,
        settings.smpp_port,
        settings.smpp_system_id,
        password.decode(),
        settings.smpp_system_type,
        context,
    )


def open_vault(settings: MessagingSettings) -> Vault:
    """Load the keys. Raises SecretRefused."""
    lookup = SecretKey.load(settings.lookup_key_file())
    current = settings.message_key_file()
    return Vault(lookup, *load_keys(current, settings.previous_message_key))


async def check_vault(database: Database, vault: Vault) -> None:
    """Raise SecretRefused if a message is sealed under a key that the vault does not know."""
    async with database.reading() as connection:
        in_use = {
            *await outbox_store.key_ids_in_use(connection),
            *await inbox_store.key_ids_in_use(connection),
        }
    for key_id in in_use:
        if not vault.knows(key_id):
            raise SecretRefused(
                f"messages are sealed under message key {key_id!r}: name its file in "
                "QAGAZSYZ_PREVIOUS_MESSAGE_KEY until they are erased"
            )


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Be the one process of this folder in the block: two senders would mix up the order. Raises
    CannotStart."""
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotStart(f"another process sends from {folder}") from None
        yield


async def serve(settings: MessagingSettings, stop: asyncio.Event) -> None:
    """Serve until stop is set. Raises CannotStart before the first call is taken."""
    account = open_account(settings)
    vault = open_vault(settings)
    page_secret = read_secret(settings.credential_file())
    channel = open_channel(settings.identity_address)
    database = Database(settings.database())
    try:
        with only_one(settings.folder):
            await migrate(database, MIGRATIONS)
            await check_vault(database, vault)
            parts = build(settings, database=database, vault=vault)
            server = Server(
                {
                    MESSAGING_SERVICE: MessagingServicer(
                        database=database,
                        acceptance=parts.acceptance,
                        sender=parts.sender,
                        arrivals=parts.arrivals,
                        source=settings.smpp_source,
                        clock=system_clock,
                    )
                },
                TokenVerifier(lambda: fetch_key_set(channel)),
                page_secret=page_secret,
                concurrent_calls=settings.concurrent_calls,
                bytes_in_flight=settings.bytes_in_flight,
            )
            server.listen(settings.listen)
            idempotency = IdempotencyStore(requests, database, system_clock)
            await parts.sender.recover()
            link = SmppLink(
                account,
                parts,
                loop=asyncio.get_running_loop(),
                pace=Pace(
                    first_pause=settings.smpp_reconnect_seconds,
                    enquire_link=settings.smpp_enquire_link_seconds,
                ),
            )
            async with in_background(
                follow_readiness(server.health, stores=[database.check]),
                follow_link(server.health, lambda: parts.sender.is_connected, MESSAGING_SERVICE),
                every(HOUSEKEEPING_SECONDS, parts.sender.erase, name="erasing sent messages"),
                every(HOUSEKEEPING_SECONDS, parts.receiver.erase, name="erasing read messages"),
                every(HOUSEKEEPING_SECONDS, idempotency.purge_expired, name="purging requests"),
                parts.sender.run(link),
            ):
                link.start()
                try:
                    await wait_for(stop, server)
                finally:
                    await link.stop()
            await parts.sender.finish()
    finally:
        await channel.close()
        await database.close()


def main() -> None:
    """Serve with the environment's settings until SIGTERM."""
    settings = MessagingSettings()  # type: ignore[call-arg]  # from the environment
    process.run(settings, partial(serve, settings))


if __name__ == "__main__":
    main()
