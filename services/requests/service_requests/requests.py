"""Requests about service requests, parsed."""

from __future__ import annotations

from collections.abc import Iterable

from qagazsyz.requests.v1 import service_requests_pb2 as pb
from services.requests.model.resource_names import check_name
from services.requests.model.service_requests import Ground, Refusal
from services.requests.model.states import ServiceRequestState
from services.requests.privacy.private_texts import PrivateTexts
from services.runtime.access import Caller, Role
from services.runtime.clock import from_timestamp
from services.runtime.errors import InvalidArgument


def request_name(name: str) -> str:
    """Return the name of a request. Raises InvalidArgument."""
    return check_name(name, "serviceRequests", "name")


def parse_applicant(message: pb.ServiceRequest, caller: Caller) -> str:
    """Return whose request it is to be: a citizen's own; whom an officer names. Raises
    InvalidArgument."""
    field = "service_request.applicant"
    if not caller.has(Role.ROLE_OFFICER):
        if message.applicant not in ("", caller.subject):
            raise InvalidArgument(field, "is not you")
        return caller.subject
    if not message.applicant:
        raise InvalidArgument(field, "is required")
    return check_name(message.applicant, "subjects", field)


def without_form(
    request: pb.CreateServiceRequestRequest, texts: PrivateTexts
) -> pb.CreateServiceRequestRequest:
    """Return the request with a keyed hash for the form: its fingerprint is kept for a day, and one
    of the bare form could be guessed."""
    copy = pb.CreateServiceRequestRequest()
    copy.CopyFrom(request)
    copy.service_request.form = texts.digest(request.service_request.form)
    return copy


def parse_refusal(message: pb.Refusal) -> Refusal:
    """Return the refusal that is announced. Raises InvalidArgument."""
    if not message.HasField("hearing_time"):
        raise InvalidArgument("refusal.hearing_time", "is required")
    # The officer signs it in whole seconds.
    hearing_time = from_timestamp(message.hearing_time).replace(microsecond=0)
    return Refusal(tuple(parse_grounds(message.grounds)), message.text, hearing_time)


def parse_grounds(grounds: Iterable[pb.LegalGround]) -> list[Ground]:
    """Return articles of laws."""
    return [Ground(each.act, each.article) for each in grounds]


def parse_state(number: int) -> ServiceRequestState | None:
    """Return the state that a list is of, None for all. Raises InvalidArgument."""
    if not number:
        return None
    try:
        return ServiceRequestState(number)
    except ValueError:
        raise InvalidArgument("state", "unknown") from None
