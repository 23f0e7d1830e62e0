"""`qagazsyz receipt`: fetch a document's receipt, and verify it offline."""

from __future__ import annotations

import json as json_module
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import CHECK_FAILED, Failure
from cli.options import DEFAULT_GATEWAY, CredentialFile, Gateway, Json, Organization
from cli.terminal import say, say_json

if TYPE_CHECKING:
    from qagazsyz.registry.v1 import receipts_pb2

receipt = typer.Typer(
    help="Receipts: proof that the log has an entry, verified without the platform.",
    no_args_is_help=True,
)


@receipt.command()
def verify(
    file: Annotated[Path, typer.Argument(help="The receipt, as protobuf JSON.")],
    key: Annotated[Path, typer.Option(help="The log's verifier key, as /log/key gives it.")],
    content: Annotated[
        Path | None, typer.Option(help="The document's content, to compare with the receipt.")
    ] = None,
    witnesses: Annotated[
        Path | None, typer.Option(help="Verifier keys of witnesses, a line each.")
    ] = None,
    cosignatures: Annotated[
        int, typer.Option(min=0, help="How many of these witnesses have to have cosigned.")
    ] = 0,
    json: Json = False,
) -> None:
    """Verify a receipt offline; exit code 0 if it proves its entry, 1 if it does not."""
    from cli.verifier_keys import read_key, read_keys
    from qagazsyz.receipts import ReceiptError, verify_receipt

    verifier_key = read_key(key)
    known = read_keys(witnesses) if witnesses else []
    if cosignatures > len(known):
        raise Failure(f"--cosignatures {cosignatures} takes as many --witnesses at least")
    try:
        proved = verify_receipt(
            read_receipt(file),
            verifier_key,
            content.read_bytes() if content else None,
            witnesses=known,
            cosignatures=cosignatures,
        )
    except ReceiptError as error:
        if json:
            say(json_module.dumps({"verified": False, "problem": str(error)}))
        raise Failure(f"the receipt does not hold: {error}", CHECK_FAILED) from None
    if json:
        answer = {
            "verified": True,
            "log": verifier_key.name,
            "logIndex": proved.log_index,
            "treeSize": proved.tree_size,
            "entry": dict(proved.entry),
            "contentVerified": proved.content_verified,
            "newer": proved.is_newer,
            "witnesses": dict(proved.witnesses),
        }
        say(json_module.dumps(answer, ensure_ascii=False))
        return
    say(f"The receipt holds: entry {proved.log_index} of {verifier_key.name}")
    for member, value in proved.entry.items():
        say(f"  {member}: {value if isinstance(value, str) else json_module.dumps(value)}")
    if proved.is_newer:
        say("Its version is newer than this tool: only a newer one can say what it means.")
    for witness, time in proved.witnesses.items():
        say(f"Cosigned by {witness} at {datetime.fromtimestamp(time, UTC).isoformat()}.")
    if proved.content_verified:
        say("The content is the registered one.")


@receipt.command()
def get(
    document: Annotated[str, typer.Argument(help="documents/…")],
    access: Annotated[str, typer.Option(help="The look-up that found it: accesses/…")] = "",
    out: Annotated[Path | None, typer.Option(help="Write it here instead of printing it.")] = None,
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
) -> None:
    """Fetch a document's receipt as protobuf JSON."""
    from cli.connection import call
    from cli.output import as_json
    from qagazsyz.registry.v1 import documents_pb2, documents_pb2_grpc

    found = call(
        lambda channel: documents_pb2_grpc.DocumentServiceStub(channel).GetReceipt,
        documents_pb2.GetReceiptRequest(document=document, access=access),
        gateway,
        credential,
        organization,
    )
    if out is None:
        say_json(as_json(found))
    else:
        out.write_text(as_json(found) + "\n")


def read_receipt(path: Path) -> receipts_pb2.Receipt:
    """Read a receipt from a file of protobuf JSON. Raises Failure if it is malformed."""
    from google.protobuf import json_format

    from qagazsyz.registry.v1 import receipts_pb2

    try:
        return json_format.Parse(path.read_bytes(), receipts_pb2.Receipt())
    except (json_format.ParseError, UnicodeDecodeError):
        raise Failure(f"{path}: not a receipt in JSON", CHECK_FAILED) from None
