"""`qagazsyz subject`: enrol and find people and organizations, manage memberships, and list what
identity did."""

from __future__ import annotations

import enum
import uuid
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import DEFAULT_GATEWAY, CredentialFile, Gateway, Json, Organization

if TYPE_CHECKING:
    from qagazsyz.identity.v1 import subjects_pb2
    from qagazsyz.registry.v1 import consents_pb2

subject = typer.Typer(help="People and organizations.", no_args_is_help=True)


class MemberRole(enum.StrEnum):
    """Roles that a membership can give."""

    OFFICER = "officer"
    OPERATOR = "operator"
    REGISTRAR = "registrar"
    AUDITOR = "auditor"


@subject.command("create-person")
def create_person(
    iin: Annotated[str, typer.Option(help="Twelve digits.", prompt=True)],
    given_name: Annotated[str, typer.Option(prompt=True)],
    family_name: Annotated[str, typer.Option(prompt=True)],
    patronymic: str = "",
    birth_date: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Must agree with the IIN.")
    ] = None,
    credential: CredentialFile = None,
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Enrol a person and print their subject."""
    from google.type import date_pb2

    from qagazsyz.identity.v1 import subjects_pb2

    person = subjects_pb2.Person(
        iin=iin, given_name=given_name, family_name=family_name, patronymic=patronymic
    )
    if birth_date is not None:
        person.birth_date.CopyFrom(
            date_pb2.Date(year=birth_date.year, month=birth_date.month, day=birth_date.day)
        )
    _create(subjects_pb2.Subject(person=person), credential, gateway, as_machine_json=json)


@subject.command("create-organization")
def create_organization(
    bin_: Annotated[str, typer.Option("--bin", help="Twelve digits.", prompt=True)],
    display_name: Annotated[str, typer.Option(prompt=True)],
    credential: CredentialFile = None,
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Enrol an organization and print its subject."""
    from qagazsyz.identity.v1 import subjects_pb2

    organization = subjects_pb2.Organization(bin=bin_, display_name=display_name)
    wanted = subjects_pb2.Subject(organization=organization)
    _create(wanted, credential, gateway, as_machine_json=json)


def _create(
    wanted: subjects_pb2.Subject,
    credential: CredentialFile,
    gateway: str,
    *,
    as_machine_json: bool,
) -> None:
    from cli.connection import call
    from cli.output import print_message
    from qagazsyz.identity.v1 import subjects_pb2, subjects_pb2_grpc

    created = call(
        lambda channel: subjects_pb2_grpc.SubjectServiceStub(channel).CreateSubject,
        subjects_pb2.CreateSubjectRequest(subject=wanted, request_id=str(uuid.uuid4())),
        gateway,
        credential,
    )
    print_message(created, as_machine_json=as_machine_json)


