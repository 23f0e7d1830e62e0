"""VerificationService over gRPC: the same answers alone, in a batch and in a stream."""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2

from qagazsyz.common.v1 import certificates_pb2, signatures_pb2
from qagazsyz.common.v1.certificates_pb2 import RequiredRole
from qagazsyz.signing.v1 import keys_pb2, keys_pb2_grpc, verification_pb2, verification_pb2_grpc
from services.runtime.access import CALLER_AUDIENCE, ISSUER, TokenVerifier
from services.runtime.storage.database import Database, sqlite_url
from services.runtime.storage.migrations import migrate
from services.signing.main import MIGRATIONS, build
from services.signing.settings import SigningSettings
from services.signing.verification.time_stamp import TimeStamp, TimeStampStatus
from services.signing.verification.trust import CertificateStatus, HolderRoles
from signatures.backend import Backend
from signatures.loading import load_backend
from tests.confirming import CONFIRMED_BY, confirmation, confirmations
from tests.unit.signing.builders import MINISTRY, NOW, FakeIdentity, TestKey, checked, good, vault

ISSUING_KEY = ed25519.Ed25519PrivateKey.generate()

VALID = signatures_pb2.VERDICT_VALID
INVALID = signatures_pb2.VERDICT_INVALID_SIGNATURE
UNTRUSTED = signatures_pb2.VERDICT_UNTRUSTED_SIGNER
UNKNOWN_SIGNER = signatures_pb2.VERDICT_UNKNOWN_SIGNER
INDETERMINATE = signatures_pb2.VERDICT_INDETERMINATE

CERTIFICATE = verification_pb2.TRUST_POLICY_CERTIFICATE
SIGNATURE_ONLY = verification_pb2.TRUST_POLICY_SIGNATURE_ONLY


def token(*roles: str, organization: str = "") -> str:
    claims = {
        "iss": ISSUER,
        "aud": CALLER_AUDIENCE,
        "sub": "subjects/a",
        "org": organization,
        "roles": list(roles),
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 600,
        "jti": "t",
        "cnf": {"x5t#S256": CONFIRMED_BY},
    }
    return jwt.encode(claims, ISSUING_KEY, algorithm="EdDSA", headers={"kid": "k"})


async def key_set() -> Mapping[str, Any]:
    jwk = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(ISSUING_KEY.public_key()))
    return {"keys": [jwk | {"kid": "k", "alg": "EdDSA"}]}


CITIZEN = (("authorization", f"Bearer {token('CITIZEN')}"),)
OFFICER = (("authorization", f"Bearer {token('OFFICER', organization=MINISTRY)}"),)


def confirmed(method: str, request: Message) -> tuple[tuple[str, str], ...]:
    """The officer's metadata, with a confirmation of this call of KeyService."""
    bearer = OFFICER[0][1].removeprefix("Bearer ")
    return *OFFICER, confirmation(f"/qagazsyz.signing.v1.KeyService/{method}", request, bearer)


@pytest.fixture(params=["portable", "kernel"])
def backend(request: pytest.FixtureRequest) -> Backend:
    if request.param == "kernel":
        pytest.importorskip("qagazsyz_kernel", exc_type=ImportError)
    return load_backend(request.param)


@pytest.fixture
def identity() -> FakeIdentity:
    return FakeIdentity()


