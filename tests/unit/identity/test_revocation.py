"""Revocation of outside authorities' certificates: what is taken for an answer, and what is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asn1crypto.core import GeneralizedTime
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from qagazsyz.common.v1.certificates_pb2 import CertificateStatus as Status
from services.identity.validation.interface import Judgement
from services.identity.validation.trust_store import TrustFolder
from services.identity.validation.validator import Validator
from services.runtime.clock import system_randomness
from tests.unit.identity.authorities import (
    Clock,
    Network,
    ocsp_answer,
    revocation_list,
    with_single_extensions,
)
from tests.unit.identity.chains import (
    AUTHORITY,
    NOW,
    ROOT,
    GostKey,
    Made,
    Profile,
    key_usage,
    make,
)

LIST = "http://authority.example/list.crl"
OCSP = "http://authority.example/ocsp"
HOUR = timedelta(hours=1)
BEFORE = NOW - HOUR


@dataclass
class World:
    """A root, an authority under it, a validator that trusts the root, and a network."""

    folder: Path
    network: Network = field(default_factory=Network)
    clock: Clock = field(default_factory=Clock)
    root: Made = field(default_factory=lambda: make(ROOT))

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.authority = make(AUTHORITY, self.root)
        (self.folder / "root.pem").write_bytes(self.root.pem)
        (self.folder / "authority.der").write_bytes(self.authority.der)
        self.ticks = 0.0
        self.validator = Validator(
            folder=TrustFolder(self.folder, now=self._tick),
            fetch=self.network,
            clock=self.clock,
            randomness=system_randomness,
        )

    def _tick(self) -> float:
        self.ticks += 1.0
        return self.ticks

    def leaf(self, *, lists: Sequence[str] = (), ocsp: Sequence[str] = (), **more: Any) -> Made:
        return make(replace(Profile(lists=lists, ocsp=ocsp), **more), self.authority)

    def answers(self, leaf: Made, **more: Any) -> None:
        """The responder answers about the leaf."""
        self.network.responders[OCSP] = lambda question: ocsp_answer(
            question, leaf, self.authority, **more
        )

    def publishes(self, *revoked: tuple[Made, datetime], **more: Any) -> None:
        self.network.lists[LIST] = revocation_list(self.authority, revoked, **more)

    async def judged(self, leaf: Made, at: datetime | None = None) -> Judgement:
        answers = await self.validator.judge_many({"x": leaf.der}, at=at or self.clock())
        # Under one name for all: the tests ask about different certificates one after the other.
        self.validator._kept.clear()
        return answers["x"]

    async def status(self, leaf: Made, at: datetime | None = None) -> str:
        return Status.Name((await self.judged(leaf, at)).status).removeprefix("CERTIFICATE_STATUS_")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "trust")


async def test_a_certificate_that_names_no_source_is_unknown(world: World) -> None:
    assert await world.status(world.leaf()) == "UNKNOWN"


# Lists


async def test_a_certificate_that_is_not_on_the_list_is_good(world: World) -> None:
    world.publishes()
    assert await world.status(world.leaf(lists=[LIST])) == "GOOD"


async def test_a_certificate_on_the_list_is_revoked_from_its_date_on(world: World) -> None:
    leaf = world.leaf(lists=[LIST])
    world.publishes((leaf, BEFORE))
    judged = await world.judged(leaf)
    assert judged.status == Status.CERTIFICATE_STATUS_REVOKED
    assert judged.revoke_time == BEFORE
    assert await world.status(leaf, BEFORE - timedelta(seconds=1)) == "GOOD"
    assert await world.status(leaf, BEFORE) == "REVOKED"


async def test_a_list_that_cannot_be_reached_is_unknown_and_never_good(world: World) -> None:
    assert await world.status(world.leaf(lists=[LIST])) == "UNKNOWN"


BAD_LISTS: dict[str, Callable[[World], bytes]] = {
    "out of date": lambda w: revocation_list(w.authority, next_update=NOW),
    "of a time to come": lambda w: revocation_list(
        w.authority, this_update=NOW + timedelta(minutes=6)
    ),
    "by another key": lambda w: revocation_list(w.authority, key=w.root.key),
    "of another issuer": lambda w: revocation_list(w.root),
    "under the issuer's name by another": lambda w: revocation_list(w.root, name=w.authority.name),
    "a delta": lambda w: revocation_list(
        w.authority, extensions=[(x509.DeltaCRLIndicator(1), True)]
    ),
    "indirect": lambda w: revocation_list(w.authority, extensions=[(scope(indirect=True), True)]),
    "of authorities only": lambda w: revocation_list(
        w.authority, extensions=[(scope(authorities=True), True)]
    ),
    "for some reasons only": lambda w: revocation_list(
        w.authority,
        extensions=[(scope(reasons=frozenset({x509.ReasonFlags.key_compromise})), True)],
    ),
    "published elsewhere": lambda w: revocation_list(
        w.authority, extensions=[(scope(at="http://authority.example/other.crl"), True)]
    ),
    "with an unknown critical extension": lambda w: revocation_list(
        w.authority,
        extensions=[
            (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\0"), True)
        ],
    ),
    "no list": lambda w: b"<html>not found</html>",
    "truncated": lambda w: revocation_list(w.authority)[:-3],
}


def scope(
    *,
    at: str | None = None,
    indirect: bool = False,
    authorities: bool = False,
    users: bool = False,
    reasons: frozenset[x509.ReasonFlags] | None = None,
) -> x509.IssuingDistributionPoint:
    return x509.IssuingDistributionPoint(
        full_name=None if at is None else [x509.UniformResourceIdentifier(at)],
        relative_name=None,
        only_contains_user_certs=users,
        only_contains_ca_certs=authorities,
        only_some_reasons=reasons,
        indirect_crl=indirect,
        only_contains_attribute_certs=False,
    )


@pytest.mark.parametrize("bad", BAD_LISTS)
async def test_a_list_that_says_nothing_leaves_it_unknown(world: World, bad: str) -> None:
    world.network.lists[LIST] = BAD_LISTS[bad](world)
    assert await world.status(world.leaf(lists=[LIST])) == "UNKNOWN"


async def test_a_list_for_holders_published_at_this_address_serves(world: World) -> None:
    world.publishes(extensions=[(scope(at=LIST, users=True), True)])
    assert await world.status(world.leaf(lists=[LIST])) == "GOOD"


UNKNOWN_EXTENSION = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\0")


async def test_an_entry_that_says_more_than_is_known_says_nothing(world: World) -> None:
    leaf = world.leaf(lists=[LIST])
    world.publishes((leaf, BEFORE), entry_extensions=[(UNKNOWN_EXTENSION, True)])
    assert await world.status(leaf) == "UNKNOWN"
    assert await world.status(world.leaf(lists=[LIST])) == "GOOD"


async def test_an_entry_of_another_issuer_spoils_the_list(world: World) -> None:
    other = x509.CertificateIssuer([x509.DirectoryName(world.root.name)])
    world.publishes((world.leaf(), BEFORE), entry_extensions=[(other, True)])
    assert await world.status(world.leaf(lists=[LIST])) == "UNKNOWN"


async def test_a_certificate_counts_no_longer_than_its_key_was_its_holders(world: World) -> None:
    leaf = world.leaf(lists=[LIST])
    lost = x509.InvalidityDate((BEFORE - HOUR).replace(tzinfo=None))
    world.publishes((leaf, BEFORE), entry_extensions=[(lost, False)])
    assert (await world.judged(leaf)).revoke_time == BEFORE - HOUR
    assert await world.status(leaf, BEFORE - HOUR) == "REVOKED"
    assert await world.status(leaf, BEFORE - HOUR - timedelta(seconds=1)) == "GOOD"


async def test_a_list_that_nobody_uses_is_not_fetched_for_ever(world: World) -> None:
    leaf = world.leaf(lists=[LIST])
    world.publishes(next_update=NOW + timedelta(days=365))
    assert await world.status(leaf) == "GOOD"
    for _ in range(30):
        world.clock.move(hours=1)
        await world.validator._revocations.renew()
    assert 24 <= len(world.network.asked) <= 26


async def test_an_issuer_that_may_sign_no_lists_is_not_heard(world: World, tmp_path: Path) -> None:
    other = World(tmp_path / "other")
    other.authority = make(replace(AUTHORITY, usage=key_usage("key_cert_sign")), other.root)
    (other.folder / "authority.der").write_bytes(other.authority.der)
    other.publishes()
    assert await other.status(other.leaf(lists=[LIST])) == "UNKNOWN"


async def test_one_list_is_fetched_once_for_all_its_certificates(world: World) -> None:
    world.publishes()
    leaves = [world.leaf(lists=[LIST]) for _ in range(40)]
    answers = await world.validator.judge_many(
        {str(index): leaf.der for index, leaf in enumerate(leaves)}, at=NOW
    )
    assert {answer.status for answer in answers.values()} == {Status.CERTIFICATE_STATUS_GOOD}
    assert world.network.asked == [LIST]


async def test_a_stale_list_is_never_good(world: World) -> None:
    world.publishes(next_update=NOW + timedelta(minutes=30))
    leaf = world.leaf(lists=[LIST])
    assert await world.status(leaf) == "GOOD"
    del world.network.lists[LIST]
    world.clock.move(minutes=29)
    assert await world.status(leaf) == "GOOD", "it holds until its nextUpdate"
    world.clock.move(minutes=1)
    assert await world.status(leaf) == "UNKNOWN"


async def test_an_answer_is_fresh_no_longer_than_its_list(world: World) -> None:
    world.publishes(next_update=NOW + timedelta(minutes=2))
    judged = await world.judged(world.leaf(lists=[LIST]))
    assert judged.fresh_until == NOW + timedelta(minutes=2)


async def test_a_list_is_fetched_again_before_it_runs_out(world: World) -> None:
    leaf = world.leaf(lists=[LIST])
    world.publishes(this_update=NOW, next_update=NOW + timedelta(minutes=40))
    assert await world.status(leaf) == "GOOD"
    world.publishes((leaf, BEFORE), this_update=NOW + HOUR / 2)
    world.clock.move(minutes=31)
    await world.validator._revocations.renew()
    assert world.network.asked == [LIST, LIST]
    assert await world.status(leaf) == "REVOKED"


async def test_an_older_list_takes_nothing_back(world: World) -> None:
    leaf = world.leaf(lists=[LIST])
    world.publishes((leaf, BEFORE), this_update=NOW, next_update=NOW + timedelta(hours=48))
    assert await world.status(leaf) == "REVOKED"
    world.publishes(this_update=NOW - timedelta(minutes=30), next_update=NOW + 48 * HOUR)
    world.clock.move(hours=2)
    await world.validator._revocations.renew()
    assert len(world.network.asked) == 2
    assert await world.status(leaf) == "REVOKED"


async def test_a_list_from_the_folder_serves_where_the_network_does_not(world: World) -> None:
    leaf, revoked = world.leaf(lists=[LIST]), world.leaf()
    (world.folder / "authority.crl").write_bytes(
        revocation_list(world.authority, [(revoked, BEFORE)])
    )
    assert await world.status(leaf) == "GOOD"
    assert await world.status(revoked) == "REVOKED"
    world.clock.move(hours=24)
    assert await world.status(leaf) == "UNKNOWN", "it has run out"


async def test_an_expired_certificate_that_is_not_listed_may_have_been_forgotten(
    world: World,
) -> None:
    world.publishes()
    leaf = world.leaf(lists=[LIST], not_after=NOW - timedelta(days=1))
    assert await world.status(leaf) == "EXPIRED"
    assert await world.status(leaf, NOW - timedelta(days=2)) == "UNKNOWN"


async def test_a_list_that_forgets_nothing_answers_for_expired_certificates(world: World) -> None:
    since = x509.UnrecognizedExtension(
        x509.ObjectIdentifier("2.5.29.60"), b"\x18\x0f20200101000000Z"
    )
    world.publishes(extensions=[(since, False)])
    leaf = world.leaf(lists=[LIST], not_after=NOW - timedelta(days=1))
    assert await world.status(leaf, NOW - timedelta(days=2)) == "GOOD"


async def test_an_expired_certificate_that_is_listed_is_revoked(world: World) -> None:
    leaf = world.leaf(lists=[LIST], not_after=NOW - timedelta(days=1))
    world.publishes((leaf, NOW - timedelta(days=3)))
    assert await world.status(leaf, NOW - timedelta(days=2)) == "REVOKED"


async def test_the_list_of_a_gost_authority_is_verified(tmp_path: Path) -> None:
    # Its list is made by asn1crypto: cryptography signs with no such key.
    from asn1crypto import algos, core, crl

    world = World(tmp_path / "gost")
    key = GostKey()
    world.authority = make(AUTHORITY, world.root, key=key)
    (world.folder / "authority.der").write_bytes(world.authority.der)
    stand_in = revocation_list(world.authority, key=world.root.key)
    parsed = crl.CertificateList.load(stand_in)
    algorithm = algos.SignedDigestAlgorithm({"algorithm": "1.2.398.3.10.1.1.2.3.2"})
    tbs = parsed["tbs_cert_list"]
    tbs["signature"] = algorithm
    content = tbs.dump(force=True)

    def signed_by(signature: bytes) -> bytes:
        whole: bytes = crl.CertificateList(
            {
                "tbs_cert_list": tbs,
                "signature_algorithm": algorithm,
                "signature": core.OctetBitString(signature),
            }
        ).dump(force=True)
        return whole

    world.network.lists[LIST] = signed_by(key.sign(content))
    leaf = world.leaf(lists=[LIST])
    assert await world.status(leaf) == "GOOD"
    other = "http://authority.example/forged.crl"
    world.network.lists[other] = signed_by(key.sign(content + b"!"))
    assert await world.status(world.leaf(lists=[other])) == "UNKNOWN"


# OCSP


async def test_a_responder_says_good(world: World) -> None:
    leaf = world.leaf(ocsp=[OCSP])
    world.answers(leaf)
    assert await world.status(leaf) == "GOOD"


async def test_a_responder_says_revoked_since_when(world: World) -> None:
    leaf = world.leaf(ocsp=[OCSP])
    world.answers(leaf, revoked_since=BEFORE)
    judged = await world.judged(leaf)
    assert judged.status == Status.CERTIFICATE_STATUS_REVOKED
    assert judged.revoke_time == BEFORE
    assert await world.status(leaf, BEFORE - HOUR) == "GOOD"


BAD_ANSWERS: dict[str, dict[str, Any]] = {
    "of a past question": {"nonce": b"n" * 32},
    "out of date": {"this_update": NOW - HOUR, "next_update": NOW},
    "of a time to come": {"this_update": NOW + timedelta(minutes=6)},
    "without a nonce and old": {"with_nonce": False, "this_update": NOW - timedelta(minutes=11)},
    "without nextUpdate and old": {
        "next_update": None,
        "this_update": NOW - timedelta(minutes=11),
    },
    "that it does not know": {"unknown": True},
}


@pytest.mark.parametrize("bad", BAD_ANSWERS)
async def test_an_answer_that_says_nothing_leaves_it_unknown(world: World, bad: str) -> None:
    leaf = world.leaf(ocsp=[OCSP])
    world.answers(leaf, **BAD_ANSWERS[bad])
    assert await world.status(leaf) == "UNKNOWN"


@pytest.mark.parametrize("data", [b"", b"\x30\x03\x0a\x01\x06", b"<html>"])
async def test_what_is_no_answer_leaves_it_unknown(world: World, data: bytes) -> None:
    world.network.responders[OCSP] = lambda _: data
    assert await world.status(world.leaf(ocsp=[OCSP])) == "UNKNOWN"


async def test_an_answer_about_another_certificate_is_none(world: World) -> None:
    leaf, other = world.leaf(ocsp=[OCSP]), world.leaf()
    world.answers(leaf, about=other)
    assert await world.status(leaf) == "UNKNOWN"


async def test_an_answer_that_says_more_is_understood_or_not_taken(world: World) -> None:
    leaf = world.leaf(ocsp=[OCSP])

    def says(**extension: Any) -> None:
        world.network.responders[OCSP] = lambda question: with_single_extensions(
            ocsp_answer(question, leaf, world.authority, revoked_since=BEFORE),
            world.authority,
            extension,
        )

    says(extn_id="invalidity_date", extn_value=GeneralizedTime(BEFORE - HOUR))
    assert (await world.judged(leaf)).revoke_time == BEFORE - HOUR
    for critical, status in ((False, "REVOKED"), (True, "UNKNOWN")):
        says(extn_id="1.2.3.4", critical=critical, extn_value=b"\x05\0")
        world.clock.move(minutes=6)
        assert await world.status(leaf) == status


async def test_a_fresh_answer_without_a_nonce_is_taken(world: World) -> None:
    leaf = world.leaf(ocsp=[OCSP])
    world.answers(leaf, with_nonce=False)
    assert await world.status(leaf) == "GOOD"


async def test_an_answer_with_a_forged_signature_is_none(world: World) -> None:
    leaf = world.leaf(ocsp=[OCSP])

    def forged(question: bytes) -> bytes:
        answer = bytearray(ocsp_answer(question, leaf, world.authority))
        answer[-1] ^= 1
        return bytes(answer)

    world.network.responders[OCSP] = forged
    assert await world.status(leaf) == "UNKNOWN"


RESPONDER = Profile(
    common_name="Responder",
    usage=key_usage("digital_signature"),
    purposes=[ExtendedKeyUsageOID.OCSP_SIGNING],
    extensions=[(x509.OCSPNoCheck(), False)],
)


async def test_a_responder_that_the_issuer_made_one_is_heard(world: World) -> None:
    leaf = world.leaf(ocsp=[OCSP])
    world.answers(leaf, responder=make(RESPONDER, world.authority))
    assert await world.status(leaf) == "GOOD"


BAD_RESPONDERS: dict[str, Callable[[World], Made]] = {
    "without the purpose": lambda w: make(replace(RESPONDER, purposes=None), w.authority),
    "with other purposes": lambda w: make(
        replace(RESPONDER, purposes=[ExtendedKeyUsageOID.CLIENT_AUTH]), w.authority
    ),
    "made by the issuer's issuer": lambda w: make(RESPONDER, w.root),
    "made by nobody": lambda w: make(RESPONDER),
    "expired": lambda w: make(replace(RESPONDER, not_after=NOW - HOUR), w.authority),
    "that may be revoked and names no list": lambda w: make(
        replace(RESPONDER, extensions=[]), w.authority
    ),
}


@pytest.mark.parametrize("bad", BAD_RESPONDERS)
async def test_another_responder_is_not_heard(world: World, bad: str) -> None:
    leaf = world.leaf(ocsp=[OCSP])
    world.answers(leaf, responder=BAD_RESPONDERS[bad](world))
    assert await world.status(leaf) == "UNKNOWN"


@pytest.mark.parametrize("revoked", [False, True])
async def test_a_responder_without_the_mark_is_looked_up_in_the_list(
    world: World, revoked: bool
) -> None:
    leaf = world.leaf(ocsp=[OCSP])
    responder = make(replace(RESPONDER, extensions=[], lists=[LIST]), world.authority)
    world.answers(leaf, responder=responder)
    world.publishes(*([(responder, BEFORE)] if revoked else []))
    assert await world.status(leaf) == ("UNKNOWN" if revoked else "GOOD")


async def test_the_responder_goes_before_the_list(world: World) -> None:
    leaf = world.leaf(ocsp=[OCSP], lists=[LIST])
    world.publishes()
    world.answers(leaf, revoked_since=BEFORE)
    assert await world.status(leaf) == "REVOKED"


async def test_where_the_responder_is_silent_the_list_serves(world: World) -> None:
    leaf = world.leaf(ocsp=[OCSP], lists=[LIST])
    world.publishes()
    assert await world.status(leaf) == "GOOD"
    assert world.network.asked == [OCSP, LIST]


async def test_a_silent_responder_is_left_alone_for_a_while(world: World) -> None:
    for _ in range(3):
        assert await world.status(world.leaf(ocsp=[OCSP])) == "UNKNOWN"
    assert world.network.asked == [OCSP]
    world.clock.move(seconds=11)
    assert await world.status(world.leaf(ocsp=[OCSP])) == "UNKNOWN"
    assert world.network.asked == [OCSP, OCSP]


async def test_one_question_for_all_who_ask_about_a_certificate(world: World) -> None:
    leaf = world.leaf(ocsp=[OCSP])
    world.answers(leaf)
    world.network.held = asyncio.Event()
    asking = [
        asyncio.create_task(world.validator.judge_many({str(index): leaf.der}, at=NOW))
        for index in range(20)
    ]
    await world.network.met.wait()
    world.network.held.set()
    answers = await asyncio.gather(*asking)
    statuses = {judged.status for answer in answers for judged in answer.values()}
    assert statuses == {Status.CERTIFICATE_STATUS_GOOD}
    assert world.network.asked == [OCSP]


async def test_nobody_waits_long_for_the_network(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.identity.validation import validator

    monkeypatch.setattr(validator, "LOOK_UP_SECONDS", 0.05)
    leaf = world.leaf(ocsp=[OCSP])
    world.answers(leaf)
    world.network.held = asyncio.Event()
    assert await world.status(leaf) == "UNKNOWN"
    # The question was not given up: its answer serves whoever asks next.
    world.network.held.set()
    task = next(iter(world.validator._revocations._asking.values()))
    await task
    assert await world.status(leaf) == "GOOD"
    assert world.network.asked == [OCSP]


# Authorities


async def test_an_authority_that_names_a_list_is_looked_up_too(world: World) -> None:
    top = "http://root.example/list.crl"
    world.authority = make(replace(AUTHORITY, lists=[top]), world.root)
    (world.folder / "authority.der").write_bytes(world.authority.der)
    leaf = world.leaf(lists=[LIST])
    world.publishes()
    assert await world.status(leaf) == "UNKNOWN"
    world.clock.move(seconds=11)
    world.network.lists[top] = revocation_list(world.root)
    assert await world.status(leaf) == "GOOD"
    world.clock.move(minutes=6)
    world.network.lists[top] = revocation_list(
        world.root, [(world.authority, BEFORE)], this_update=NOW
    )
    world.clock.move(hours=1)
    await world.validator._revocations.renew()
    assert await world.status(leaf) == "UNTRUSTED"


async def test_one_revoked_under_an_issuer_not_looked_up_tells_of_no_other_time(
    world: World,
) -> None:
    world.authority = make(replace(AUTHORITY, lists=["http://dead.example/"]), world.root)
    (world.folder / "authority.der").write_bytes(world.authority.der)
    leaf = world.leaf(lists=[LIST])
    world.publishes((leaf, BEFORE))
    judged = await world.judged(leaf)
    assert judged.status == Status.CERTIFICATE_STATUS_REVOKED
    assert judged.valid_from is None and judged.valid_until is None
    assert await world.status(leaf, BEFORE - HOUR) == "UNKNOWN"


async def test_an_issuer_that_came_along_must_be_shown_not_to_be_revoked(world: World) -> None:
    (world.folder / "authority.der").unlink()
    world.publishes()
    leaf = world.leaf(lists=[LIST])
    judged = await world.validator.judge(leaf.der, [world.authority.der], at=NOW)
    assert judged.status == Status.CERTIFICATE_STATUS_UNKNOWN
    # Put into the folder, it is the operator's to withdraw.
    (world.folder / "authority.der").write_bytes(world.authority.der)
    judged = await world.validator.judge(leaf.der, [], at=NOW)
    assert judged.status == Status.CERTIFICATE_STATUS_GOOD


# Signing in and signing documents


async def test_an_authentication_certificate_is_refused_for_documents_without_asking(
    world: World,
) -> None:
    leaf = world.leaf(
        ocsp=[OCSP],
        usage=key_usage("digital_signature", "key_encipherment"),
        purposes=[ExtendedKeyUsageOID.CLIENT_AUTH],
    )
    world.answers(leaf, revoked_since=BEFORE)
    assert await world.status(leaf) == "WRONG_USAGE"
    assert world.network.asked == []
    # To sign in with it, it has to stand well otherwise.
    judged = await world.validator.judge(leaf.der, [], at=NOW)
    assert judged.status == Status.CERTIFICATE_STATUS_REVOKED


# The folder


async def test_the_folder_is_read_again_when_it_changes(world: World) -> None:
    world.publishes()
    leaf = world.leaf(lists=[LIST])
    assert await world.status(leaf) == "GOOD"
    (world.folder / "root.pem").unlink()
    assert await world.status(leaf) == "UNTRUSTED"
    (world.folder / "root.pem").write_bytes(world.root.pem)
    assert await world.status(leaf) == "GOOD"
