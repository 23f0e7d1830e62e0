"""KeyServicer: how keys live, rotate and end, and who may do what with them."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from sqlalchemy import select, update

from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.signing.v1 import keys_pb2
from services.runtime.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    Unavailable,
)
from services.runtime.sealing import CannotUnseal, Sealed
from services.runtime.server import Call
from services.runtime.storage.database import Database
from services.signing.keys import store
from services.signing.keys.rules import PLATFORM_PREFIX, own_key_id
from services.signing.keys.servicer import KeyServicer
from services.signing.tables import key_versions
from signatures.algorithms import Algorithm, Verdict
from signatures.keys import load_public_key
from signatures.portable import verify
from tests.unit.signing.builders import (
    BANK,
    MINISTRY,
    NOW,
    SEAL,
    FakeIdentity,
    auditor,
    citizen,
    create,
    destroy,
    disable,
    enable,
    key_name,
    key_servicer,
    officer,
    operator,
    rotate,
    sign,
    vault,
)

P256 = signatures_pb2.SIGNATURE_ALGORITHM_ECDSA_P256_SHA256
BANK_OFFICER = officer(BANK)
REQUEST_ID = "0b8d2f0e-7c1c-4b1e-9a55-3f5a0c9d7e21"


def holds(key: keys_pb2.Key, version: str, signature: bytes, message: bytes = b"m") -> bool:
    (public,) = [v.public_key for v in key.versions if v.name == version]
    found = verify(
        load_public_key(public), Algorithm(key.algorithm), message=message, signature=signature
    )
    return found is Verdict.VALID


async def test_an_officer_creates_a_key_and_signs_with_it(service: KeyServicer) -> None:
    key = await create(service, key_id="seal")
    assert (key.name, key.organization) == (SEAL, MINISTRY)
    assert key.primary_version == f"{SEAL}/versions/1"
    assert [v.state for v in key.versions] == [keys_pb2.KEY_VERSION_STATE_ENABLED]
    assert key.create_time.ToDatetime() == NOW.replace(tzinfo=None)
    answer = await sign(service, key.name)
    assert answer.key_version == key.primary_version
    assert holds(key, answer.key_version, answer.signature)


async def test_a_key_without_an_id_gets_one(service: KeyServicer) -> None:
    key = await create(service)
    assert uuid.UUID(key.name.removeprefix("keys/")).version == 7


async def test_names_and_outputs_that_a_caller_sends_are_not_taken(service: KeyServicer) -> None:
    request = keys_pb2.CreateKeyRequest(
        key=keys_pb2.Key(
            name="keys/mine",
            organization=MINISTRY,
            algorithm=signatures_pb2.SIGNATURE_ALGORITHM_ED25519,
            primary_version="keys/other/versions/1",
            versions=[keys_pb2.KeyVersion(name="x")],
        )
    )
    key = await service.CreateKey(request, officer())
    assert key.name != "keys/mine"
    assert key.primary_version == f"{key.name}/versions/1"


async def test_the_database_has_the_private_key_sealed_only(
    service: KeyServicer, database: Database
) -> None:
    key = await create(service, key_id="seal")
    async with database.reading() as connection:
        (row,) = (await connection.execute(select(key_versions))).all()
    assert row.wrapping_key_id == "first"
    private = vault().unseal(
        Sealed("first", bytes(row.sealed_private_key)), record=key.primary_version
    )
    assert private[-32:] not in bytes(row.sealed_private_key)


async def test_a_ciphertext_swapped_with_another_versions_signs_nothing(
    service: KeyServicer, database: Database
) -> None:
    await create(service, key_id="a")
    await create(service, BANK_OFFICER, organization=BANK, key_id="b")
    table = key_versions
    async with database.transaction() as connection:
        rows = {r.key_id: r for r in await connection.execute(select(table))}
        await connection.execute(
            update(table)
            .where(table.c.key_id == own_key_id("a", MINISTRY))
            .values(sealed_private_key=rows[own_key_id("b", BANK)].sealed_private_key)
        )
    with pytest.raises(CannotUnseal):
        await sign(service, key_name("a"))


# --- Announcing -------------------------------------------------------------------------------


async def test_each_key_and_version_is_announced_to_identity(database: Database) -> None:
    identity = FakeIdentity()
    service = key_servicer(database, vault(), identity)
    key = await create(service, key_id="seal")
    assert identity.announced == [v.public_key for v in key.versions]
    rotated = await rotate(service, key.name)
    assert identity.announced == [v.public_key for v in rotated.versions]


async def test_no_key_is_stored_if_it_cannot_be_announced(database: Database) -> None:
    identity = FakeIdentity()
    service = key_servicer(database, vault(), identity)
    key = await create(service, key_id="seal")
    identity.reachable = False
    with pytest.raises(Unavailable):
        await create(service, key_id="another")
    with pytest.raises(Unavailable):
        await rotate(service, key.name)
    assert await listed(service, officer()) == [key.name]
    found = await service.GetKey(keys_pb2.GetKeyRequest(name=key.name), officer())
    assert found == key


async def test_a_caller_who_may_create_no_key_has_none_announced(database: Database) -> None:
    identity = FakeIdentity()
    service = key_servicer(database, vault(), identity)
    with pytest.raises(PermissionDenied):
        await create(service, citizen())
    assert identity.announced == []


# --- Who may ---------------------------------------------------------------------------------


async def test_an_operator_makes_keys_for_any_organization_and_signs_with_none(
    service: KeyServicer,
) -> None:
    key = await create(service, operator(), key_id="seal")
    assert key.organization == MINISTRY
    with pytest.raises(PermissionDenied):
        await sign(service, key.name, operator())


async def test_an_organization_that_does_not_exist_gets_no_key(service: KeyServicer) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await create(service, operator(), organization="subjects/nobody")
    assert caught.value.field == "key.organization"


async def test_an_id_that_another_organization_has_is_free(service: KeyServicer) -> None:
    ours = await create(service, key_id="seal")
    theirs = await create(service, BANK_OFFICER, organization=BANK, key_id="seal")
    assert ours.name != theirs.name
    with pytest.raises(AlreadyExists):
        await create(service, key_id="seal")


@pytest.mark.parametrize("organization", [BANK, "subjects/nobody"])
async def test_an_officer_makes_no_key_for_another_organization(
    service: KeyServicer, organization: str
) -> None:
    with pytest.raises(PermissionDenied):
        await create(service, officer(MINISTRY), organization=organization)


@pytest.mark.parametrize("name", [SEAL, "keys/no-such-key"])
async def test_an_officer_of_another_organization_is_refused_whether_or_not_the_key_exists(
    service: KeyServicer, name: str
) -> None:
    await create(service, key_id="seal")
    version = f"{name}/versions/1"
    calls: list[tuple[Any, Any]] = [
        (service.RotateKey, keys_pb2.RotateKeyRequest(name=name)),
        (service.DisableKeyVersion, keys_pb2.DisableKeyVersionRequest(name=version)),
        (service.EnableKeyVersion, keys_pb2.EnableKeyVersionRequest(name=version)),
        (service.DestroyKeyVersion, keys_pb2.DestroyKeyVersionRequest(name=version)),
        (
            service.CreateCertificateRequest,
            keys_pb2.CreateCertificateRequestRequest(name=version),
        ),
        (service.Sign, keys_pb2.SignRequest(key=name, message=b"m")),
        (service.BatchSign, keys_pb2.BatchSignRequest(key=name)),
    ]
    for method, request in calls:
        with pytest.raises(PermissionDenied) as caught:
            await method(request, BANK_OFFICER)
        assert caught.value.message == "permission denied"


async def test_a_citizen_without_an_organization_signs_with_no_key(service: KeyServicer) -> None:
    await create(service, key_id="seal")
    with pytest.raises(PermissionDenied):
        await sign(service, SEAL, citizen())


async def test_every_signed_in_caller_reads_a_keys_public_parts(service: KeyServicer) -> None:
    key = await create(service, key_id="seal")
    request = keys_pb2.GetKeyRequest(name=SEAL)
    for call in (citizen(), BANK_OFFICER, auditor()):
        assert await service.GetKey(request, call) == key
    with pytest.raises(NotFound):
        await service.GetKey(keys_pb2.GetKeyRequest(name="keys/none"), citizen())


# --- Lists -----------------------------------------------------------------------------------


async def listed(service: KeyServicer, call: Call, **fields: Any) -> list[str]:
    names: list[str] = []
    token = ""
    while True:
        request = keys_pb2.ListKeysRequest(page_token=token, **fields)
        page = await service.ListKeys(request, call)
        names += [key.name for key in page.keys]
        token = page.next_page_token
        if not token:
            return names


async def test_an_officer_lists_their_own_organizations_keys_only(service: KeyServicer) -> None:
    for number in range(3):
        await create(service, key_id=f"m{number}")
    await create(service, BANK_OFFICER, organization=BANK, key_id="b")
    assert await listed(service, officer(), page_size=2) == [
        key_name("m0"),
        key_name("m1"),
        key_name("m2"),
    ]
    assert await listed(service, officer(), organization=MINISTRY) == [
        key_name("m0"),
        key_name("m1"),
        key_name("m2"),
    ]
    with pytest.raises(PermissionDenied):
        await listed(service, officer(), organization=BANK)
    assert await listed(service, auditor(), organization=BANK) == [key_name("b", BANK)]
    everything = [key_name("b", BANK), key_name("m0"), key_name("m1"), key_name("m2")]
    assert await listed(service, operator(), page_size=3) == everything


async def test_a_page_ends_before_its_message_grows_too_large_and_the_next_goes_on(
    service: KeyServicer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        await create(service, key_id=f"m{number}")
    monkeypatch.setattr("services.signing.keys.servicer.PAGE_LIMIT_BYTES", 1)
    page = await service.ListKeys(keys_pb2.ListKeysRequest(page_size=2), officer())
    assert [key.name for key in page.keys] == [key_name("m0")]
    assert await listed(service, officer()) == [key_name("m0"), key_name("m1"), key_name("m2")]


async def test_a_page_token_serves_for_its_own_list_only(service: KeyServicer) -> None:
    for number in range(2):
        await create(service, key_id=f"m{number}")
    request = keys_pb2.ListKeysRequest(page_size=1)
    page = await service.ListKeys(request, officer())
    request.page_token = page.next_page_token
    with pytest.raises(InvalidArgument):
        await service.ListKeys(request, BANK_OFFICER)


# --- Idempotency -----------------------------------------------------------------------------


async def test_a_repeated_creation_answers_with_the_first_key(service: KeyServicer) -> None:
    request_id = str(uuid.uuid4())
    first = await create(service, request_id=request_id)
    assert await create(service, request_id=request_id) == first
    with pytest.raises(AlreadyExists):
        await create(service, request_id=request_id, algorithm=P256)
    other = await create(service, BANK_OFFICER, organization=BANK, request_id=request_id)
    assert other.name != first.name


async def test_a_repeated_rotation_rotates_once(service: KeyServicer) -> None:
    await create(service, key_id="seal")
    request = keys_pb2.RotateKeyRequest(name=SEAL, request_id=str(uuid.uuid4()))
    first = await service.RotateKey(request, officer())
    assert await service.RotateKey(request, officer()) == first
    assert len(first.versions) == 2


# --- Versions --------------------------------------------------------------------------------


async def test_rotation_makes_a_new_version_that_signs_from_now_on(service: KeyServicer) -> None:
    before = await create(service, key_id="seal", algorithm=P256)
    after = await rotate(service, SEAL, operator())
    assert after.primary_version == f"{SEAL}/versions/2"
    assert after.versions[0] == before.versions[0]
    assert after.versions[1].public_key != before.versions[0].public_key
    answer = await sign(service, SEAL)
    assert answer.key_version == after.primary_version
    assert holds(after, answer.key_version, answer.signature)


async def test_a_disabled_version_signs_nothing_until_it_is_enabled(service: KeyServicer) -> None:
    key = await create(service, key_id="seal")
    for _ in range(2):
        changed = await disable(service, key.primary_version)
        assert changed.state == keys_pb2.KEY_VERSION_STATE_DISABLED
    with pytest.raises(FailedPrecondition) as caught:
        await sign(service, key.name)
    assert caught.value.reason == "KEY_VERSION_DISABLED"
    request = keys_pb2.CreateCertificateRequestRequest(name=key.primary_version)
    with pytest.raises(FailedPrecondition):
        await service.CreateCertificateRequest(request, officer())
    await enable(service, key.primary_version)
    assert (await sign(service, key.name)).signature


async def test_a_destroyed_version_is_wiped_for_good_and_its_public_part_stays(
    service: KeyServicer, database: Database
) -> None:
    key = await create(service, key_id="seal")
    for _ in range(2):
        destroyed = await destroy(service, key.primary_version)
        assert destroyed.state == keys_pb2.KEY_VERSION_STATE_DESTROYED
        assert destroyed.public_key == key.versions[0].public_key
    async with database.reading() as connection:
        (row,) = (await connection.execute(select(key_versions))).all()
        found = await store.find_public_keys(connection, [key.primary_version])
    assert row.sealed_private_key is None and row.wrapping_key_id is None
    assert found == {key.primary_version: key.versions[0].public_key}
    for change in (enable, disable):
        with pytest.raises(FailedPrecondition) as caught:
            await change(service, key.primary_version)
        assert caught.value.reason == "KEY_VERSION_DESTROYED"
    with pytest.raises(FailedPrecondition):
        await sign(service, key.name)


async def test_a_version_that_does_not_exist_is_not_found_by_its_owner(
    service: KeyServicer,
) -> None:
    await create(service, key_id="seal")
    with pytest.raises(NotFound):
        await disable(service, f"{SEAL}/versions/2")


async def test_a_certificate_request_is_over_the_versions_key(service: KeyServicer) -> None:
    key = await create(service, key_id="seal", algorithm=P256)
    request = keys_pb2.CreateCertificateRequestRequest(name=key.primary_version)
    answer = await service.CreateCertificateRequest(request, officer())
    csr = x509.load_der_x509_csr(answer.certificate_request)
    assert csr.is_signature_valid
    spki = csr.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert spki == key.versions[0].public_key


# --- Signing ---------------------------------------------------------------------------------


async def test_a_sign_in_challenge_is_never_signed(service: KeyServicer) -> None:
    await create(service, key_id="seal")
    with pytest.raises(InvalidArgument) as caught:
        await sign(service, SEAL, message=PLATFORM_PREFIX + b"\nplatform\n")
    assert caught.value.field == "message"


async def test_in_a_batch_a_bad_item_costs_its_own_answer_only(service: KeyServicer) -> None:
    key = await create(service, key_id="seal", algorithm=P256)
    items = [
        keys_pb2.SignItem(message=b"m"),
        keys_pb2.SignItem(message=PLATFORM_PREFIX),
        keys_pb2.SignItem(),
        keys_pb2.SignItem(digest=bytes(31)),
        keys_pb2.SignItem(message=b"n"),
    ]
    request = keys_pb2.BatchSignRequest(key=SEAL, items=items)
    answer = await service.BatchSign(request, officer())
    assert answer.key_version == key.primary_version
    assert [r.WhichOneof("result") for r in answer.results] == [
        "signature",
        "error",
        "error",
        "error",
        "signature",
    ]
    assert all(r.error.code == 3 for r in answer.results[1:4])
    assert holds(key, answer.key_version, answer.results[0].signature)
    assert holds(key, answer.key_version, answer.results[4].signature, b"n")


async def test_more_items_than_the_contract_allows_are_refused(service: KeyServicer) -> None:
    await create(service, key_id="seal")
    items = [keys_pb2.SignItem(message=b"m")] * 1_001
    with pytest.raises(InvalidArgument) as caught:
        await service.BatchSign(
            keys_pb2.BatchSignRequest(key=SEAL, items=items),
            officer(),
        )
    assert caught.value.field == "items"


@pytest.mark.parametrize("name", ["", "keys/", "seal", "keys/a/versions/1", "keys/\x00"])
async def test_a_name_that_is_no_keys_is_refused(service: KeyServicer, name: str) -> None:
    with pytest.raises(InvalidArgument):
        await service.GetKey(keys_pb2.GetKeyRequest(name=name), officer())
    with pytest.raises(InvalidArgument):
        await sign(service, name)


async def test_an_organization_has_no_more_keys_than_its_quota(database: Database) -> None:
    identity = FakeIdentity()
    service = key_servicer(database, vault(), identity, keys_per_organization=2)
    first = await create(service, request_id=REQUEST_ID)
    await create(service)
    announced = len(identity.announced)
    with pytest.raises(QuotaExceeded) as refused:
        await create(service)
    assert refused.value.subject == MINISTRY
    # No pair was made, and the request that was granted is still answered.
    assert len(identity.announced) == announced
    assert await create(service, request_id=REQUEST_ID) == first
    await create(service, BANK_OFFICER, organization=BANK)
    await rotate(service, first.name)


async def test_callers_at_the_same_time_stay_within_the_quota(database: Database) -> None:
    service = key_servicer(database, vault(), keys_per_organization=3)
    await create(service)
    outcomes = await asyncio.gather(*(create(service) for _ in range(5)), return_exceptions=True)
    made = [one for one in outcomes if isinstance(one, keys_pb2.Key)]
    refused = [one for one in outcomes if isinstance(one, QuotaExceeded)]
    assert (len(made), len(refused)) == (2, 3)