@pytest.fixture
async def channel(
    backend: Backend, identity: FakeIdentity, tmp_path: Path
) -> AsyncIterator[grpc.aio.Channel]:
    database = Database(sqlite_url(tmp_path / "signing.db"))
    await migrate(database, MIGRATIONS)
    server = build(
        SigningSettings(folder=tmp_path, threads=2),
        database=database,
        vault=vault(),
        backend=backend,
        identity=identity,  # type: ignore[arg-type]
        mobile=object(),  # type: ignore[arg-type]  # its methods are UNIMPLEMENTED here
        tokens=TokenVerifier(key_set, now=NOW.timestamp),
        confirmations=confirmations(),
        page_secret=b"secret",
        clock=lambda: NOW,
    )
    port = server.listen("127.0.0.1:0")
    await server.start()
    # The client's windows stay as they are, so that tests know what flow control lets through.
    options = [("grpc.max_send_message_length", -1), ("grpc.http2.bdp_probe", 0)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        yield channel
    await server.stop()
    await database.close()


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> verification_pb2_grpc.VerificationServiceAsyncStub:
    return verification_pb2_grpc.VerificationServiceStub(channel)


Stub = Any
ALICE, BOB = TestKey(), TestKey()
BIN = "061211600012"


def public(key: TestKey) -> verification_pb2.Signer:
    return verification_pb2.Signer(public_key=key.spki)


def certified(der: bytes) -> verification_pb2.Signer:
    return verification_pb2.Signer(certificate=der)


def batch(*signers: Any, items: Any, **fields: Any) -> verification_pb2.BatchVerifyRequest:
    return verification_pb2.BatchVerifyRequest(signers=signers, items=items, **fields)


async def verify(
    stub: Stub, request: verification_pb2.BatchVerifyRequest
) -> verification_pb2.BatchVerifyResponse:
    """The batch's answer, which asking for each item alone must agree with."""
    answer: verification_pb2.BatchVerifyResponse = await stub.BatchVerify(request, metadata=CITIZEN)
    for item, verdict in zip(request.items, answer.verdicts, strict=True):
        if item.signer >= len(request.signers):
            continue
        single = verification_pb2.VerifyRequest(
            signer=request.signers[item.signer], item=item, trust_policy=request.trust_policy
        )
        if request.HasField("at"):
            single.at.CopyFrom(request.at)
        if request.HasField("required_role"):
            single.required_role.CopyFrom(request.required_role)
        alone = await stub.Verify(single, metadata=CITIZEN)
        assert alone.verdict == verdict
        assert alone.signer == answer.signers[item.signer]
    return answer


def violation(error: grpc.aio.AioRpcError | status_pb2.Status) -> tuple[int, str]:
    if isinstance(error, grpc.aio.AioRpcError):
        metadata = dict(error.trailing_metadata() or ())
        error = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    bad = error_details_pb2.BadRequest()
    fields = [
        v.field for detail in error.details if detail.Unpack(bad) for v in bad.field_violations
    ]
    return error.code, ",".join(fields)


async def refusal(call: Any) -> tuple[int, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return violation(caught.value)


# --- What is found ---------------------------------------------------------------------------


async def test_good_and_bad_signatures_are_told_apart(stub: Stub) -> None:
    items = [
        ALICE.item(0),
        BOB.item(1),
        ALICE.item(1),
        ALICE.item(0, good=False),
        BOB.item(7),
        verification_pb2.SignedItem(),
    ]
    answer = await verify(stub, batch(public(ALICE), public(BOB), items=items))
    assert list(answer.verdicts) == [
        VALID,
        VALID,
        INVALID,
        INVALID,
        UNKNOWN_SIGNER,
        signatures_pb2.VERDICT_UNSUPPORTED_ALGORITHM,
    ]
    assert answer.valid_count == 2
    assert list(answer.signers) == [verification_pb2.SignerResult()] * 2


async def test_an_empty_batch_has_an_empty_answer(stub: Stub) -> None:
    answer = await stub.BatchVerify(batch(public(ALICE), items=[]), metadata=CITIZEN)
    assert list(answer.verdicts) == [] and len(answer.signers) == 1


async def test_a_batch_of_the_largest_size_finds_exactly_its_bad_items(stub: Stub) -> None:
    bad = {0, 17, 1_023, 1_024, 5_000, 9_999}
    ok, spoiled = ALICE.item(), ALICE.item(good=False)
    items = [spoiled if n in bad else ok for n in range(10_000)]
    answer = await stub.BatchVerify(batch(public(ALICE), items=items), metadata=CITIZEN)
    assert {n for n, verdict in enumerate(answer.verdicts) if verdict != VALID} == bad
    assert answer.valid_count == 10_000 - len(bad)


async def test_a_key_version_verifies_whatever_its_state(
    stub: Stub, channel: grpc.aio.Channel
) -> None:
    keys: Any = keys_pb2_grpc.KeyServiceStub(channel)
    create = keys_pb2.CreateKeyRequest(
        key=keys_pb2.Key(
            organization=MINISTRY,
            algorithm=signatures_pb2.SIGNATURE_ALGORITHM_ECDSA_P256_SHA256,
        )
    )
    key = await keys.CreateKey(create, metadata=confirmed("CreateKey", create))
    signed = await keys.Sign(keys_pb2.SignRequest(key=key.name, message=b"m"), metadata=OFFICER)
    destroy = keys_pb2.DestroyKeyVersionRequest(name=key.primary_version)
    await keys.DestroyKeyVersion(destroy, metadata=confirmed("DestroyKeyVersion", destroy))
    item = verification_pb2.SignedItem(
        algorithm=key.algorithm, message=b"m", signature=signed.signature
    )
    other = verification_pb2.SignedItem(
        signer=1, algorithm=key.algorithm, message=b"m", signature=signed.signature
    )
    signers = [
        verification_pb2.Signer(key_version=key.primary_version),
        verification_pb2.Signer(key_version="keys/none/versions/1"),
    ]
    answer = await verify(stub, batch(*signers, items=[item, other]))
    assert list(answer.verdicts) == [VALID, UNKNOWN_SIGNER]
    answer = await verify(stub, batch(*signers, items=[item, other], trust_policy=CERTIFICATE))
    assert list(answer.verdicts) == [UNTRUSTED, UNKNOWN_SIGNER]


# --- Whom to trust ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (CertificateStatus.GOOD, VALID),
        (CertificateStatus.REVOKED, UNTRUSTED),
        (CertificateStatus.EXPIRED, UNTRUSTED),
        (CertificateStatus.WRONG_USAGE, UNTRUSTED),
        (CertificateStatus.UNTRUSTED, UNTRUSTED),
        (CertificateStatus.UNKNOWN, INDETERMINATE),
    ],
)
async def test_a_certificate_is_checked_and_its_signers_entry_says_why(
    stub: Stub, identity: FakeIdentity, status: CertificateStatus, verdict: int
) -> None:
    der = ALICE.certificate()
    identity.checks[der] = checked(status, "subjects/alice")
    items = [ALICE.item(0), ALICE.item(0, good=False), BOB.item(1)]
    answer = await verify(stub, batch(certified(der), public(BOB), items=items))
    assert list(answer.verdicts) == [verdict, INVALID, VALID]
    assert list(answer.signers) == [
        verification_pb2.SignerResult(
            certificate_status=cast("Any", status.value),
            subject="subjects/alice",
        ),
        verification_pb2.SignerResult(),
    ]
    answer = await verify(stub, batch(certified(der), items=items[:2], trust_policy=SIGNATURE_ONLY))
    assert list(answer.verdicts) == [VALID, INVALID]
    assert list(answer.signers) == [verification_pb2.SignerResult()]


