"""`qagazsyz request`: ask for public services, and decide what was asked."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.commands.service import sign_text
from cli.errors import Failure
from cli.options import DEFAULT_GATEWAY, CredentialFile, Gateway, Json, Organization

if TYPE_CHECKING:
    import grpc
    from google.protobuf.message import Message

    from qagazsyz.requests.v1 import service_requests_pb2

request = typer.Typer(help="Requests for public services.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="serviceRequests/…")]
Etag = Annotated[str, typer.Option(help="Only if the request is still as you saw it.")]
# A law's article, "act; article".
Grounds = Annotated[list[str], typer.Option("--ground", help='"ACT; ARTICLE", repeatable.')]


@request.command()
def draft(
    service: Annotated[str, typer.Argument(help="publicServices/…")],
    form: Annotated[Path | None, typer.Option(help="What the service asks for: JSON.")] = None,
    applicant: Annotated[str, typer.Option(help="At the office: for whom, subjects/…")] = "",
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Begin a request; nothing is looked up before it is signed."""
    from qagazsyz.requests.v1 import service_requests_pb2 as pb

    wanted = pb.ServiceRequest(
        public_service=service,
        applicant=applicant,
        form=form.read_text(encoding="utf-8").strip() if form is not None else "",
    )
    _act(
        "CreateServiceRequest",
        pb.CreateServiceRequestRequest(service_request=wanted, request_id=str(uuid.uuid4())),
        gateway,
        credential,
        organization,
        as_machine_json=json,
    )


