"""Who may read a request, and who may do what to it; a refusal tells nothing."""

from __future__ import annotations

from services.requests.model.service_requests import ServiceRequest
from services.requests.model.states import ServiceRequestChannel, ServiceRequestState
from services.runtime.access import Caller, Role
from services.runtime.errors import PermissionDenied

State = ServiceRequestState


def may_read(caller: Caller, request: ServiceRequest) -> bool:
    """Return whether the caller may see the request."""
    if caller.has(Role.ROLE_AUDITOR):
        return True
    if caller.has(Role.ROLE_OFFICER):
        return is_officer_of_provider(caller, request) or is_officer_of_appeal(caller, request)
    return caller.has(Role.ROLE_CITIZEN) and caller.subject == request.applicant


def is_officer_of_provider(caller: Caller, request: ServiceRequest) -> bool:
    """Return whether the caller is an officer of the provider, before whom the request is: a draft
    that a person makes for themselves is before nobody, and so is one that they let lapse."""
    is_before = (
        request.submit_time is not None
        or request.channel is ServiceRequestChannel.OFFICE
        or request.channel is ServiceRequestChannel.PROACTIVE
    )
    is_officer = caller.has(Role.ROLE_OFFICER) and caller.organization == request.provider
    return is_officer and is_before


def is_officer_of_appeal(caller: Caller, request: ServiceRequest) -> bool:
    """Return whether the caller is an officer of the body that decides the open appeal."""
    return (
        caller.has(Role.ROLE_OFFICER)
        and bool(request.appeal_body)
        and caller.organization == request.appeal_body
        and request.state is State.UNDER_APPEAL
    )


def check_is_applicant(caller: Caller, request: ServiceRequest) -> None:
    """Raise PermissionDenied unless the caller is the applicant, acting for themselves."""
    if not caller.has(Role.ROLE_CITIZEN) or caller.subject != request.applicant:
        raise PermissionDenied


def check_is_officer(caller: Caller, request: ServiceRequest) -> None:
    """Raise PermissionDenied unless the caller is an officer of the provider, and not about
    themselves: nobody decides in their own cause."""
    if not is_officer_of_provider(caller, request) or caller.subject == request.applicant:
        raise PermissionDenied


def check_is_at_office(caller: Caller, request: ServiceRequest) -> None:
    """Raise PermissionDenied unless the caller may sign in the place of who came to the office."""
    check_is_officer(caller, request)
    if request.channel is not ServiceRequestChannel.OFFICE:
        raise PermissionDenied


def check_may_decide_appeal(caller: Caller, request: ServiceRequest) -> None:
    """Raise PermissionDenied unless the caller is an officer of the appeal body, who did not refuse
    the request as an officer of the provider, and did not make it."""
    involved = (request.refuser, request.applicant)
    if not is_officer_of_appeal(caller, request) or caller.subject in involved:
        raise PermissionDenied