async def test_a_bare_key_is_untrusted_where_certificates_are_asked_for(
    stub: Stub, identity: FakeIdentity
) -> None:
    der = ALICE.certificate()
    identity.checks[der] = good("subjects/alice")
    request = batch(
        public(BOB),
        certified(der),
        verification_pb2.Signer(),
        items=[BOB.item(0), ALICE.item(1), ALICE.item(2)],
        trust_policy=CERTIFICATE,
    )
    answer = await verify(stub, request)
    assert list(answer.verdicts) == [UNTRUSTED, VALID, UNKNOWN_SIGNER]
    assert [s.certificate_status for s in answer.signers] == [
        certificates_pb2.CERTIFICATE_STATUS_UNTRUSTED,
        certificates_pb2.CERTIFICATE_STATUS_GOOD,
        certificates_pb2.CERTIFICATE_STATUS_UNTRUSTED,
    ]


async def test_without_identity_nothing_by_a_certificate_is_valid(
    stub: Stub, identity: FakeIdentity
) -> None:
    identity.reachable = False
    der = ALICE.certificate()
    answer = await verify(stub, batch(certified(der), items=[ALICE.item(), ALICE.item(good=False)]))
    assert list(answer.verdicts) == [INDETERMINATE, INVALID]
    assert answer.signers[0].certificate_status == certificates_pb2.CERTIFICATE_STATUS_UNKNOWN


