"""The demo's chapter with phones: three citizens, whose SIMs sign for them.

Everything goes its real way: sessions of signing, messaging, SMPP, the simulated network and its
SIMs. What a screen must say is compared character by character, with the code.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import grpc
from google.protobuf import json_format

from demo.mobile_network import MobileNetwork, PhoneInHand
from demo.steps import Demo, Mismatch, must
from phones.subscribers import Subscriber, key_lists, sim_lists
from qagazsyz.client import Client
from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.documents import ask_phone, phone_signature, sign_document, statement
from qagazsyz.identity.v1 import phones_pb2, phones_pb2_grpc
from qagazsyz.phone import ShowCode, sign_in_async
from qagazsyz.registry.v1 import documents_pb2, documents_pb2_grpc
from qagazsyz.signing.v1 import mobile_signatures_pb2, mobile_signatures_pb2_grpc
from signatures.x509 import is_signed_by_certificate
from testing.enrolment import TIMEOUT_SECONDS, Actor

PHONES = 3
# Of a verification code (docs/phones.md).
CODE_DIGITS = 4
POLL_SECONDS = 0.1
CONTRACT_TYPE = "documentTypes/loan-contract"
REFUSED = (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNAUTHENTICATED)
P1363 = signatures_pb2.SIGNATURE_ALGORITHM_ECDSA_P256_SHA256_P1363
State = mobile_signatures_pb2.MobileSignatureState
Outcome = mobile_signatures_pb2.MobileSignatureOutcome

# Shows what stood on a phone's screens, under a caption.
ShowScreens = Callable[[str, Sequence[str]], None]


@dataclass(frozen=True, slots=True)
class Holder:
    """A citizen and their phone."""

    actor: Actor
    iin: str
    subscriber: Subscriber
    # "subjects/{subject}/phones/{phone}".
    phone: str

    @property
    def subject(self) -> str:
        return self.actor.subject


@dataclass(slots=True)
class PhoneSteps:
    """The steps, and what they pass on to each other. demo: has an operator, a first bank and
    citizens, the last ones of whom get phones."""

    demo: Demo
    network: MobileNetwork
    show: ShowScreens
    _holders: list[Holder] = field(default_factory=list)
    # Of the first holder, signed in by phone.
    _client: Client | None = None

    def steps(self) -> list[tuple[str, Callable[[], Awaitable[str]]]]:
        """Return the steps in order, as Demo.steps does."""
        return [
            ("Phones", self.bind),
            ("Sign-in by phone", self.sign_in),
            ("Signature by phone", self.sign),
            ("Cancelled on the phone", self.cancel),
            ("SIM swap", self.swap),
        ]

    # Binding

    async def bind(self) -> str:
        """Import the network's lists as an operator; bind phones as their holders, who confirm it
        with the certificates that they have. Each phone's SIM signs for it."""
        await self._import_lists()
        first, *_ = self.network.subscribers
        hand = self.network.take(first)
        citizens = zip(self.demo.citizens[-PHONES:], self.demo.people[-PHONES:], strict=True)
        for (actor, person), subscriber in zip(citizens, self.network.subscribers, strict=True):
            asked = await phones_pb2_grpc.PhoneServiceStub(
                self.demo.client(actor).channel
            ).BindPhone(
                phones_pb2.BindPhoneRequest(
                    subject=actor.subject,
                    number=subscriber.number,
                    language=subscriber.language,
                    request_id=str(uuid.uuid4()),
                ),
                timeout=TIMEOUT_SECONDS,
            )
            must(phones_pb2.PHONE_STATE_PENDING, asked.state, "the phone's state")
            self._holders.append(Holder(actor, person.iin, subscriber, asked.name))
        text, _, code = (await self._read(hand)).rpartition(" ")
        must("Qagazsyz: осы нөмірді өзіңізге тіркеу Код", text, "what the phone shows")
        must(True, len(code) == CODE_DIGITS and code.isdecimal(), "whether a code stands behind it")
        hand.agree()
        self.show(f"{first.number}, a phone of one line and sixteen characters", hand.screens)
        for number, holder in enumerate(self._holders):
            await self._until_active(holder)
            self.demo.advance(number + 1, PHONES)
        return f"{PHONES} bound; each SIM has signed, and has a certificate"

    async def _until_active(self, holder: Holder) -> None:
        phones = phones_pb2_grpc.PhoneServiceStub(self.demo.client(holder.actor).channel)
        get = phones_pb2.GetPhoneRequest(name=holder.phone)
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                while True:
                    phone = await phones.GetPhone(get, timeout=TIMEOUT_SECONDS)
                    if phone.state != phones_pb2.PHONE_STATE_PENDING:
                        break
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise Mismatch("a phone is still pending") from None
        must(phones_pb2.PHONE_STATE_ACTIVE, phone.state, "the phone's state")

    async def _import_lists(self) -> None:
        operator = self.demo.client(self.demo.actors["operator"])
        phones = phones_pb2_grpc.PhoneServiceStub(operator.channel)
        for sims in sim_lists(self.network.subscribers):
            request = json_format.ParseDict(sims, phones_pb2.ImportSimsRequest())
            imported = await phones.ImportSims(request, timeout=TIMEOUT_SECONDS)
            must(PHONES, imported.imported_count, "imported SIMs")
        signing = mobile_signatures_pb2_grpc.MobileSignatureServiceStub(operator.channel)
        for keys in key_lists(self.network.subscribers, self.network.transport_key):
            parsed = json_format.ParseDict(keys, mobile_signatures_pb2.ImportSimKeysRequest())
            await signing.ImportSimKeys(parsed, timeout=TIMEOUT_SECONDS)

    # Signing

    async def sign_in(self) -> str:
        """Sign in by number and IIN, with the code compared on both sides."""
        holder = self._holders[0]
        hand = self.network.take(holder.subscriber)
        code: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def answer() -> None:
            text = await self._read(hand)
            must(f"Qagazsyz: кіру Код {await code}", text, "what the phone shows")
            hand.agree()

        client, _ = await asyncio.gather(self._signed_in(holder, code.set_result), answer())
        token = await client.token()
        must(holder.subject, token.subject, "whose token it is")
        self.show(f"{holder.subscriber.number}, code {await code} on both sides", hand.screens)
        self._client = client
        return "a token for number and IIN, once the SIM had signed"

    async def _signed_in(self, holder: Holder, show_code: ShowCode) -> Client:
        credential = await sign_in_async(
            self.demo.open(None).channel,
            holder.subscriber.number,
            holder.iin,
            show_code,
        )
        return self.demo.open(credential)

    async def sign(self) -> str:
        """Have a borrower sign a contract on the SIM, and register it as the bank with its own
        officer's signature beside."""
        holder, bank = self._holders[0], self.demo.actors["first bank"]
        assert self._client is not None  # noqa: S101 - the step before signed in
        await self._create_type()
        content = "№ 17 қарыз шарты: 2 000 000 ₸, 36 ай.\n".encode()
        contract = documents_pb2.Document(
            document_type=CONTRACT_TYPE,
            subjects=[holder.subject],
            issuer=bank.organization,
            title="№ 17 қарыз шарты",
            media_type="text/plain; charset=utf-8",
        )
        asked, hand = await self._ask(self._client, holder, contract, content, "№ 17 қарыз шарты")
        hand.agree()
        signed = await self._ended(self._client, asked.name)
        must(State.MOBILE_SIGNATURE_STATE_SIGNED, signed.state, "the session's state")
        self.show(f"{holder.subscriber.number}, code {asked.verification_code}", hand.screens)
        message = statement(contract, content)
        is_held = is_signed_by_certificate(signed.certificate, P1363, message, signed.signature)
        must(True, is_held, "whether the SIM's signature holds under its certificate")
        request = sign_document(contract, content, bank.credential, request_id=str(uuid.uuid4()))
        request.signatures.append(phone_signature(signed))
        registered = await documents_pb2_grpc.DocumentServiceStub(
            self.demo.client(bank).channel
        ).RegisterDocument(request, timeout=TIMEOUT_SECONDS)
        signers = [signature.signer for signature in registered.signatures]
        must([bank.subject, holder.subject], signers, "the document's signers")
        return f"a contract, no. {registered.log_index} in the log, by the bank and by a SIM"

    async def _create_type(self) -> None:
        bank, operator = self.demo.actors["first bank"], self.demo.actors["operator"]
        await documents_pb2_grpc.DocumentServiceStub(
            self.demo.client(operator).channel
        ).CreateDocumentType(
            documents_pb2.CreateDocumentTypeRequest(
                document_type=documents_pb2.DocumentType(
                    display_names={"kk": "Қарыз шарты", "ru": "Договор займа"},
                    issuers=[bank.organization],
                ),
                document_type_id=CONTRACT_TYPE.removeprefix("documentTypes/"),
            ),
            timeout=TIMEOUT_SECONDS,
        )

    async def _ask(
        self,
        client: Client,
        holder: Holder,
        document: documents_pb2.Document,
        content: bytes,
        display_text: str,
    ) -> tuple[mobile_signatures_pb2.MobileSignature, PhoneInHand]:
        """Ask a holder's own phone, and read what it shows; return the session and the phone."""
        hand = self.network.take(holder.subscriber)
        asked = await mobile_signatures_pb2_grpc.MobileSignatureServiceStub(
            client.channel
        ).CreateMobileSignature(
            ask_phone(
                document,
                content,
                signer=holder.subject,
                display_text=display_text,
                request_id=str(uuid.uuid4()),
            ),
            timeout=TIMEOUT_SECONDS,
        )
        word = "Code" if holder.subscriber.language == "en" else "Код"
        shown = f"Qagazsyz: {display_text} {word} {asked.verification_code}"
        must(shown, await self._read(hand), "what the phone shows")
        return asked, hand

    async def _ended(self, client: Client, name: str) -> mobile_signatures_pb2.MobileSignature:
        """Follow a session to its last state."""
        stub = mobile_signatures_pb2_grpc.MobileSignatureServiceStub(client.channel)
        watch = mobile_signatures_pb2.WatchMobileSignatureRequest(name=name)
        *_, last = [
            each async for each in stub.WatchMobileSignature(watch, timeout=TIMEOUT_SECONDS)
        ]
        return last

    # Refusals

    async def cancel(self) -> str:
        """Have another person asked, who presses cancel."""
        holder = self._holders[1]
        client, contract, content = await self._contract_of(holder)
        asked, hand = await self._ask(client, holder, contract, content, "договор займа № 18")
        hand.cancel()
        ended = await self._ended(client, asked.name)
        self.show(f"{holder.subscriber.number}, then the key that cancels", hand.screens)
        must(Outcome.MOBILE_SIGNATURE_OUTCOME_USER_CANCELLED, ended.outcome, "the outcome")
        must(b"", ended.signature, "the signature")
        return f"no signature: {_words(ended)}"

    async def swap(self) -> str:
        """Have a third person asked, whose SIM is swapped while the request is on the screen."""
        holder = self._holders[2]
        client, contract, content = await self._contract_of(holder)
        asked, hand = await self._ask(client, holder, contract, content, "loan contract 19")
        self.show(f"{holder.subscriber.number}, then the SIM is swapped", hand.screens)
        self.network.swap_sim(holder.subscriber)
        await phones_pb2_grpc.PhoneServiceStub(
            self.demo.client(self.demo.actors["operator"]).channel
        ).ReportSimSwap(
            phones_pb2.ReportSimSwapRequest(numbers=[holder.subscriber.number]),
            timeout=TIMEOUT_SECONDS,
        )
        ended = await self._ended(client, asked.name)
        must(Outcome.MOBILE_SIGNATURE_OUTCOME_PHONE_ENDED, ended.outcome, "the outcome")
        get = phones_pb2.GetPhoneRequest(name=holder.phone)
        phone = await phones_pb2_grpc.PhoneServiceStub(
            self.demo.client(holder.actor).channel
        ).GetPhone(get, timeout=TIMEOUT_SECONDS)
        must(phones_pb2.PHONE_STATE_ENDED, phone.state, "the phone's state")
        await self._must_confirm_nothing(client, holder)
        return f"{_words(ended)}; the old SIM's token confirms nothing any more"

    async def _contract_of(self, holder: Holder) -> tuple[Client, documents_pb2.Document, bytes]:
        """Sign a holder in, whose phone answers by itself; return a contract for them to sign."""
        client = await self._signed_in(holder, lambda _code: None)
        contract = documents_pb2.Document(
            document_type=CONTRACT_TYPE,
            subjects=[holder.subject],
            issuer=self.demo.actors["first bank"].organization,
            media_type="text/plain; charset=utf-8",
        )
        return client, contract, "Қарыз шарты.\n".encode()

    async def _must_confirm_nothing(self, client: Client, holder: Holder) -> None:
        """Try to bind another number, which is listed, by the token that the old SIM got."""
        other = self.network.subscribers[0].number
        try:
            await phones_pb2_grpc.PhoneServiceStub(client.channel).BindPhone(
                phones_pb2.BindPhoneRequest(
                    subject=holder.subject, number=other, request_id=str(uuid.uuid4())
                ),
                timeout=TIMEOUT_SECONDS,
            )
        except grpc.aio.AioRpcError as error:
            # No phone confirms it; soon after, the token itself is refused.
            must(True, error.code() in REFUSED, "whether the old SIM's token is refused")
        else:
            raise Mismatch("an act was confirmed by a SIM that was swapped")

    async def _read(self, hand: PhoneInHand) -> str:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await hand.read()
        except TimeoutError:
            raise Mismatch("no request came to the phone") from None


def _words(ended: mobile_signatures_pb2.MobileSignature) -> str:
    """Return a session's state and outcome, without the names of their enums."""
    state = State.Name(ended.state).removeprefix("MOBILE_SIGNATURE_STATE_")
    outcome = Outcome.Name(ended.outcome).removeprefix("MOBILE_SIGNATURE_OUTCOME_")
    return f"{state}, {outcome}"