@subject.command()
def get(
    name: Annotated[str, typer.Argument(help="subjects/…")],
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Show one subject."""
    from cli.connection import call
    from cli.output import print_message
    from qagazsyz.identity.v1 import subjects_pb2, subjects_pb2_grpc

    found = call(
        lambda channel: subjects_pb2_grpc.SubjectServiceStub(channel).GetSubject,
        subjects_pb2.GetSubjectRequest(name=name),
        gateway,
        credential,
        organization,
    )
    print_message(found, as_machine_json=json)


@subject.command("list")
def list_(
    credential: CredentialFile = None,
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """List all subjects."""
    from cli.connection import call_pages
    from cli.output import print_rows
    from qagazsyz.identity.v1 import subjects_pb2, subjects_pb2_grpc

    pages = call_pages(
        lambda channel: subjects_pb2_grpc.SubjectServiceStub(channel).ListSubjects,
        subjects_pb2.ListSubjectsRequest(),
        gateway,
        credential,
    )
    rows = [(found.name, *_titles(found)) for page in pages for found in page.subjects]
    print_rows("Subjects", ("name", "kind", "number", "title"), rows, as_machine_json=json)


def _titles(found: subjects_pb2.Subject) -> tuple[str, str, str]:
    if found.HasField("organization"):
        return "organization", found.organization.bin, found.organization.display_name
    person = found.person
    parts = (person.family_name, person.given_name, person.patronymic)
    return "person", person.iin, " ".join(part for part in parts if part)


@subject.command()
def resolve(
    numbers: Annotated[list[str], typer.Argument(help="IIN or BIN.")],
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Find the names of numbers."""
    from cli.connection import call
    from cli.output import print_rows
    from qagazsyz.identity.v1 import subjects_pb2, subjects_pb2_grpc

    answer = call(
        lambda channel: subjects_pb2_grpc.SubjectServiceStub(channel).ResolveSubjects,
        subjects_pb2.ResolveSubjectsRequest(numbers=numbers),
        gateway,
        credential,
        organization,
    )
    rows = list(zip(numbers, answer.subjects, strict=True))
    print_rows("Subjects", ("number", "name"), rows, as_machine_json=json)


@subject.command("add-member")
def add_member(
    organization: Annotated[str, typer.Argument(help="subjects/… of the organization.")],
    person: Annotated[str, typer.Argument(help="subjects/… of the person.")],
    role: Annotated[MemberRole, typer.Option(help="What they may do.")] = MemberRole.OFFICER,
    credential: CredentialFile = None,
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Let a person act for an organization."""
    from cli.connection import call
    from cli.output import print_message
    from qagazsyz.identity.v1 import subjects_pb2, subjects_pb2_grpc

    membership = subjects_pb2.Membership(person=person, role=f"ROLE_{role.value.upper()}")
    added = call(
        lambda channel: subjects_pb2_grpc.SubjectServiceStub(channel).AddMembership,
        subjects_pb2.AddMembershipRequest(organization=organization, membership=membership),
        gateway,
        credential,
    )
    print_message(added, as_machine_json=json)


@subject.command("approve-member")
def approve_member(
    name: Annotated[str, typer.Argument(help="subjects/…/memberships/…")],
    credential: CredentialFile = None,
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Approve that a member of the platform's organization is added or removed."""
    from cli.connection import call
    from cli.output import print_message
    from qagazsyz.identity.v1 import subjects_pb2, subjects_pb2_grpc

    approved = call(
        lambda channel: subjects_pb2_grpc.SubjectServiceStub(channel).ApproveMembership,
        subjects_pb2.ApproveMembershipRequest(name=name),
        gateway,
        credential,
    )
    print_message(approved, as_machine_json=json)


@subject.command("remove-member")
def remove_member(
    name: Annotated[str, typer.Argument(help="subjects/…/memberships/…")],
    credential: CredentialFile = None,
    gateway: Gateway = DEFAULT_GATEWAY,
) -> None:
    """End a membership; of the platform's organization once a second operator approves it."""
    from cli.connection import call
    from qagazsyz.identity.v1 import subjects_pb2, subjects_pb2_grpc

    call(
        lambda channel: subjects_pb2_grpc.SubjectServiceStub(channel).RemoveMembership,
        subjects_pb2.RemoveMembershipRequest(name=name),
        gateway,
        credential,
    )


@subject.command()
def members(
    organization: Annotated[str, typer.Argument(help="subjects/… of the organization.")],
    credential: CredentialFile = None,
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """List an organization's members."""
    from cli.connection import call_pages
    from cli.output import print_rows, word_of
    from qagazsyz.identity.v1 import subjects_pb2, subjects_pb2_grpc

    pages = call_pages(
        lambda channel: subjects_pb2_grpc.SubjectServiceStub(channel).ListMemberships,
        subjects_pb2.ListMembershipsRequest(organization=organization),
        gateway,
        credential,
    )
    rows = [
        (
            one.name,
            one.person,
            word_of(one, "role"),
            word_of(one, "state"),
        )
        for page in pages
        for one in page.memberships
    ]
    print_rows("Members", ("name", "person", "role", "state"), rows, as_machine_json=json)


@subject.command()
def events(
    name: Annotated[
        str, typer.Argument(help="subjects/…, for auditors; your own if not given.")
    ] = "",
    receipts: Annotated[
        Path | None,
        typer.Option(help="Write each event's receipt into this folder, as {log index}.json."),
    ] = None,
    credential: CredentialFile = None,
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """List what identity did in your name: certificates and memberships, from the public log.

    A certificate that you did not ask for: `qagazsyz certificate revoke NAME` ends it at once.
    """
    from cli.connection import call_pages
    from cli.output import as_json, moment, print_rows, word_of
    from qagazsyz.registry.v1 import consents_pb2, consents_pb2_grpc

    pages = call_pages(
        lambda channel: consents_pb2_grpc.ConsentServiceStub(channel).ListIdentityEvents,
        consents_pb2.ListIdentityEventsRequest(subject=name),
        gateway,
        credential,
    )
    found = [event for page in pages for event in page.events]
    if receipts is not None:
        receipts.mkdir(exist_ok=True)
        for event in found:
            path = receipts / f"{event.receipt.log_index}.json"
            path.write_text(as_json(event.receipt) + "\n")
    rows = [
        (
            moment(event.time),
            word_of(event, "kind"),
            _certificate_of(event),
            event.organization,
            " ".join(event.officers),
        )
        for event in found
    ]
    columns = ("time", "event", "certificate", "organization", "officers")
    print_rows("What identity did", columns, rows, as_machine_json=json)


def _certificate_of(event: consents_pb2.LoggedIdentityEvent) -> str:
    """Return the name of the event's certificate, "" for a membership."""
    if not event.fingerprint:
        return ""
    holder = next(each.value for each in event.receipt.openings if each.field == "subject")
    return f"{holder.decode()}/certificates/{event.fingerprint.hex()}"