async def test_bytes_that_are_no_certificate_have_no_key(
    stub: Stub, identity: FakeIdentity
) -> None:
    identity.checks[b"junk"] = checked(CertificateStatus.MALFORMED, "")
    answer = await verify(stub, batch(certified(b"junk"), items=[ALICE.item()]))
    assert list(answer.verdicts) == [signatures_pb2.VERDICT_MALFORMED_KEY]
    assert answer.signers[0].certificate_status == certificates_pb2.CERTIFICATE_STATUS_MALFORMED


async def test_a_signature_from_before_the_revocation_stays_valid_at_its_time(
    stub: Stub, identity: FakeIdentity
) -> None:
    der = ALICE.certificate()
    identity.checks[der] = checked(CertificateStatus.REVOKED, "subjects/alice", revoke_time=NOW)
    for seconds, verdict in ((-1, VALID), (0, UNTRUSTED)):
        at = Timestamp(seconds=int(NOW.timestamp()) + seconds)
        status = CertificateStatus.GOOD if verdict == VALID else CertificateStatus.REVOKED
        identity.checks_at[der, NOW + timedelta(seconds=seconds)] = checked(status)
        answer = await verify(stub, batch(certified(der), items=[ALICE.item()], at=at))
        assert list(answer.verdicts) == [verdict]


async def test_a_signer_without_the_role_that_is_asked_for_is_told_apart(
    stub: Stub, identity: FakeIdentity
) -> None:
    head, employee = ALICE.certificate(), BOB.certificate()
    identity.checks = {head: good("subjects/alice"), employee: good("subjects/bob")}
    identity.holders = {
        head: HolderRoles(BIN, frozenset({3})),
        employee: HolderRoles(BIN, frozenset({7})),
    }
    items = [ALICE.item(0), BOB.item(1), BOB.item(1, good=False), BOB.item(2)]
    request = batch(
        certified(head),
        certified(employee),
        public(BOB),
        items=items,
        required_role=certificates_pb2.RequiredRole(bin=BIN),
    )
    answer = await verify(stub, request)
    missing = signatures_pb2.VERDICT_MISSING_ROLE
    assert list(answer.verdicts) == [VALID, missing, INVALID, missing]
    request.required_role.roles.append(certificates_pb2.CERTIFICATE_ROLE_EMPLOYEE)
    answer = await verify(stub, request)
    assert list(answer.verdicts) == [missing, VALID, INVALID, missing]


async def test_a_certificate_is_checked_at_the_stamped_time(
    stub: Stub, identity: FakeIdentity
) -> None:
    der = ALICE.certificate()
    then = NOW - timedelta(days=1)
    identity.checks[der] = checked(CertificateStatus.EXPIRED)
    identity.checks_at[der, then] = good("subjects/alice")
    request = verification_pb2.VerifyRequest(
        signer=certified(der), item=ALICE.item(), time_stamp=b"token"
    )
    for stamp, verdict in (
        (TimeStamp(TimeStampStatus.VALID, then), VALID),
        (TimeStamp(TimeStampStatus.VALID, NOW), UNTRUSTED),
        (TimeStamp(TimeStampStatus.UNTRUSTED), signatures_pb2.VERDICT_INVALID_TIME_STAMP),
        (TimeStamp(TimeStampStatus.UNKNOWN), INDETERMINATE),
    ):
        identity.stamp = stamp
        assert (await stub.Verify(request, metadata=CITIZEN)).verdict == verdict
    assert [b"token", request.item.signature] in identity.asked
    identity.reachable = False
    assert (await stub.Verify(request, metadata=CITIZEN)).verdict == INDETERMINATE
    request.item.CopyFrom(ALICE.item(good=False))
    assert (await stub.Verify(request, metadata=CITIZEN)).verdict == INVALID


