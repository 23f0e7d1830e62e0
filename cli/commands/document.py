"""`qagazsyz document`: register, find, download and check documents."""

from __future__ import annotations

import hashlib
import mimetypes
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import CHECK_FAILED, Failure
from cli.options import DEFAULT_GATEWAY, CredentialFile, Gateway, Json, Organization
from cli.terminal import say

if TYPE_CHECKING:
    from qagazsyz.registry.v1 import documents_pb2
    from qagazsyz.signing.v1 import mobile_signatures_pb2

document = typer.Typer(help="Documents.", no_args_is_help=True)

Access = Annotated[str, typer.Option(help="The look-up that found it: accesses/…")]
Name = Annotated[str, typer.Argument(help="documents/…")]


@document.command()
def register(
    file: Annotated[Path, typer.Argument(help="The content.")],
    document_type: Annotated[str, typer.Option("--type", help="documentTypes/…")],
    subject: Annotated[list[str], typer.Option(help="Whom it is about: subjects/…, repeatable.")],
    media_type: Annotated[str, typer.Option(help="Guessed by the file's name if not given.")] = "",
    title: str = "",
    expire_time: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"], help="In UTC.")
    ] = None,
    signer: Annotated[
        Path | None, typer.Option(help="The credential that signs it; --credential if not given.")
    ] = None,
    phone_of: Annotated[
        str,
        typer.Option(
            help="Have it signed on the phone of subjects/…: your own, or one that your "
            "organization may ask. In place of --credential's signature, beside --signer's."
        ),
    ] = "",
    display_text: Annotated[
        str, typer.Option(help="What the phone's screen says of it; the title if not given.")
    ] = "",
    request_id: Annotated[
        str, typer.Option(help="A UUID; a repeat with it registers nothing twice.")
    ] = "",
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Sign a file here, or on a phone, and register it as a document."""
    from cli.connection import call, load_credential, signing_in
    from cli.output import print_message
    from qagazsyz.documents import phone_signature, sign_document
    from qagazsyz.registry.v1 import documents_pb2, documents_pb2_grpc

    signing = load_credential(signer or credential) if signer or not phone_of else None
    with signing_in(gateway, credential, organization) as sign_in:
        # An information system acts for its own organization without naming it.
        issuer = sign_in.organization or sign_in.token().organization
    if not issuer:
        raise Failure("documents are registered for an organization: --organization")
    wanted = documents_pb2.Document(
        document_type=document_type,
        subjects=subject,
        issuer=issuer,
        title=title,
        media_type=media_type or mimetypes.guess_type(file.name)[0] or "application/octet-stream",
    )
    if expire_time is not None:
        wanted.expire_time.FromDatetime(expire_time.replace(tzinfo=UTC))
    content = file.read_bytes()
    request = documents_pb2.RegisterDocumentRequest(document=wanted, content=content)
    if signing is not None:
        request = sign_document(wanted, content, signing)
    if phone_of:
        text = display_text or title
        signed = _sign_on_phone(wanted, content, phone_of, text, gateway, credential, organization)
        request.signatures.append(phone_signature(signed))
    request.request_id = request_id or str(uuid.uuid4())
    registered = call(
        lambda channel: documents_pb2_grpc.DocumentServiceStub(channel).RegisterDocument,
        request,
        gateway,
        credential,
        organization,
    )
    print_message(registered, as_machine_json=json)


def _sign_on_phone(
    wanted: documents_pb2.Document,
    content: bytes,
    signer: str,
    display_text: str,
    gateway: str,
    credential: Path | None,
    organization: str,
) -> mobile_signatures_pb2.MobileSignature:
    """Have a document signed on a phone: the caller's own, asked as a citizen, or another's."""
    from cli.connection import show_code, signed_in, signing_in
    from qagazsyz.documents import ask_phone
    from qagazsyz.phone import sign_on_phone

    if not display_text:
        raise Failure("the phone's screen has to say what is signed: --display-text or --title")
    with signing_in(gateway, credential, "") as sign_in:
        is_own = sign_in.token().subject == signer
    request = ask_phone(
        wanted, content, signer=signer, display_text=display_text, request_id=str(uuid.uuid4())
    )
    with signed_in(gateway, credential, "" if is_own else organization) as channel:
        return sign_on_phone(channel, request, show_code)


@document.command("approve-legal-bases")
def approve_legal_bases(
    document_type: Annotated[str, typer.Argument(help="documentTypes/…")],
    etag: Annotated[
        str, typer.Option(help="The type's etag. Without it, what waits is shown with its etag.")
    ] = "",
    credential: CredentialFile = None,
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Approve the legal bases that another operator asked for."""
    from cli.connection import call
    from cli.output import print_message
    from qagazsyz.registry.v1 import documents_pb2, documents_pb2_grpc

    if not etag:
        found = call(
            lambda channel: documents_pb2_grpc.DocumentServiceStub(channel).GetDocumentType,
            documents_pb2.GetDocumentTypeRequest(name=document_type),
            gateway,
            credential,
        )
        if not found.HasField("pending_legal_bases"):
            raise Failure("no legal bases wait for a second operator")
        print_message(found, as_machine_json=json)
        return
    approved = call(
        lambda channel: documents_pb2_grpc.DocumentServiceStub(channel).ApproveLegalBases,
        documents_pb2.ApproveLegalBasesRequest(name=document_type, etag=etag),
        gateway,
        credential,
    )
    print_message(approved, as_machine_json=json)


