"""Texts that let an office act on somebody's behalf, as people sign them and services read them.

- A *mandate*: an officer of a provider approves exactly one version of a public service.
- A *request statement*: an applicant asks for the service, and thereby consents to its look-ups,
  once. At an office, an officer of the provider signs it in the applicant's place.
- A *consent statement* answers a ConsentRequest; a *withdrawal statement* ends a consent.

Each text is its first line (signed_texts.py), a line feed, and a canonical JSON object (RFC 8785)
of exactly the members that docs/on-behalf.md lists. The services that rely on a text parse it here:
what parse returns encodes to the same bytes again, so that nobody signs one thing and is read
another. The module is pure: it verifies no signature and knows no clock.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from qagazsyz.canonical_texts import (
    Members,
    TextError,
    check_flag,
    check_text,
    encode,
    format_microseconds,
    format_seconds,
    same_text,
)
from qagazsyz.signed_texts import CONSENT, MANDATE, REQUEST, WITHDRAWAL

EVIDENCE_LIMIT = 16
ATTRIBUTES_LIMIT = 16
# Random, so that two statements are never the same text.
NONCE_BYTES = 16
# An offer waits for a month; a statement that lets evidence be looked up lasts no longer.
STATEMENT_LASTS = timedelta(days=31)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a provider looks up instead of asking the applicant for it."""

    document_type: str
    purpose: str
    # JSON pointers; the whole document where empty.
    attributes: tuple[str, ...] = ()

    def _members(self) -> dict[str, Any]:
        return {
            "document_type": self.document_type,
            "purpose": self.purpose,
            "attributes": list(self.attributes),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Mandate:
    """A provider's approval of one version of its public service."""

    platform: str
    public_service: str
    service_version: int
    provider: str
    # When it was written; it ends with every suspension (MandateService.EndMandates) after that.
    time: datetime
    evidence: tuple[Evidence, ...]
    # Which of the evidence a request cannot do without, by its place.
    required: tuple[bool, ...]
    # The document type that is issued at the end.
    output: str
    # 0: issued by rule, sealed with the key.
    time_limit_days: int
    # "keys/…" of the provider, and what the output says; "" where an officer decides.
    key: str = ""
    output_template: str = ""
    # "" where the service has none.
    appeal_body: str = ""

    def encode(self) -> bytes:
        """Return the text that an officer of the provider signs. Raises ValueError unless each
        evidence has its place in `required`."""
        return encode(
            MANDATE,
            {
                "platform": self.platform,
                "public_service": self.public_service,
                "service_version": self.service_version,
                "provider": self.provider,
                "time": format_microseconds(self.time),
                "evidence": [
                    each._members() | {"required": required}
                    for each, required in zip(self.evidence, self.required, strict=True)
                ],
                "output": self.output,
                "time_limit_days": self.time_limit_days,
                "key": self.key,
                "output_template": self.output_template,
                "appeal_body": self.appeal_body,
            },
        )

    @classmethod
    def parse(cls, text: bytes) -> Mandate:
        """Return the mandate that the text is. Raises TextError."""
        members = Members(MANDATE, text)
        evidence = members.list("evidence", EVIDENCE_LIMIT)
        return same_text(
            text,
            lambda: cls(
                platform=members.text("platform"),
                public_service=members.text("public_service"),
                service_version=members.number("service_version"),
                provider=members.text("provider"),
                time=members.time("time"),
                evidence=tuple(_evidence_of(each) for each in evidence),
                required=tuple(check_flag(each.get("required")) for each in evidence),
                output=members.text("output"),
                time_limit_days=members.number("time_limit_days"),
                key=members.text("key"),
                output_template=members.text("output_template"),
                appeal_body=members.text("appeal_body"),
            ),
            cls.encode,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestStatement:
    """An applicant's request for one version of a public service."""

    platform: str
    # "serviceRequests/…".
    request: str
    public_service: str
    service_version: int
    provider: str
    applicant: str
    # Whether an officer of the provider signs it, who saw the applicant.
    at_office: bool
    # SHA-256 of the form in UTF-8, the empty one too.
    form_sha256: bytes
    evidence: tuple[Evidence, ...]
    # Whole seconds. From then on the statement allows nothing.
    expire_time: datetime
    nonce: bytes

    def encode(self) -> bytes:
        """Return the text that the applicant, or the officer, signs."""
        return encode(
            REQUEST,
            {
                "platform": self.platform,
                "request": self.request,
                "public_service": self.public_service,
                "service_version": self.service_version,
                "provider": self.provider,
                "applicant": self.applicant,
                "at_office": self.at_office,
                "form_sha256": self.form_sha256.hex(),
                "evidence": [each._members() for each in self.evidence],
                "expire_time": format_seconds(self.expire_time),
                "nonce": self.nonce.hex(),
            },
        )

    @classmethod
    def parse(cls, text: bytes) -> RequestStatement:
        """Return the statement that the text is. Raises TextError."""
        members = Members(REQUEST, text)
        return same_text(
            text,
            lambda: cls(
                platform=members.text("platform"),
                request=members.text("request"),
                public_service=members.text("public_service"),
                service_version=members.number("service_version"),
                provider=members.text("provider"),
                applicant=members.text("applicant"),
                at_office=members.flag("at_office"),
                form_sha256=members.bytes("form_sha256", 32),
                evidence=tuple(
                    _evidence_of(each) for each in members.list("evidence", EVIDENCE_LIMIT)
                ),
                expire_time=members.time("expire_time"),
                nonce=members.bytes("nonce", NONCE_BYTES),
            ),
            cls.encode,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentStatement:
    """A person's answer to an organization that asked for consent."""

    platform: str
    # "consentRequests/…".
    request: str
    subject: str
    organization: str
    document_type: str
    purpose: str
    purpose_text: str
    # Of the consent, whole seconds.
    expire_time: datetime

    def encode(self) -> bytes:
        """Return the text that the person signs."""
        return encode(
            CONSENT,
            {
                "event": "consented",
                "platform": self.platform,
                "request": self.request,
                "subject": self.subject,
                "organization": self.organization,
                "document_type": self.document_type,
                "purpose": self.purpose,
                "purpose_text": self.purpose_text,
                "expire_time": format_seconds(self.expire_time),
            },
        )

    @classmethod
    def parse(cls, text: bytes) -> ConsentStatement:
        """Return the statement that the text is. Raises TextError."""
        members = Members(CONSENT, text)
        return same_text(
            text,
            lambda: cls(
                platform=members.text("platform"),
                request=members.text("request"),
                subject=members.text("subject"),
                organization=members.text("organization"),
                document_type=members.text("document_type"),
                purpose=members.text("purpose"),
                purpose_text=members.text("purpose_text"),
                expire_time=members.time("expire_time"),
            ),
            cls.encode,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawalStatement:
    """A person's withdrawal of a consent."""

    platform: str
    # "consents/…".
    consent: str
    subject: str

    def encode(self) -> bytes:
        """Return the text that the person signs."""
        return encode(
            WITHDRAWAL,
            {
                "event": "withdrawn",
                "platform": self.platform,
                "consent": self.consent,
                "subject": self.subject,
            },
        )

    @classmethod
    def parse(cls, text: bytes) -> WithdrawalStatement:
        """Return the statement that the text is. Raises TextError."""
        members = Members(WITHDRAWAL, text)
        return same_text(
            text,
            lambda: cls(
                platform=members.text("platform"),
                consent=members.text("consent"),
                subject=members.text("subject"),
            ),
            cls.encode,
        )


def check_delegation(
    mandate: Mandate, statement: RequestStatement, *, platform: str, now: datetime
) -> None:
    """Check what the texts alone and the clock tell: the statement asks for exactly what the
    mandate approves, both are this platform's, and both are for now. Raises TextError."""
    check_same_service(mandate, statement)
    if mandate.platform != platform:
        raise TextError("the texts are another platform's")
    if mandate.time > now:
        raise TextError("the mandate is not yet valid")
    if not now < statement.expire_time <= now + STATEMENT_LASTS:
        raise TextError("the statement has expired, or lasts too long")


def may_sign(statement: RequestStatement, signer: str, officers: Collection[str]) -> bool:
    """Return whether the signer may sign the statement: the applicant, or at the office an officer
    of the provider who is not the applicant.

    officers: those of the provider, as far as the signer may be one.
    """
    if statement.at_office:
        return signer in officers and signer != statement.applicant
    return signer == statement.applicant


def check_same_service(mandate: Mandate, statement: RequestStatement) -> None:
    """Check that the statement asks for exactly what the mandate approves. Raises TextError, which
    names the first member that differs."""
    for name in ("platform", "public_service", "service_version", "provider", "evidence"):
        if getattr(mandate, name) != getattr(statement, name):
            raise TextError(f"the statement's {name} is not the mandate's")


def _evidence_of(members: Mapping[str, Any]) -> Evidence:
    attributes = members.get("attributes")
    if not isinstance(attributes, list) or len(attributes) > ATTRIBUTES_LIMIT:
        raise TextError("attributes of evidence are no list, or too many")
    return Evidence(
        document_type=check_text(members.get("document_type"), "document_type"),
        purpose=check_text(members.get("purpose"), "purpose"),
        attributes=tuple(check_text(each, "attributes") for each in attributes),
    )
