"""Public services: who provides what, from which evidence, and what comes out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from qagazsyz.output_templates import Template
from services.requests.model.resource_names import check_name
from services.requests.model.service_requests import Proof
from services.requests.model.templates import FIELD as TEMPLATE
from services.requests.model.templates import parse_template
from services.runtime.errors import FailedPrecondition, InvalidArgument

DISPLAY_NAME_LENGTH = 200
# A year of working days: more is no time limit.
TIME_LIMIT_DAYS = 250
KEYWORD_LENGTHS = range(2, 31)
PURPOSE_LENGTH = 64

_ID = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
# The part of BCP 47 that languages here need: "kk", "kk-Latn", "ru-KZ".
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}")
_SHORT_NUMBER = re.compile(r"[0-9]{3,6}")
_PURPOSE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Evidence:
    """Something that the provider looks up instead of asking the person for it."""

    document_type: str
    purpose: str
    # JSON pointers; the whole document if empty.
    attributes: tuple[str, ...] = ()
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Approval:
    """A provider's approval of one version: its proof is the mandate's signature."""

    version: int
    officer: str
    time: datetime
    proof: Proof


@dataclass(frozen=True, slots=True)
class PublicService:
    """One version of a public service."""

    name: str
    display_names: Mapping[str, str]
    provider: str
    output: str
    # Of the version's mandate, which ends with every suspension after it: when the version was
    # made, or when it was suspended last.
    mandate_time: datetime
    evidence: tuple[Evidence, ...] = ()
    time_limit_days: int = 0
    keywords: Mapping[str, str] | None = None
    short_number: str = ""
    is_retired: bool = False
    key: str = ""
    output_template: str = ""
    appeal_body: str = ""
    version: int = 1
    # Of this version; None until there is one, and once it is suspended.
    approval: Approval | None = None

    @property
    def etag(self) -> str:
        approved = "" if self.approval is None else self.approval.time.isoformat()
        text = f"{self.name} {self.version} {approved}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @property
    def is_by_rule(self) -> bool:
        """Whether its output is issued at once, with no officer."""
        return self.time_limit_days == 0

    @property
    def required_types(self) -> list[str]:
        return [each.document_type for each in self.evidence if each.is_required]

    def check_is_offered(self) -> None:
        """Raise FailedPrecondition if nobody can ask for it now."""
        if self.approval is None or self.is_retired:
            raise not_offered()


def not_offered() -> FailedPrecondition:
    """Return the refusal of a service that is not there, or that nobody can ask for now."""
    return FailedPrecondition("SERVICE_NOT_OFFERED", "nobody can ask for this service now")


def name_of(public_service_id: str) -> str:
    """Return the name of the service with that id. Raises InvalidArgument."""
    if not _ID.fullmatch(public_service_id):
        raise InvalidArgument(
            "public_service_id", "must be lower-case letters, digits and hyphens, a letter first"
        )
    return f"publicServices/{public_service_id}"


def check_public_service(service: PublicService) -> Template | None:
    """Check everything that needs no other service; return the output template, None without one.
    Raises InvalidArgument."""
    _check_texts(service)
    check_name(service.provider, "subjects", "public_service.provider")
    check_name(service.output, "documentTypes", "public_service.output")
    if service.appeal_body:
        check_name(service.appeal_body, "subjects", "public_service.appeal_body")
        if service.appeal_body == service.provider:
            raise InvalidArgument("public_service.appeal_body", "is the provider itself")
    if not 0 <= service.time_limit_days <= TIME_LIMIT_DAYS:
        raise InvalidArgument("public_service.time_limit_days", f"not 0 to {TIME_LIMIT_DAYS}")
    _check_evidence(service.evidence)
    return _check_rule(service)


def _check_texts(service: PublicService) -> None:
    field = "public_service.display_names"
    for language, name in service.display_names.items():
        if not _LANGUAGE.fullmatch(language):
            raise InvalidArgument(field, "a key is not a BCP 47 language tag")
        if not name.strip() or len(name) > DISPLAY_NAME_LENGTH:
            raise InvalidArgument(field, f"a name is empty or longer than {DISPLAY_NAME_LENGTH}")
    field = "public_service.keywords"
    for language, keyword in (service.keywords or {}).items():
        if not _LANGUAGE.fullmatch(language):
            raise InvalidArgument(field, "a key is not a BCP 47 language tag")
        if len(keyword) not in KEYWORD_LENGTHS or not any(map(str.isalnum, keyword)):
            raise InvalidArgument(field, "a keyword is not 2 to 30 characters, a letter among them")
    if bool(service.keywords) != bool(service.short_number):
        raise InvalidArgument("public_service.short_number", "keywords and it go together")
    if service.short_number and not _SHORT_NUMBER.fullmatch(service.short_number):
        raise InvalidArgument("public_service.short_number", "not 3 to 6 digits")


def _check_evidence(evidence: Sequence[Evidence]) -> None:
    seen: set[str] = set()
    for index, each in enumerate(evidence):
        field = f"public_service.evidence[{index}]"
        check_name(each.document_type, "documentTypes", f"{field}.document_type")
        if each.document_type in seen:
            raise InvalidArgument(f"{field}.document_type", "named twice")
        seen.add(each.document_type)
        if not _PURPOSE.fullmatch(each.purpose):
            raise InvalidArgument(
                f"{field}.purpose", f"not 1 to {PURPOSE_LENGTH} letters, digits and inner hyphens"
            )
        if len(set(each.attributes)) < len(each.attributes):
            raise InvalidArgument(f"{field}.attributes", "one is named twice")


def _check_rule(service: PublicService) -> Template | None:
    """Check what a service with time limit 0 has, and others have not."""
    for field, value in (("key", service.key), ("output_template", service.output_template)):
        if bool(value) != service.is_by_rule:
            which = "is required for" if service.is_by_rule else "is only for"
            raise InvalidArgument(f"public_service.{field}", f"{which} a service with time limit 0")
    if not service.is_by_rule:
        return None
    check_name(service.key, "keys", "public_service.key")
    template = parse_template(service.output_template)
    for each in template.evidence:
        if each.index >= len(service.evidence):
            raise InvalidArgument(TEMPLATE, f"there is no evidence {each.index}")
        evidence = service.evidence[each.index]
        if not evidence.is_required:
            raise InvalidArgument(TEMPLATE, f"evidence {each.index} may be missing: require it")
        if each.pointer not in evidence.attributes:
            raise InvalidArgument(
                TEMPLATE, f"evidence {each.index} has no attribute {each.pointer}"
            )
    return template