@request.command()
def submit(
    name: Name,
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Sign a request's statement and submit it; with --organization, for who is at the office."""
    from cli.connection import load_credential
    from qagazsyz.requests.v1 import service_requests_pb2 as pb

    found = _get(name, gateway, credential, organization)
    signature = sign_text(load_credential(credential), found.statement)
    asked: Message = pb.SubmitServiceRequestRequest(name=name, signature=signature)
    method = "SubmitServiceRequest"
    if organization:
        method = "SubmitServiceRequestAtOffice"
        asked = pb.SubmitServiceRequestAtOfficeRequest(
            name=name, signature=signature, etag=found.etag
        )
    _act(method, asked, gateway, credential, organization, as_machine_json=json)


@request.command()
def get(
    name: Name,
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Print a request with its history."""
    from cli.output import print_message

    print_message(_get(name, gateway, credential, organization), as_machine_json=json)


@request.command("list")
def list_(
    service: Annotated[str, typer.Option(help="Only of publicServices/…")] = "",
    state: Annotated[str, typer.Option(help="Only in this state: in_progress.")] = "",
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """List your requests, or those of your organization's services, newest first."""
    from cli.connection import call_pages
    from cli.output import moment, print_rows, word_of
    from qagazsyz.requests.v1 import service_requests_pb2 as pb
    from qagazsyz.requests.v1 import service_requests_pb2_grpc

    asked = pb.ListServiceRequestsRequest(public_service=service)
    if state:
        try:
            asked.MergeFrom(
                pb.ListServiceRequestsRequest(state=f"SERVICE_REQUEST_STATE_{state.upper()}")
            )
        except ValueError:
            raise Failure(f"--state {state}: there is no such state") from None
    pages = call_pages(
        lambda channel: (
            service_requests_pb2_grpc.ServiceRequestServiceStub(channel).ListServiceRequests
        ),
        asked,
        gateway,
        credential,
        organization,
    )
    rows = [
        (
            each.name,
            each.public_service,
            word_of(each, "state"),
            word_of(each, "channel"),
            moment(each.due_time),
        )
        for page in pages
        for each in page.service_requests
    ]
    columns = ("name", "service", "state", "channel", "due")
    print_rows("Requests", columns, rows, as_machine_json=json)


@request.command()
def withdraw(
    name: Name,
    credential: CredentialFile = None,
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Withdraw a request before its end."""
    from qagazsyz.requests.v1 import service_requests_pb2 as pb

    asked = pb.WithdrawServiceRequestRequest(name=name)
    _act("WithdrawServiceRequest", asked, gateway, credential, as_machine_json=json)


@request.command()
def answer(
    name: Name,
    text: Annotated[str, typer.Argument(help="The answer.")],
    credential: CredentialFile = None,
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Answer the office's question."""
    from qagazsyz.requests.v1 import service_requests_pb2 as pb

    asked = pb.AnswerQuestionRequest(name=name, answer=text)
    _act("AnswerQuestion", asked, gateway, credential, as_machine_json=json)


@request.command("object")
def object_(
    name: Name,
    text: Annotated[str, typer.Argument(help="What is to be said.")],
    credential: CredentialFile = None,
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Say something to an announced refusal."""
    from qagazsyz.requests.v1 import service_requests_pb2 as pb

    asked = pb.StateObjectionRequest(name=name, text=text)
    _act("StateObjection", asked, gateway, credential, as_machine_json=json)


@request.command()
def appeal(
    name: Name,
    text: Annotated[str, typer.Argument(help="Why.")],
    credential: CredentialFile = None,
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Appeal against a refusal, or against a delay."""
    from qagazsyz.requests.v1 import service_requests_pb2 as pb

    asked = pb.AppealServiceRequestRequest(name=name, text=text)
    _act("AppealServiceRequest", asked, gateway, credential, as_machine_json=json)


@request.command()
def accept(
    name: Name,
    etag: Etag = "",
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Take a request into work."""
    from qagazsyz.requests.v1 import service_requests_pb2 as pb

    asked = pb.AcceptServiceRequestRequest(name=name, etag=etag)
    _act("AcceptServiceRequest", asked, gateway, credential, organization, as_machine_json=json)


@request.command()
def ask(
    name: Name,
    question: Annotated[str, typer.Argument(help="What the person is asked.")],
    etag: Etag = "",
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Ask the applicant something; the time limit stands still."""
    from qagazsyz.requests.v1 import service_requests_pb2 as pb

    asked = pb.AskApplicantRequest(name=name, question=question, etag=etag)
    _act("AskApplicant", asked, gateway, credential, organization, as_machine_json=json)


@request.command()
def complete(
    name: Name,
    document: Annotated[str, typer.Argument(help="documents/…")],
    etag: Etag = "",
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """End a request with the document that answers it."""
    from qagazsyz.requests.v1 import service_requests_pb2 as pb

    asked = pb.CompleteServiceRequestRequest(name=name, document=document, etag=etag)
    _act("CompleteServiceRequest", asked, gateway, credential, organization, as_machine_json=json)


@request.command("announce-refusal")
def announce_refusal(
    name: Name,
    text: Annotated[str, typer.Argument(help="Why, for the person to read.")],
    ground: Grounds,
    hearing: Annotated[
        datetime,
        typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"], help="Heard until; in UTC."),
    ],
    etag: Etag = "",
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Announce a refusal by its articles; the person may be heard first."""
    from qagazsyz.requests.v1 import service_requests_pb2 as pb

    refusal = pb.Refusal(grounds=parse_grounds(ground), text=text)
    refusal.hearing_time.FromDatetime(hearing.replace(tzinfo=UTC))
    asked = pb.AnnounceRefusalRequest(name=name, refusal=refusal, etag=etag)
    _act("AnnounceRefusal", asked, gateway, credential, organization, as_machine_json=json)


@request.command()
def refuse(
    name: Name,
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Sign the refusal that was announced, after the hearing."""
    from cli.connection import load_credential
    from qagazsyz.requests.v1 import service_requests_pb2 as pb

    found = _get(name, gateway, credential, organization)
    signature = sign_text(load_credential(credential), found.refusal_statement)
    asked = pb.RefuseServiceRequestRequest(name=name, signature=signature, etag=found.etag)
    _act("RefuseServiceRequest", asked, gateway, credential, organization, as_machine_json=json)


@request.command("record-paper")
def record_paper(
    name: Name,
    evidence: Annotated[str, typer.Option(help="documentTypes/… that came on paper.")] = "",
    output: Annotated[bool, typer.Option(help="The output was handed over on paper.")] = False,
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Record that something was on paper."""
    from qagazsyz.requests.v1 import service_requests_pb2 as pb

    if bool(evidence) == output:
        raise Failure("either --evidence or --output")
    asked = pb.RecordPaperRequest(name=name)
    if output:
        asked.output = True
    else:
        asked.evidence = evidence
    _act("RecordPaper", asked, gateway, credential, organization, as_machine_json=json)


@request.command()
def offer(
    service: Annotated[str, typer.Argument(help="publicServices/…")],
    subject: Annotated[str, typer.Argument(help="subjects/…")],
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
) -> None:
    """Offer a service to a person, once a year."""
    from qagazsyz.requests.v1 import service_requests_pb2 as pb

    asked = pb.OfferServiceRequestRequest(public_service=service, subject=subject)
    _call("OfferServiceRequest", asked, gateway, credential, organization)


def parse_grounds(texts: list[str]) -> list[service_requests_pb2.LegalGround]:
    """Return articles of laws, "act; article" each. Raises Failure."""
    from qagazsyz.requests.v1 import service_requests_pb2 as pb

    found = []
    for text in texts:
        act, _, article = (part.strip() for part in text.rpartition(";"))
        if not act or not article:
            raise Failure(f'--ground {text}: not "ACT; ARTICLE"')
        found.append(pb.LegalGround(act=act, article=article))
    return found


def _get(
    name: str, gateway: str, credential: Path | None, organization: str
) -> service_requests_pb2.ServiceRequest:
    from qagazsyz.requests.v1 import service_requests_pb2 as pb

    found: pb.ServiceRequest = _call(
        "GetServiceRequest",
        pb.GetServiceRequestRequest(name=name),
        gateway,
        credential,
        organization,
    )
    return found


def _act(
    method: str,
    asked: Message,
    gateway: str,
    credential: Path | None,
    organization: str = "",
    *,
    as_machine_json: bool,
) -> None:
    """Call a method once, and print the request that it answers with."""
    from cli.output import print_message

    print_message(
        _call(method, asked, gateway, credential, organization), as_machine_json=as_machine_json
    )


def _call(
    method: str, asked: Message, gateway: str, credential: Path | None, organization: str
) -> service_requests_pb2.ServiceRequest:
    from cli.connection import call
    from qagazsyz.requests.v1 import service_requests_pb2_grpc

    def pick(channel: grpc.Channel) -> grpc.UnaryUnaryMultiCallable[Message, Message]:
        stub = service_requests_pb2_grpc.ServiceRequestServiceStub(channel)
        found: grpc.UnaryUnaryMultiCallable[Message, Message] = getattr(stub, method)
        return found

    answer: service_requests_pb2.ServiceRequest = call(
        pick, asked, gateway, credential, organization
    )  # type: ignore[assignment]
    return answer
