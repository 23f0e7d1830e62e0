"""SignStatement: what a provider's key seals on behalf of an applicant, and what it never does.

The caller is a registry that was taken over: it can show everything that was ever signed.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_der_public_key

from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.request_texts import Evidence, Mandate, RequestStatement
from qagazsyz.signing.v1 import keys_pb2
from services.runtime.access import Role
from services.runtime.errors import (
    DomainError,
    FailedPrecondition,
    InvalidArgument,
    PermissionDenied,
    Unavailable,
)
from services.runtime.storage.database import Database, sqlite_url
from services.runtime.storage.migrations import migrate
from services.signing.keys.servicer import KeyServicer
from services.signing.main import MIGRATIONS
from tests.calls import call
from tests.unit.signing.builders import (
    BANK,
    MINISTRY,
    NOW,
    PLATFORM,
    SEAL,
    FakeIdentity,
    create,
    disable,
    key_name,
    key_servicer,
    officer,
    vault,
)

APPLICANT, CLERK, STRANGER = "subjects/aigerim", "subjects/clerk", "subjects/stranger"
EVIDENCE = (Evidence(document_type="documentTypes/residence", purpose="address-certificate"),)
MANDATE = Mandate(
    platform=PLATFORM,
    public_service="publicServices/address-certificate",
    service_version=3,
    provider=MINISTRY,
    time=NOW - timedelta(days=1),
    evidence=EVIDENCE,
    required=(True,),
    output="documentTypes/address-certificate",
    time_limit_days=0,
    key=SEAL,
    output_template="{}",
)
STATEMENT = RequestStatement(
    platform=PLATFORM,
    request="serviceRequests/one",
    public_service=MANDATE.public_service,
    service_version=3,
    provider=MINISTRY,
    applicant=APPLICANT,
    at_office=False,
    form_sha256=bytes(32),
    evidence=EVIDENCE,
    expire_time=NOW + timedelta(days=7),
    nonce=bytes(16),
)
DOCUMENT = {
    "v": 2,
    "content_sha256": "00" * 32,
    "document_type": MANDATE.output,
    "issuer": MINISTRY,
    "media_type": "application/json",
    "subjects": [APPLICANT],
}
registry = call("services/registry", "", Role.ROLE_SERVICE)


def encoded(**changes: Any) -> bytes:
    """The document's statement, with changed members; a None is left out."""
    members = {name: value for name, value in (DOCUMENT | changes).items() if value is not None}
    return json.dumps(members, sort_keys=True, separators=(",", ":")).encode()


def signed(text: bytes, signer: str) -> signatures_pb2.SignedText:
    certificate = signer.encode()
    return signatures_pb2.SignedText(
        text=text,
        certificate=certificate,
        algorithm=signatures_pb2.SIGNATURE_ALGORITHM_ED25519,
        signature=certificate + text,
    )


@pytest.fixture
def identity() -> FakeIdentity:
    return FakeIdentity(officers={(MINISTRY, CLERK), (BANK, "subjects/teller")})


@pytest.fixture
async def keys(tmp_path: Path, identity: FakeIdentity) -> AsyncIterator[KeyServicer]:
    database = Database(sqlite_url(tmp_path / "signing.db"))
    await migrate(database, MIGRATIONS)
    made = key_servicer(database, vault(), identity)
    await create(made, key_id="seal")
    await create(made, officer(BANK), organization=BANK, key_id="seal")
    yield made
    await database.close()


async def seal(
    keys: KeyServicer,
    document: bytes | None = None,
    mandate: Mandate = MANDATE,
    statement: RequestStatement = STATEMENT,
    *,
    approver: str = CLERK,
    applicant: str = APPLICANT,
) -> keys_pb2.SignStatementResponse:
    delegation = signatures_pb2.Delegation(
        mandate=signed(mandate.encode(), approver), statement=signed(statement.encode(), applicant)
    )
    request = keys_pb2.SignStatementRequest(
        statement=encoded() if document is None else document, delegation=delegation
    )
    return await keys.SignStatement(request, registry)


async def test_a_documents_statement_is_sealed_by_the_key_of_the_mandate(
    keys: KeyServicer,
) -> None:
    response = await seal(keys)
    assert response.key_version == f"{SEAL}/versions/1"
    key = await keys.GetKey(keys_pb2.GetKeyRequest(name=SEAL), registry)
    public_key: Any = load_der_public_key(key.versions[0].public_key)
    public_key.verify(response.signature, encoded())
    assert response.algorithm == key.algorithm


async def test_no_other_text_is_sealed(keys: KeyServicer) -> None:
    for document in (
        b"",
        bytes(32),
        b"qagazsyz sign-in v1",
        MANDATE.encode(),
        encoded() + b" ",
        json.dumps(DOCUMENT).encode(),
        encoded(v=1),
        encoded(issuer=None),
        encoded(subjects=APPLICANT),
        encoded(expire_time="2027-01-31T00:00:00Z"),
        encoded(more=1),
        b"[" * 5_000,
    ):
        with pytest.raises(InvalidArgument):
            await seal(keys, document)


