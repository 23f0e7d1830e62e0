"""Signers: which certificates are trusted, when, and how often identity is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.runtime.errors import DeadlineExceeded
from services.signing.verification.signers import CERTIFICATE_LIMIT_BYTES, Signers
from services.signing.verification.trust import CertificateStatus as Status
from services.signing.verification.trust import (
    CheckedCertificate,
    HolderRoles,
    RoleRequirement,
    SignerResult,
    TrustPolicy,
)
from signatures.algorithms import Verdict
from tests.clock import Clock
from tests.unit.signing.builders import NOW, FakeIdentity, checked, good

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


@dataclass(slots=True)
class Named:
    """The part of a batch that resolving sees."""

    named: list[tuple[int, int, bytes]]
    signer_count: int = 0
    keys: dict[int, bytes | None] = field(default_factory=dict)
    trust: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.signer_count = self.signer_count or len(self.named)

    def named_signers(self) -> list[tuple[int, int, bytes]]:
        return self.named

    def set_key(self, index: int, spki: bytes | None) -> None:
        self.keys[index] = spki

    def set_trust(self, index: int, verdict: int) -> None:
        self.trust[index] = verdict


def certificates(*ders: bytes) -> Named:
    return Named([(index, 2, der) for index, der in enumerate(ders)])


@dataclass(slots=True)
class Bench:
    identity: FakeIdentity = field(default_factory=FakeIdentity)
    keys: dict[str, bytes] = field(default_factory=dict)
    looked_up: list[list[str]] = field(default_factory=list)
    clock: Clock = field(default_factory=lambda: Clock(NOW))
    signers: Signers = field(init=False)

    def __post_init__(self) -> None:
        self.signers = Signers(
            check_certificates=self.identity.check_certificates,
            inspect_certificates=self.identity.inspect_certificates,
            find_public_keys=self.find,
            clock=self.clock,
        )

    async def find(self, names: Sequence[str]) -> Mapping[str, bytes]:
        self.looked_up.append(list(names))
        return {name: self.keys[name] for name in names if name in self.keys}

    async def resolve(
        self,
        batch: Named,
        policy: TrustPolicy = TrustPolicy.UNSPECIFIED,
        at: datetime | None = None,
        role: RoleRequirement | None = None,
    ) -> dict[int, SignerResult]:
        return await self.signers.resolve(batch, policy, at, role)  # type: ignore[arg-type]


def signers_asking(ask: Any) -> Signers:
    return Signers(
        check_certificates=ask,
        inspect_certificates=FakeIdentity().inspect_certificates,
        find_public_keys=Bench().find,
        clock=lambda: NOW,
    )


# --- Which certificates are trusted ----------------------------------------------------------


async def test_a_good_certificate_is_trusted_and_names_its_subject() -> None:
    bench = Bench()
    bench.identity.checks[b"der"] = good("subjects/a")
    batch = certificates(b"der")
    assert await bench.resolve(batch) == {0: SignerResult(Status.GOOD, "subjects/a")}
    assert batch.trust == {}


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (Status.REVOKED, Verdict.UNTRUSTED_SIGNER),
        (Status.EXPIRED, Verdict.UNTRUSTED_SIGNER),
        (Status.NOT_YET_VALID, Verdict.UNTRUSTED_SIGNER),
        (Status.UNTRUSTED, Verdict.UNTRUSTED_SIGNER),
        (Status.MALFORMED, Verdict.UNTRUSTED_SIGNER),
        (Status.WRONG_USAGE, Verdict.UNTRUSTED_SIGNER),
        (Status.UNKNOWN, Verdict.INDETERMINATE),
    ],
)
@pytest.mark.parametrize("policy", [TrustPolicy.UNSPECIFIED, TrustPolicy.CERTIFICATE])
async def test_a_signature_by_any_other_certificate_is_untrusted_or_indeterminate(
    status: Status, verdict: Verdict, policy: TrustPolicy
) -> None:
    bench = Bench()
    bench.identity.checks[b"der"] = checked(status)
    batch = certificates(b"der")
    results = await bench.resolve(batch, policy)
    assert results == {0: SignerResult(status, "subjects/signer")}
    assert batch.trust == {0: verdict}


async def test_without_identity_a_certificate_is_indeterminate_and_asked_about_again() -> None:
    bench = Bench()
    bench.identity.checks[b"der"] = good()
    bench.identity.reachable = False
    batch = certificates(b"der")
    assert await bench.resolve(batch) == {0: SignerResult(Status.UNKNOWN)}
    assert batch.trust == {0: Verdict.INDETERMINATE}
    bench.identity.reachable = True
    batch = certificates(b"der")
    await bench.resolve(batch)
    assert batch.trust == {}


async def test_without_an_answer_in_time_a_certificate_is_indeterminate() -> None:
    async def too_late(_: Sequence[bytes], _at: object) -> Sequence[CheckedCertificate]:
        raise DeadlineExceeded("late")

    signers = signers_asking(too_late)
    batch = certificates(b"der")
    await signers.resolve(batch, TrustPolicy.UNSPECIFIED, None)  # type: ignore[arg-type]
    assert batch.trust == {0: Verdict.INDETERMINATE}


async def test_signature_only_checks_no_certificate() -> None:
    bench = Bench()
    batch = certificates(b"der")
    assert await bench.resolve(batch, TrustPolicy.SIGNATURE_ONLY) == {}
    assert batch.trust == {} and bench.identity.asked == []


async def test_without_a_policy_only_certificates_are_checked() -> None:
    bench = Bench(keys={"keys/a/versions/1": b"spki"})
    bench.identity.checks[b"der"] = good()
    batch = Named([(1, 3, b"keys/a/versions/1"), (2, 2, b"der"), (3, 0, b"")], signer_count=4)
    assert set(await bench.resolve(batch)) == {2}
    assert batch.trust == {}


async def test_under_the_certificate_policy_signers_without_one_are_untrusted() -> None:
    bench = Bench(keys={"keys/a/versions/1": b"spki"})
    bench.identity.checks[b"der"] = good()
    batch = Named([(1, 3, b"keys/a/versions/1"), (2, 2, b"der"), (3, 0, b"")], signer_count=4)
    results = await bench.resolve(batch, TrustPolicy.CERTIFICATE)
    untrusted = SignerResult(Status.UNTRUSTED)
    assert [results[i] for i in range(4)] == [
        untrusted,
        untrusted,
        SignerResult(Status.GOOD, "subjects/signer"),
        untrusted,
    ]
    assert set(batch.trust) == {0, 1, 3}


async def test_a_certificate_too_large_to_be_one_is_malformed_without_a_request() -> None:
    bench = Bench()
    batch = certificates(b"x" * (CERTIFICATE_LIMIT_BYTES + 1))
    assert (await bench.resolve(batch))[0].status is Status.MALFORMED
    assert bench.identity.asked == []


# --- How often identity is asked -------------------------------------------------------------


async def test_an_answer_is_reused_while_it_is_fresh_and_no_longer() -> None:
    bench = Bench()
    bench.identity.checks[b"der"] = good(fresh_until=NOW + 5 * SECOND)
    await bench.resolve(certificates(b"der"))
    bench.clock.move(seconds=4.999)
    await bench.resolve(certificates(b"der"))
    assert len(bench.identity.asked) == 1
    bench.identity.checks[b"der"] = checked(Status.REVOKED)
    bench.clock.move(seconds=0.001)
    batch = certificates(b"der")
    await bench.resolve(batch)
    assert len(bench.identity.asked) == 2
    assert batch.trust == {0: Verdict.UNTRUSTED_SIGNER}


# --- Key versions ----------------------------------------------------------------------------


async def test_a_key_version_is_looked_up_once_and_one_that_is_not_there_has_no_key() -> None:
    bench = Bench(keys={"keys/a/versions/1": b"spki"})
    names = [b"keys/a/versions/1", b"keys/none/versions/1", b"nonsense", "ключ".encode()]
    for _ in range(2):
        batch = Named([(index, 3, name) for index, name in enumerate(names)])
        await bench.resolve(batch, TrustPolicy.SIGNATURE_ONLY)
        assert batch.keys == {0: b"spki", 1: None, 2: None, 3: None}
    assert bench.looked_up == [
        ["keys/a/versions/1", "keys/none/versions/1"],
        ["keys/none/versions/1"],
    ]


# --- A required role -------------------------------------------------------------------------

BIN, OTHER_BIN = "061211600012", "931002451325"
HEAD = RoleRequirement(frozenset({3}), BIN)


@pytest.mark.parametrize(
    ("holder", "status", "verdict"),
    [
        (HolderRoles(BIN, frozenset({3, 7})), Status.GOOD, None),
        (HolderRoles(OTHER_BIN, frozenset({3})), Status.GOOD, Verdict.MISSING_ROLE),
        (HolderRoles("", frozenset({3})), Status.GOOD, Verdict.MISSING_ROLE),
        (HolderRoles(BIN, frozenset({7})), Status.GOOD, Verdict.MISSING_ROLE),
        (HolderRoles(BIN), Status.GOOD, Verdict.MISSING_ROLE),
        (HolderRoles(BIN, frozenset({3})), Status.REVOKED, Verdict.UNTRUSTED_SIGNER),
        (HolderRoles(BIN), Status.REVOKED, Verdict.UNTRUSTED_SIGNER),
        (HolderRoles(BIN, frozenset({3})), Status.UNKNOWN, Verdict.INDETERMINATE),
        (HolderRoles(BIN), Status.UNKNOWN, Verdict.MISSING_ROLE),
    ],
)
async def test_a_signer_must_be_shown_to_hold_the_role(
    holder: HolderRoles, status: Status, verdict: Verdict | None
) -> None:
    bench = Bench()
    bench.identity.checks[b"der"] = checked(status)
    bench.identity.holders[b"der"] = holder
    batch = certificates(b"der")
    await bench.resolve(batch, role=HEAD)
    assert batch.trust.get(0) is verdict


async def test_a_signer_without_a_certificate_has_no_role() -> None:
    bench = Bench(keys={"keys/a/versions/1": b"spki"})
    batch = Named([(1, 3, b"keys/a/versions/1")], signer_count=2)
    await bench.resolve(batch, role=HEAD)
    assert batch.trust == dict.fromkeys((0, 1), Verdict.MISSING_ROLE)
    await bench.resolve(batch, TrustPolicy.CERTIFICATE, role=HEAD)
    assert batch.trust == dict.fromkeys((0, 1), Verdict.UNTRUSTED_SIGNER)


async def test_a_role_that_cannot_be_found_out_is_indeterminate() -> None:
    bench = Bench()
    bench.identity.checks[b"der"] = good()
    await bench.resolve(certificates(b"der"))
    bench.identity.reachable = False
    batch = certificates(b"der")
    await bench.resolve(batch, role=HEAD)
    assert batch.trust == {0: Verdict.INDETERMINATE}


# --- Another time ----------------------------------------------------------------------------

UNTIL = NOW + 30 * DAY
DER = b"der"


def telling(status: Status, revoke_time: datetime | None = None) -> CheckedCertificate:
    """An answer that tells about other times too."""
    return checked(status, revoke_time=revoke_time, valid_from=NOW - 30 * DAY, valid_until=UNTIL)


async def test_an_answer_of_now_serves_for_another_time() -> None:
    bench = Bench()
    bench.identity.checks[DER] = telling(Status.GOOD)
    assert (await bench.resolve(certificates(DER)))[0].status is Status.GOOD
    batch = certificates(DER)
    results = await bench.resolve(batch, at=UNTIL + DAY)
    assert results[0].status is Status.EXPIRED
    assert batch.trust == {0: Verdict.UNTRUSTED_SIGNER}
    assert len(bench.identity.asked) == 1


@pytest.mark.parametrize("now", [Status.GOOD, Status.REVOKED, Status.EXPIRED])
@pytest.mark.parametrize("then", [Status.GOOD, Status.WRONG_USAGE, Status.UNTRUSTED])
async def test_what_the_answer_does_not_tell_is_asked_for_again_at_that_time(
    now: Status, then: Status
) -> None:
    bench = Bench()
    at = NOW - DAY
    bench.identity.checks = {DER: checked(now, revoke_time=NOW), b"other": good("subjects/o")}
    bench.identity.checks_at[DER, at] = checked(then)
    for _ in range(2):
        batch = certificates(DER)
        assert (await bench.resolve(batch, at=at))[0].status is then
        assert bool(batch.trust) is (then is not Status.GOOD)
    # The answer for that time is not kept, and never serves for now.
    assert len(bench.identity.asked) == 3
    assert (await bench.resolve(certificates(DER)))[0].status is now


@pytest.mark.parametrize(
    "status",
    [Status.UNTRUSTED, Status.WRONG_USAGE, Status.UNKNOWN],
)
async def test_what_does_not_depend_on_the_time_stays_as_it_is(status: Status) -> None:
    bench = Bench()
    bench.identity.checks[DER] = checked(status)
    assert (await bench.resolve(certificates(DER), at=NOW - DAY))[0].status is status
    assert len(bench.identity.asked) == 1


async def test_another_time_that_identity_cannot_be_asked_about_is_indeterminate() -> None:
    bench = Bench()
    bench.identity.checks[DER] = checked(Status.EXPIRED)
    await bench.resolve(certificates(DER))
    bench.identity.reachable = False
    batch = certificates(DER)
    await bench.resolve(batch, at=NOW - DAY)
    assert batch.trust == {0: Verdict.INDETERMINATE}
