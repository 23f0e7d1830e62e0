"""Which answers of SIMs count: only an authentic one, of the phone that was asked, to what it was
asked. All others are taken and change nothing."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phones.outcomes import Outcome
from phones.sim import sign_digest
from phones.subscribers import Subscriber
from qagazsyz.signing.v1 import mobile_signatures_pb2 as pb
from services.signing.exchange.answers import UNREAD, _answer_in, _authentic, _counter_of
from services.signing.mobile.outcomes import end_by_refusal, end_without_signature
from services.signing.mobile.rules import MobileSignatureOutcome, Session
from sms.applet import Answer, Status, write_answer
from sms.parts import RESPONSE_PACKET, split_packet
from sms.secured_packets import ResponseStatus, write_response
from tests.unit.signing.mobile.world import DELIVERED, World

in_world = pytest.mark.asyncio(loop_scope="module")
FAILED = pb.MOBILE_SIGNATURE_STATE_FAILED
SIGNED = pb.MOBILE_SIGNATURE_STATE_SIGNED


@dataclass
class Asked:
    """A session that waits for a phone whose person does not answer."""

    world: World
    subscriber: Subscriber
    session: Session

    def packet(
        self,
        status: Status = Status.SIGNED,
        *,
        counter: int = 0,
        nonce: bytes = b"",
        mac_key: bytes = b"",
        refusal: ResponseStatus = ResponseStatus.OK,
    ) -> bytes:
        """The SIM's packet, as the session wants it but for what is given."""
        sim = self.subscriber.sim
        signature = sign_digest(sim.key, self.session.digest) if status is Status.SIGNED else b""
        answer = Answer(status, nonce or self.session.nonce, signature)
        data = write_answer(answer) if refusal is ResponseStatus.OK else b""
        return write_response(
            counter or self.session.counter, data, mac_key or sim.mac_key, refusal
        )

    async def send(self, packet: bytes, number: str = "") -> pb.MobileSignature:
        """The session once the platform has taken the packet from the phone."""
        taken = await self.world.taken()
        number = number or self.subscriber.number
        for message in split_packet(packet, RESPONSE_PACKET, 1):
            self.world.network._send(number, "1414", message)
        await self.world.until_taken(taken + 1)
        return await self.world.get(self.session.name)


async def asked(world: World) -> Asked:
    subject, subscriber = await world.person(Outcome.SILENT)
    created = await world.create(subject)
    await world.delivered(created.name)
    session = await world.mobile.sessions.find(created.name.rpartition("/")[2])
    assert session is not None
    return Asked(world, subscriber, session)


@in_world
async def test_what_is_not_the_sims_answer_to_this_changes_nothing(world: World) -> None:
    one, other = await asked(world), await asked(world)
    good, counter = one.packet(), one.session.counter
    for packet in (
        one.packet(counter=counter - 1),
        one.packet(counter=counter + 1),
        one.packet(nonce=b"another!"),
        one.packet(nonce=other.session.nonce),
        one.packet(mac_key=other.subscriber.sim.mac_key),
        one.packet(refusal=ResponseStatus.COUNTER_LOW),
        one.packet(refusal=ResponseStatus.CHECKSUM_FAILED),
        good[:-1] + bytes([good[-1] ^ 1]),
        good[:40],
        b"noise",
        bytes(200),
    ):
        assert (await one.send(packet)).state == DELIVERED
    # From another phone, though it is word for word.
    assert (await one.send(good, other.subscriber.number)).state == DELIVERED
    assert (await world.get(other.session.name)).state == DELIVERED
    # Messaging counts the same octets from one phone once; this is the first from this one.
    assert (await one.send(good)).state == SIGNED
    # What comes after the end changes nothing, a good refusal among it.
    assert (await one.send(one.packet(Status.CANCELLED))).state == SIGNED


@in_world
@pytest.mark.parametrize(
    "refusal", [ResponseStatus.TAR_UNKNOWN, ResponseStatus.INSUFFICIENT_SECURITY_LEVEL]
)
async def test_a_card_without_the_applet_fails(world: World, refusal: ResponseStatus) -> None:
    one = await asked(world)
    ended = await one.send(one.packet(refusal=refusal))
    assert (ended.state, ended.outcome) == (FAILED, pb.MOBILE_SIGNATURE_OUTCOME_SIM_FAILED)


@in_world
async def test_an_applet_that_could_not_read_its_request_fails(world: World) -> None:
    one = await asked(world)
    ended = await one.send(one.packet(Status.MALFORMED, nonce=bytes(8)))
    assert (ended.state, ended.outcome) == (FAILED, pb.MOBILE_SIGNATURE_OUTCOME_SIM_FAILED)


@in_world
async def test_a_revoked_certificate_signs_nothing(world: World) -> None:
    one = await asked(world)
    phone = await world.mobile.servicer._phones.get(one.session.phone)
    assert phone is not None
    await world.identity.revoke(phone[1].certificate, world.identity.as_operator)
    ended = await one.send(one.packet())
    assert (ended.state, ended.signature) == (FAILED, b"")
    assert ended.outcome in (
        pb.MOBILE_SIGNATURE_OUTCOME_CERTIFICATE_NOT_GOOD,
        pb.MOBILE_SIGNATURE_OUTCOME_PHONE_ENDED,
    )


def test_every_status_of_the_applet_is_an_outcome() -> None:
    ends = {status: end_without_signature(status) for status in Status if status}
    assert MobileSignatureOutcome.UNSPECIFIED not in {end.outcome for end in ends.values()}


def test_refusals_that_a_forger_or_the_network_can_cause_end_nothing() -> None:
    idle = {status for status in ResponseStatus if end_by_refusal(status) is None}
    assert idle == {
        ResponseStatus.OK,
        ResponseStatus.COUNTER_LOW,
        ResponseStatus.CHECKSUM_FAILED,
    }


@given(st.binary(max_size=300))
def test_noise_is_no_answer(packet: bytes) -> None:
    assert _authentic(packet, bytes(16)) is None
    assert _counter_of(packet) < 1 << 40
    assert _answer_in(packet) is None or _answer_in(packet) != UNREAD or packet[:3] == b"\x90\x01q"
