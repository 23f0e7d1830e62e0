"""docs/receipts.md shows a receipt that holds, and every event's members; run this file as a module
to write both anew."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from qagazsyz import merkle
from qagazsyz.receipts import verify_receipt
from qagazsyz.registry.v1.receipts_pb2 import Opening, Receipt
from services.registry.log.transparency_log import encode_entry
from services.registry.model import log_entries
from services.registry.model.accesses import Access, AccessEvent
from services.registry.model.consents import Consent
from services.registry.model.document_types import DocumentType, change_of
from services.registry.model.documents import Document, Signature
from services.registry.model.identity_events import (
    IdentityEvent,
    IdentityEventBasis,
    IdentityEventKind,
)
from services.registry.model.request_events import RequestEvent
from services.runtime.access import Role
from tests.unit.registry.ledger import log_key

PAGE = Path(__file__).parents[3] / "docs" / "receipts.md"
KEY = log_key()
CONTENT = b"Aigerim lives in Almaty.\n"
NOW = datetime(2026, 11, 26, 9, 30, 0, 125000, tzinfo=UTC)
SALTS = [bytes([number]) * 32 for number in range(1, 5)]

DOCUMENT = Document(
    name="documents/01a4c9d2-3b7d-7000-8000-000000000001",
    document_type="documentTypes/address-certificate",
    issuer="subjects/01a4c9d2-3b7d-7000-8000-000000000002",
    subjects=("subjects/01a4c9d2-3b7d-7000-8000-000000000003",),
    subject_salts=(SALTS[1],),
    title="",
    media_type="text/plain",
    size_bytes=len(CONTENT),
    content_sha256=hashlib.sha256(CONTENT).digest(),
    content_salt=SALTS[0],
    signatures=(Signature(b"", 1, b"the signature's bytes", ""),),
    verification_code="",
    log_index=1,
    create_time=NOW,
    expire_time=datetime(2027, 11, 26, tzinfo=UTC),
)
CONSENT = Consent(
    name="consents/1",
    subject=DOCUMENT.subjects[0],
    organization="subjects/bank",
    document_type=DOCUMENT.document_type,
    purpose="mortgage-application",
    purpose_text="",
    create_time=NOW,
    expire_time=NOW + timedelta(days=90),
    grant_salt=SALTS[2],
    grant_text_salt=SALTS[3],
)
ACCESS = Access(
    name="accesses/1",
    event=AccessEvent.LOOKED_UP,
    subjects=DOCUMENT.subjects,
    subject_salts=(SALTS[2],),
    organization="subjects/bank",
    officer="subjects/teller",
    officer_salt=SALTS[3],
    document_type=DOCUMENT.document_type,
    purpose="mortgage-application",
    reason="",
    basis=CONSENT.name,
    documents=(DOCUMENT.name,),
    create_time=NOW,
    attributes=("/address",),
    entry_salt=SALTS[0],
)
CERTIFIED = IdentityEvent(
    number=1,
    kind=IdentityEventKind.CERTIFIED,
    basis=IdentityEventBasis.APPROVED,
    time=NOW,
    subject=DOCUMENT.subjects[0],
    organization="subjects/bank",
    fingerprint=SALTS[0],
    role=0,
    officers=("subjects/operator",),
    salts=tuple(SALTS[:3]),
)
MEMBERSHIP = replace(
    CERTIFIED,
    kind=IdentityEventKind.MEMBERSHIP_ADDED,
    fingerprint=b"",
    role=int(Role.ROLE_OFFICER),
    salts=tuple(SALTS[:2]),
)
CERTIFICATE_KINDS = (
    IdentityEventKind.CERTIFIED,
    IdentityEventKind.CERTIFICATE_REGISTERED,
    IdentityEventKind.CERTIFICATE_REVOKED,
)
PHONE_KINDS = (IdentityEventKind.PHONE_ACTIVATED, IdentityEventKind.PHONE_ENDED)
PHONE = replace(CERTIFIED, organization="")
MEMBERSHIP_KINDS = (IdentityEventKind.MEMBERSHIP_ADDED, IdentityEventKind.MEMBERSHIP_REMOVED)
TYPE = DocumentType(
    name=DOCUMENT.document_type, display_names={}, issuers=(DOCUMENT.issuer,), legal_bases=()
)
REQUESTED = RequestEvent(
    request="serviceRequests/1",
    public_service="publicServices/address-certificate",
    applicant=DOCUMENT.subjects[0],
    number=1,
    change=b'{"state":"draft"}',
    time=NOW,
    entry_salt=SALTS[0],
)
# Those who may be absent, and when they are there.
OPTIONAL = {
    ("registered", "expire_time"): "where the document expires",
    **{
        (event, "attributes"): "where single attributes were looked up"
        for event in ("looked_up", "refused", "downloaded")
    },
    **{(event, "consent"): "where it rests on one" for event in ("looked_up", "downloaded")},
    **{
        (event, "organization"): "where one stands in it"
        for event in ("certified", "certificate_registered", "certificate_revoked")
    },
}


def all_events() -> list[Mapping[str, Any]]:
    accessed = [
        log_entries.accessed_entry(
            replace(ACCESS, event=event, basis="" if event is AccessEvent.REFUSED else ACCESS.basis)
        )
        for event in AccessEvent
    ]
    return [
        log_entries.registered_entry(DOCUMENT),
        log_entries.revoked_entry(DOCUMENT.name, DOCUMENT.issuer, NOW),
        log_entries.erased_entry(DOCUMENT.name, DOCUMENT.issuer, NOW),
        log_entries.consented_entry(CONSENT),
        log_entries.withdrawn_entry(CONSENT, NOW, SALTS[3], SALTS[2]),
        *accessed,
        log_entries.type_changed_entry(change_of(TYPE, NOW)),
        *(log_entries.identity_entry(replace(CERTIFIED, kind=kind)) for kind in CERTIFICATE_KINDS),
        *(log_entries.identity_entry(replace(MEMBERSHIP, kind=kind)) for kind in MEMBERSHIP_KINDS),
        *(log_entries.identity_entry(replace(PHONE, kind=kind)) for kind in PHONE_KINDS),
        log_entries.requested_entry(REQUESTED),
    ]


def receipt() -> Receipt:
    """The document's entry as the second of three."""
    entry = encode_entry(log_entries.registered_entry(DOCUMENT))
    left, right = merkle.leaf_hash(b"the entry before"), merkle.leaf_hash(b"the entry behind")
    root = merkle.node_hash(merkle.node_hash(left, merkle.leaf_hash(entry)), right)
    return Receipt(
        entry=entry,
        log_index=1,
        inclusion_path=[left, right],
        checkpoint=KEY.sign(3, root),
        openings=[
            Opening(field=each.field, salt=each.salt, value=each.value)
            for each in log_entries.document_openings(DOCUMENT)
        ],
    )


