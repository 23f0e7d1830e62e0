"""Measure certificates: what their validation adds to verification, how many identity validates,
and how long that holds its event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks import event_loop, load
from benchmarks.inputs import MESSAGE_BYTES
from benchmarks.report import Figure, Report
from benchmarks.suite import REVOCATION_NETWORKS, Suite
from benchmarks.verification import BATCH, COMPARED
from cli.commands.certificate import KeyType
from qagazsyz.client import Client
from qagazsyz.common.v1.certificates_pb2 import CertificateStatus
from qagazsyz.credentials import Credential
from qagazsyz.identity.v1 import certificates_pb2
from qagazsyz.signing.v1 import verification_pb2
from services.identity import main as identity
from services.identity.settings import IdentitySettings
from testing import external_ca
from testing.enrolment import Enrolment
from testing.people import people

CHECK = "/qagazsyz.identity.v1.CertificateService/BatchCheckCertificates"
# Certificates of one call: the largest number that it takes.
CERTIFICATES = 1_000
# Certificates of one call that each need an OCSP request: identity waits two seconds for all.
BY_OCSP = 250
SIGNERS = 16
CONCURRENT_ENROLMENTS = 8
# Calls with certificates that are not in a cache, each of an authority of its own.
COLD_CALLS = 4
# Turns of what is compared, so that a machine that slows down slows both.
TURNS = 4

# Goals.
VALIDATED_AGAINST_NOT = 1.15
OWN_A_SECOND, COLD_A_SECOND, CACHED_A_SECOND = 5_000, 800, 20_000
LOOP_MILLISECONDS = 5


@dataclass(frozen=True, slots=True)
class Kind:
    """Calls with `size` certificates each.

    goal: certificates validated per second, None without a goal; one_core: per second of CPU.
    """

    name: str
    questions: Sequence[bytes]
    size: int
    goal: int | None = None
    one_core: bool = False


def measure(report: Report, suite: Suite, *, quick: bool, progress: Callable[[str], None]) -> None:
    """Measure all of it, on the suite."""
    asyncio.run(_measure(report, suite, quick=quick, progress=progress))


async def _measure(
    report: Report, suite: Suite, *, quick: bool, progress: Callable[[str], None]
) -> None:
    seconds = 1.0 if quick else 4.0
    token = await suite.token()
    async with Client(suite.gateway, suite.operator) as operator:
        holder = await Enrolment(operator).citizen(next(people()))
    # A citizen renews alone; an operator's certificates over one name would take a second one.
    async with holder.client(suite.gateway) as client:
        enrolment, person = Enrolment(client), holder.subject
        for key_type in (KeyType.P256, KeyType.ED25519):
            progress(f"batches by {SIGNERS} certified signers, {key_type}")
            signers = await _credentials(enrolment, person, SIGNERS, key_type)
            await _validated_against_not(report, suite, token, signers, key_type, seconds)
        progress(f"certificates of the own authority: {CERTIFICATES:,} are issued")
        issued = await _credentials(enrolment, person, CERTIFICATES, KeyType.P256)
    own = _question([credential.certificate for credential in issued])
    with external_ca.running() as publications:
        listed, answered = (
            [
                _external_question(publications, suite, by_ocsp=by_ocsp)
                for _ in range(COLD_CALLS + 1)
            ]
            for by_ocsp in (False, True)
        )
        await _wait_for_trust(suite, token, publications.new_authority())
        progress("certificates validated")
        calls = 10 if quick else 40
        kinds = (
            # The same certificates each time: identity caches no validation of its own.
            Kind("own authority", [own] * calls, CERTIFICATES, OWN_A_SECOND),
            Kind("outside, cold, by list", listed[1:], CERTIFICATES, COLD_A_SECOND, one_core=True),
            # No goal: most of the time is that of an OCSP request for each certificate.
            Kind("outside, cold, by OCSP", answered[1:], BY_OCSP),
            Kind("outside, cached", listed[1:] * calls, CERTIFICATES, CACHED_A_SECOND),
        )
        rows = [await _validate(report, suite, token, kind) for kind in kinds]
        report.table("BatchCheckCertificates, one caller", rows)
        progress("what holds the event loop")
        questions = {"own authority": own, "outside, cold": listed[0], "by OCSP": answered[0]}
        await _event_loop(report, suite, token, questions)


async def _credentials(
    enrolment: Enrolment, person: str, count: int, key_type: KeyType
) -> list[Credential]:
    """Issue so many certificates to one person, each with a key of its own."""
    room = asyncio.Semaphore(CONCURRENT_ENROLMENTS)

    async def certified() -> Credential:
        async with room:
            return await enrolment.credential(person, key_type=key_type)

    return await asyncio.gather(*(certified() for _ in range(count)))


async def _validated_against_not(
    report: Report,
    suite: Suite,
    token: str,
    signers: Sequence[Credential],
    key_type: KeyType,
    seconds: float,
) -> None:
    """Compare batches with and without validation of the signers' certificates: the CPU time per
    item of signing and identity, without that of Envoy, which is the same."""
    policies = (
        verification_pb2.TRUST_POLICY_SIGNATURE_ONLY,
        verification_pb2.TRUST_POLICY_CERTIFICATE,
    )
    requests = {policy: _signed(signers, policy) for policy in policies}
    channel = suite.channel(suite.socket("signing"))
    spent = dict.fromkeys(policies, 0.0)
    for policy in policies * TURNS:
        measured = await load.run(
            [channel],
            BATCH,
            [requests[policy]],
            items_per_request=COMPARED,
            token=token,
            concurrency=2,
            seconds=seconds,
            watched={name: suite.process(name) for name in ("signing", "identity")},
        )
        spent[policy] += measured.microseconds("signing", "identity") / TURNS
    await channel.close()
    given, judged = spent.values()
    report.table(
        f"Batches of {COMPARED:,} by {len(signers)} certified signers, {key_type}",
        [{"taken as given µs": given, "judged µs": judged}],
    )
    name = f"{len(signers)} certified signers, {key_type}: judged against not"
    report.figure(Figure(name, judged / given, at_most=VALIDATED_AGAINST_NOT, unit="×"))


def _signed(signers: Sequence[Credential], policy: verification_pb2.TrustPolicy) -> bytes:
    request = verification_pb2.BatchVerifyRequest(
        signers=[verification_pb2.Signer(certificate=each.certificate) for each in signers],
        trust_policy=policy,
    )
    for item in range(COMPARED):
        message = os.urandom(MESSAGE_BYTES)
        algorithm, signature = signers[item % len(signers)].sign(message)
        request.items.add(
            signer=item % len(signers), algorithm=algorithm, message=message, signature=signature
        )
    return request.SerializeToString()


def _question(certificates: Sequence[bytes]) -> bytes:
    return certificates_pb2.BatchCheckCertificatesRequest(
        certificates=certificates
    ).SerializeToString()


def _check(answer: bytes) -> None:
    """Raise AssertionError if a certificate is not good, because refusals are fast."""
    for check in certificates_pb2.BatchCheckCertificatesResponse.FromString(answer).checks:
        if check.status != CertificateStatus.CERTIFICATE_STATUS_GOOD:
            raise AssertionError(f"a good certificate is {CertificateStatus.Name(check.status)}")


def _external_question(
    publications: external_ca.PublicationServer, suite: Suite, *, by_ocsp: bool
) -> bytes:
    """Make a request about certificates of a new authority, which the suite trusts from now on."""
    authority = publications.new_authority()
    authority.trust(suite.trust_folder)
    count = BY_OCSP if by_ocsp else CERTIFICATES
    return _question(authority.certificates(count, by_ocsp=by_ocsp))


async def _wait_for_trust(suite: Suite, token: str, last: external_ca.Authority) -> None:
    """Wait until identity trusts the authority, and so all that were added before it."""
    last.trust(suite.trust_folder)
    question = _question(last.certificates(1, by_ocsp=False))
    channel = suite.channel(suite.socket("identity"))
    call: Any = channel.unary_unary(CHECK)
    async with asyncio.timeout(30):
        while True:
            answer = await call(question, metadata=(("authorization", f"Bearer {token}"),))
            try:
                _check(answer)
                break
            except AssertionError:
                await asyncio.sleep(0.1)
    await channel.close()


async def _validate(report: Report, suite: Suite, token: str, kind: Kind) -> dict[str, Any]:
    """Send each request once, one after the other; return the row of the table."""
    channel = suite.channel(suite.socket("identity"))
    await channel.channel_ready()
    measured = await load.once(
        [channel],
        CHECK,
        kind.questions,
        token=token,
        concurrency=1,
        watched={"identity": suite.process("identity")},
        check=_check,
    )
    await channel.close()
    rate = measured.rate * kind.size
    microseconds = measured.microseconds("identity") / kind.size
    if kind.goal is not None:
        name = f"certificates: {kind.name}" + (", on one core" if kind.one_core else "")
        reached = 1e6 / microseconds if kind.one_core else rate
        report.figure(Figure(name, reached, kind.goal, unit="/s"))
    return {
        "certificates": kind.name,
        "a call": kind.size,
        "judged/s": rate,
        "identity µs": microseconds,
        "p50 ms": measured.percentile(0.5),
    }


@asynccontextmanager
async def _in_this_process(suite: Suite) -> AsyncIterator[str]:
    """Run a second identity on the suite's folder and this event loop; yield its address."""
    address = f"unix:{suite.data / 'run' / 'bench.sock'}"
    settings = IdentitySettings(
        folder=suite.data / "identity", listen=address, revocation_networks=REVOCATION_NETWORKS
    )
    stop = asyncio.Event()
    serving = asyncio.create_task(identity.serve(settings, stop))
    try:
        yield address
    finally:
        stop.set()
        await serving


async def _event_loop(
    report: Report, suite: Suite, token: str, questions: dict[str, bytes]
) -> None:
    """Measure the longest callback of identity's loop while it validates, uncached and cached."""
    longest, rows = 0.0, []
    async with _in_this_process(suite) as address:
        channel = suite.channel(address)
        await asyncio.wait_for(channel.channel_ready(), 30)
        call: Any = channel.unary_unary(CHECK)
        for name, question in questions.items():
            for turn in ("first", "again"):
                with event_loop.callbacks() as held:
                    answer = await call(question, metadata=(("authorization", f"Bearer {token}"),))
                _check(answer)
                longest = max(longest, *held)
                rows.append(
                    {
                        "certificates": name,
                        "turn": turn,
                        "callbacks": len(held),
                        "longest ms": max(held),
                        "together ms": sum(held),
                    }
                )
        await channel.close()
    report.table(f"Identity's event loop, CPU, {CERTIFICATES:,} certificates a call", rows)
    report.figure(
        Figure("longest callback of identity's loop", longest, at_most=LOOP_MILLISECONDS, unit="ms")
    )