async def test_no_other_document_is_sealed(keys: KeyServicer) -> None:
    others: list[dict[str, Any]] = [
        {"issuer": BANK},
        {"document_type": "documentTypes/diploma"},
        {"subjects": [STRANGER]},
        {"subjects": [APPLICANT, STRANGER]},
        {"subjects": []},
    ]
    for changes in others:
        with pytest.raises(PermissionDenied):
            await seal(keys, encoded(**changes))


async def test_nothing_is_sealed_under_other_texts_than_belong_together(keys: KeyServicer) -> None:
    changes: dict[str, Any] = {
        "platform": "test.example",
        "public_service": "publicServices/other",
        "service_version": 4,
        "provider": BANK,
        "evidence": (),
    }
    for member, other in changes.items():
        changed: dict[str, Any] = {member: other}
        with pytest.raises(PermissionDenied):
            await seal(keys, statement=replace(STATEMENT, **changed))
        required: dict[str, Any] = {"required": ()} if member == "evidence" else {}
        with pytest.raises(PermissionDenied):
            await seal(keys, mandate=replace(MANDATE, **changed, **required))
    there: dict[str, Any] = {"platform": "test.example"}
    with pytest.raises(PermissionDenied):
        await seal(keys, mandate=replace(MANDATE, **there), statement=replace(STATEMENT, **there))


async def test_nothing_is_sealed_without_a_mandate_for_now_and_for_a_key(
    keys: KeyServicer,
) -> None:
    for mandate in (
        replace(MANDATE, time=NOW + timedelta(seconds=1)),
        replace(MANDATE, time_limit_days=1),
        replace(MANDATE, key=""),
        # A key of another organization, and one that does not exist.
        replace(MANDATE, key=key_name("seal", BANK)),
        replace(MANDATE, key=key_name("other")),
    ):
        with pytest.raises(PermissionDenied):
            await seal(keys, mandate=mandate)
    for expire_time in (NOW, NOW - timedelta(days=1), NOW + timedelta(days=32)):
        with pytest.raises(PermissionDenied):
            await seal(keys, statement=replace(STATEMENT, expire_time=expire_time))


async def test_both_texts_are_signed_by_who_may(keys: KeyServicer, identity: FakeIdentity) -> None:
    for approver in (APPLICANT, STRANGER, "subjects/teller", MINISTRY):
        with pytest.raises(PermissionDenied):
            await seal(keys, approver=approver)
    for applicant in (CLERK, STRANGER, MINISTRY):
        with pytest.raises(PermissionDenied):
            await seal(keys, applicant=applicant)
    at_office = replace(STATEMENT, at_office=True)
    assert (await seal(keys, statement=at_office, applicant=CLERK)).signature
    for applicant in (APPLICANT, STRANGER, "subjects/teller"):
        with pytest.raises(PermissionDenied):
            await seal(keys, statement=at_office, applicant=applicant)
    identity.officers.clear()
    with pytest.raises(PermissionDenied):
        await seal(keys)


async def test_an_officer_who_comes_to_the_office_is_served_by_another(
    keys: KeyServicer, identity: FakeIdentity
) -> None:
    own = replace(STATEMENT, at_office=True, applicant=CLERK)
    document = encoded(subjects=[CLERK])
    with pytest.raises(PermissionDenied):
        await seal(keys, document, statement=own, applicant=CLERK)
    identity.officers.add((MINISTRY, "subjects/colleague"))
    assert await seal(keys, document, statement=own, applicant="subjects/colleague")


async def test_a_signature_that_was_made_over_another_text_seals_nothing(
    keys: KeyServicer,
) -> None:
    for text, kind in ((MANDATE, "mandate"), (STATEMENT, "statement")):
        for each in fields(text):
            delegation = signatures_pb2.Delegation(
                mandate=signed(MANDATE.encode(), CLERK),
                statement=signed(STATEMENT.encode(), APPLICANT),
            )
            part = getattr(delegation, kind)
            value: Any = getattr(text, each.name)
            changed: dict[str, Any] = {
                each.name: value + timedelta(seconds=-1)
                if hasattr(value, "isoformat")
                else value + 1
                if isinstance(value, int) and not isinstance(value, bool)
                else not value
                if isinstance(value, bool)
                else value + "x"
                if isinstance(value, str)
                else bytes([1]) * len(value)
                if isinstance(value, bytes)
                else (*value, *value)
            }
            if isinstance(text, Mandate) and each.name in ("evidence", "required"):
                changed = {"evidence": (), "required": ()}
            part.text = replace(text, **changed).encode()
            request = keys_pb2.SignStatementRequest(statement=encoded(), delegation=delegation)
            with pytest.raises(DomainError) as refusal:
                await keys.SignStatement(request, registry)
            assert isinstance(refusal.value, PermissionDenied | InvalidArgument), each.name


async def test_a_disabled_key_and_an_identity_that_is_away_seal_nothing(
    keys: KeyServicer, identity: FakeIdentity
) -> None:
    await disable(keys, f"{SEAL}/versions/1")
    with pytest.raises(FailedPrecondition):
        await seal(keys)
    identity.reachable = False
    with pytest.raises(Unavailable):
        await seal(keys)