# --- What is refused -------------------------------------------------------------------------


def role(number: int) -> RequiredRole:
    return RequiredRole(roles=[cast("Any", number)])


async def test_a_caller_without_a_token_is_refused(stub: Stub) -> None:
    request = batch(public(ALICE), items=[ALICE.item()])
    code, _ = await refusal(stub.BatchVerify(request))
    assert code == grpc.StatusCode.UNAUTHENTICATED.value[0]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (batch(items=[verification_pb2.SignedItem()] * 10_001), "items"),
        (batch(*[verification_pb2.Signer()] * 10_001, items=[]), "signers"),
        (batch(items=[ALICE.item()], trust_policy=3), "trust_policy"),
        (batch(items=[ALICE.item()], at=Timestamp(seconds=2**60)), "at"),
        (batch(items=[ALICE.item()], at=Timestamp(nanos=-1)), "at"),
        (
            batch(items=[], trust_policy=SIGNATURE_ONLY, required_role=RequiredRole()),
            "required_role",
        ),
        (batch(items=[], required_role=RequiredRole(bin="12")), "required_role.bin"),
        (batch(items=[], required_role=role(0)), "required_role.roles"),
        (batch(items=[], required_role=role(99)), "required_role.roles"),
    ],
)
async def test_a_batch_that_cannot_be_taken_names_its_field(
    stub: Stub, request_: verification_pb2.BatchVerifyRequest, field: str
) -> None:
    assert await refusal(stub.BatchVerify(request_, metadata=CITIZEN)) == (3, field)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (verification_pb2.VerifyRequest(item=ALICE.item()), "signer"),
        (verification_pb2.VerifyRequest(signer=public(ALICE)), "item"),
        (
            verification_pb2.VerifyRequest(
                signer=public(ALICE),
                item=ALICE.item(),
                trust_policy=cast("Any", 9),
            ),
            "trust_policy",
        ),
        (
            verification_pb2.VerifyRequest(
                signer=public(ALICE), item=ALICE.item(), at=Timestamp(), time_stamp=b"token"
            ),
            "time_stamp",
        ),
    ],
)
async def test_a_single_request_that_cannot_be_taken_names_its_field(
    stub: Stub, request_: verification_pb2.VerifyRequest, field: str
) -> None:
    assert await refusal(stub.Verify(request_, metadata=CITIZEN)) == (3, field)


@pytest.mark.parametrize("method", ["Verify", "BatchVerify"])
@pytest.mark.parametrize(
    "data", [b"\xff", b"\x0a\x10abc", b"\x0a\x03\x1a\x01\xff", b"\x12\x02\x08"]
)
async def test_bytes_that_are_no_message_are_refused(
    channel: grpc.aio.Channel, method: str, data: bytes
) -> None:
    path = f"/qagazsyz.signing.v1.VerificationService/{method}"
    unary: Any = channel.unary_unary(path)
    code, _ = await refusal(unary(data, metadata=CITIZEN))
    assert code == grpc.StatusCode.INVALID_ARGUMENT.value[0]


# --- Streams ---------------------------------------------------------------------------------


async def test_a_stream_answers_each_batch_in_order(stub: Stub) -> None:
    async def requests() -> AsyncIterator[verification_pb2.StreamVerifyRequest]:
        for count in range(1, 21):
            items = [ALICE.item()] * (count - 1) + [ALICE.item(good=False)]
            yield verification_pb2.StreamVerifyRequest(batch=batch(public(ALICE), items=items))

    answers = [answer async for answer in stub.StreamVerify(requests(), metadata=CITIZEN)]
    assert [answer.sequence for answer in answers] == list(range(20))
    assert [answer.batch.valid_count for answer in answers] == list(range(20))


async def test_a_client_that_waits_for_each_answer_gets_it(stub: Stub) -> None:
    stream = stub.StreamVerify(metadata=CITIZEN)
    for sequence in range(5):
        await stream.write(
            verification_pb2.StreamVerifyRequest(batch=batch(public(ALICE), items=[ALICE.item()]))
        )
        answer = await stream.read()
        assert (answer.sequence, list(answer.batch.verdicts)) == (sequence, [VALID])
    await stream.done_writing()
    assert await stream.read() is grpc.aio.EOF