@document.command()
def get(
    name: Name,
    access: Access = "",
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Show a document's record."""
    from cli.connection import call
    from cli.output import print_message
    from qagazsyz.registry.v1 import documents_pb2, documents_pb2_grpc

    found = call(
        lambda channel: documents_pb2_grpc.DocumentServiceStub(channel).GetDocument,
        documents_pb2.GetDocumentRequest(name=name, access=access),
        gateway,
        credential,
        organization,
    )
    print_message(found, as_machine_json=json)


@document.command()
def download(
    name: Name,
    out: Annotated[Path, typer.Option(help="Where the content goes; - for standard output.")],
    access: Access = "",
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
) -> None:
    """Download a document's content."""
    from cli.connection import call
    from qagazsyz.registry.v1 import documents_pb2, documents_pb2_grpc

    body = call(
        lambda channel: documents_pb2_grpc.DocumentServiceStub(channel).DownloadDocument,
        documents_pb2.DownloadDocumentRequest(name=name, access=access),
        gateway,
        credential,
        organization,
    )
    if str(out) == "-":
        typer.get_binary_stream("stdout").write(body.data)
    else:
        out.write_bytes(body.data)


@document.command("list")
def list_(
    subject: Annotated[str, typer.Option(help="Only those about subjects/…")] = "",
    document_type: Annotated[str, typer.Option("--type", help="Only documentTypes/…")] = "",
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """List the documents that the caller may see."""
    from cli.connection import call_pages
    from qagazsyz.registry.v1 import documents_pb2, documents_pb2_grpc

    pages = call_pages(
        lambda channel: documents_pb2_grpc.DocumentServiceStub(channel).ListDocuments,
        documents_pb2.ListDocumentsRequest(subject=subject, document_type=document_type),
        gateway,
        credential,
        organization,
    )
    _print_documents((one for page in pages for one in page.documents), as_machine_json=json)


def _print_documents(found: Iterable[documents_pb2.Document], *, as_machine_json: bool) -> None:
    from cli.output import moment, print_rows, word_of

    rows = [
        (d.name, d.document_type, d.title, word_of(d, "state"), moment(d.create_time))
        for d in found
    ]
    columns = ("name", "type", "title", "state", "created")
    print_rows("Documents", columns, rows, as_machine_json=as_machine_json)


@document.command("look-up")
def look_up(
    subject: Annotated[str, typer.Argument(help="subjects/…")],
    document_type: Annotated[str, typer.Option("--type", help="documentTypes/…")],
    purpose: Annotated[str, typer.Option(help="The code that a consent or a law names.")],
    reason: Annotated[str, typer.Option(help="Why, in words that the subject will read.")] = "",
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Find a subject's documents by consent or by law; the subject sees that you asked."""
    from cli.connection import call
    from cli.output import print_message
    from qagazsyz.registry.v1 import documents_pb2, documents_pb2_grpc

    answer = call(
        lambda channel: documents_pb2_grpc.DocumentServiceStub(channel).LookUpDocuments,
        documents_pb2.LookUpDocumentsRequest(
            subject=subject,
            document_type=document_type,
            purpose=purpose,
            reason=reason,
            request_id=str(uuid.uuid4()),
        ),
        gateway,
        credential,
        organization,
    )
    if json:
        print_message(answer, as_machine_json=True)
        return
    say(f"access: {answer.access}")
    _print_documents(answer.documents, as_machine_json=False)


@document.command()
def revoke(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why.")],
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Revoke a document of one's own organization."""
    from cli.connection import call
    from cli.output import print_message
    from qagazsyz.registry.v1 import documents_pb2, documents_pb2_grpc

    revoked = call(
        lambda channel: documents_pb2_grpc.DocumentServiceStub(channel).RevokeDocument,
        documents_pb2.RevokeDocumentRequest(name=name, reason=reason),
        gateway,
        credential,
        organization,
    )
    print_message(revoked, as_machine_json=json)


@document.command()
def check(
    file: Annotated[Path | None, typer.Argument(help="The document's file.")] = None,
    code: Annotated[str, typer.Option(help="The verification code, instead of a file.")] = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Ask whether a document is genuine and in force; exit code 1 if it is not.

    No credential is needed, and of a file only its hash is sent.
    """
    from cli.connection import TIMEOUT_SECONDS, anonymous
    from cli.output import moment, print_message, print_rows, word_of
    from qagazsyz.registry.v1 import documents_pb2, documents_pb2_grpc

    if (file is None) == (not code):
        raise Failure("either a file or --code is needed")
    request = documents_pb2.CheckDocumentRequest(verification_code=code)
    if file is not None:
        digest = hashlib.sha256(file.read_bytes()).digest()
        request = documents_pb2.CheckDocumentRequest(content_sha256=digest)
    with anonymous(gateway) as channel:
        answer = documents_pb2_grpc.DocumentServiceStub(channel).CheckDocument(
            request, timeout=TIMEOUT_SECONDS
        )
    if json:
        print_message(answer, as_machine_json=True)
    else:
        rows = [
            (word_of(c, "state"), c.document_type, c.issuer, moment(c.create_time))
            for c in answer.checks
        ]
        columns = ("state", "type", "issuer", "created")
        print_rows("Documents", columns, rows, as_machine_json=False)
    if not any(c.state == documents_pb2.DOCUMENT_STATE_ACTIVE for c in answer.checks):
        raise typer.Exit(CHECK_FAILED)