def table() -> str:
    lines = ["| event | members beside `v`, `event`, `time` |", "|---|---|"]
    for members in all_events():
        event = members["event"]
        told = [
            f"`{member}`" + (f" ({OPTIONAL[event, member]})" if (event, member) in OPTIONAL else "")
            for member in members
            if member not in ("v", "event", "time")
        ]
        lines.append(f"| `{event}` | {', '.join(told)} |")
    return "\n".join(lines)


def fenced(language: str, text: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```"


PARTS: dict[str, Callable[[], str]] = {
    "members": table,
    "key": lambda: fenced("text", str(KEY.verifier)),
    "content": lambda: fenced("text", CONTENT.decode()),
    "receipt": lambda: fenced("json", json_format.MessageToJson(receipt(), indent=2)),
    "entry": lambda: fenced(
        "json", json.dumps(json.loads(receipt().entry), indent=2, ensure_ascii=False)
    ),
    "checkpoint": lambda: fenced("text", receipt().checkpoint.decode()),
}


def marked(part: str) -> re.Pattern[str]:
    return re.compile(f"(<!-- {part} -->\n).*?(\n<!-- end -->)", re.DOTALL)


def shown(part: str) -> str:
    """What the page shows between the part's marks."""
    found = marked(part).search(PAGE.read_text())
    assert found is not None, f"docs/receipts.md shows no {part}"
    return found[0].removeprefix(found[1]).removesuffix(found[2])


def code(part: str) -> str:
    return shown(part).partition("\n")[2].removesuffix("\n```")


def test_the_page_shows_what_the_code_makes() -> None:
    for part, make in PARTS.items():
        assert shown(part) == make(), f"{part}: write the page anew by running this module"


def test_the_receipt_on_the_page_verifies_with_the_key_and_the_content_on_it() -> None:
    read = json_format.Parse(code("receipt"), Receipt())
    proved = verify_receipt(read, code("key"), code("content").encode() + b"\n")
    assert proved.content_verified
    assert set(proved.openings) == {"content_sha256", "subjects[0]"}
    assert proved.entry == json.loads(code("entry"))
    assert read.checkpoint.decode().rstrip() == code("checkpoint")


def test_what_the_page_calls_optional_can_be_absent() -> None:
    bare = log_entries.registered_entry(replace(DOCUMENT, expire_time=None))
    assert "expire_time" not in bare
    assert "attributes" not in log_entries.accessed_entry(replace(ACCESS, attributes=()))
    assert "consent" not in log_entries.accessed_entry(replace(ACCESS, basis="Law No. 418-V"))
    assert "organization" not in log_entries.identity_entry(replace(CERTIFIED, organization=""))


def write() -> None:
    text = PAGE.read_text()
    for part, make in PARTS.items():
        found = marked(part).search(text)
        assert found is not None, part
        text = text[: found.start()] + found[1] + make() + found[2] + text[found.end() :]
    PAGE.write_text(text)


if __name__ == "__main__":
    write()