async def test_a_bad_batch_costs_its_own_answer_and_not_the_stream(
    channel: grpc.aio.Channel,
) -> None:
    ok = verification_pb2.StreamVerifyRequest(batch=batch(public(ALICE), items=[ALICE.item()]))
    too_many = verification_pb2.StreamVerifyRequest(
        batch=batch(items=[verification_pb2.SignedItem()] * 10_001)
    )
    messages = [
        ok.SerializeToString(),
        too_many.SerializeToString(),
        b"",
        b"\xff\xff",
        b"\x0a\x01\xff",
        ok.SerializeToString(),
    ]
    method: Any = channel.stream_stream(
        "/qagazsyz.signing.v1.VerificationService/StreamVerify",
        response_deserializer=verification_pb2.StreamVerifyResponse.FromString,
    )
    answers = [answer async for answer in method(iter(messages), metadata=CITIZEN)]
    assert [answer.sequence for answer in answers] == list(range(6))
    assert [answer.WhichOneof("result") for answer in answers] == [
        "batch",
        "error",
        "error",
        "error",
        "error",
        "batch",
    ]
    assert violation(answers[1].error) == (3, "batch.items")
    assert violation(answers[2].error) == (3, "batch")
    assert answers[3].error.code == answers[4].error.code == 3


async def test_a_client_that_reads_no_answer_makes_the_service_hold_two(
    stub: Stub, identity: FakeIdentity
) -> None:
    # Each answer is far larger than what gRPC takes from the service before the client reads.
    subject = "s" * 3_000_000
    ders = [TestKey().certificate() for _ in range(6)]
    identity.checks = {der: good(subject) for der in ders}
    stream = stub.StreamVerify(metadata=CITIZEN)

    async def send() -> None:
        for der in ders:
            sent = batch(certified(der), items=[ALICE.item()], trust_policy=CERTIFICATE)
            await stream.write(verification_pb2.StreamVerifyRequest(batch=sent))
        await stream.done_writing()

    sending = asyncio.create_task(send())
    for read in range(len(ders)):
        # Each batch asks identity once. Other calls are answered while this one stands still.
        before, calls = -1, 0
        while calls < 20:
            answer = await stub.Verify(
                verification_pb2.VerifyRequest(signer=public(ALICE), item=ALICE.item()),
                metadata=CITIZEN,
            )
            assert answer.verdict == VALID
            calls = calls + 1 if len(identity.asked) == before else 0
            before = len(identity.asked)
        assert len(identity.asked) == min(read + 2, len(ders))
        answer = await stream.read()
        assert (answer.sequence, answer.batch.signers[0].subject) == (read, subject)
    await sending
    assert await stream.read() is grpc.aio.EOF


async def test_a_stream_that_its_client_leaves_ends(stub: Stub) -> None:
    stream = stub.StreamVerify(metadata=CITIZEN)
    await stream.write(
        verification_pb2.StreamVerifyRequest(batch=batch(public(ALICE), items=[ALICE.item()] * 500))
    )
    stream.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stream.read()


@pytest.mark.parametrize("method", ["Verify", "BatchVerify", "StreamVerify"])
async def test_no_message_is_kept_once_its_call_is_over(
    channel: grpc.aio.Channel, method: str
) -> None:
    """Twenty messages of a megabyte, all of them refused: none may stay in memory."""
    megabyte = 1024 * 1024
    message = b"\x0a" + b"\xff" * megabyte
    path = f"/qagazsyz.signing.v1.VerificationService/{method}"
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(20):
            if method == "StreamVerify":
                streaming: Any = channel.stream_stream(path)
                stream = streaming(metadata=CITIZEN)
                await stream.write(message)
                await stream.read()
                stream.cancel()
            else:
                unary: Any = channel.unary_unary(path)
                await refusal(unary(message, metadata=CITIZEN))
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 5 * megabyte
