"""`qagazsyz verify`: verify the detached signatures of files, or of a folder of them.

Beside FILE there is FILE.sig, the signature as bytes or in base64, and FILE.cer or FILE.pem, the
signer's certificate or public key; --signer names one for all. With a credential the platform
verifies, and validates the certificates too; without one this machine verifies, signatures only,
and says by which backend. If an algorithm signs a hash, only the hash of the file is sent.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json as json_module
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import CHECK_FAILED, Failure
from cli.options import DEFAULT_GATEWAY, CredentialFile, Gateway, Json, Organization
from cli.terminal import say

if TYPE_CHECKING:
    from qagazsyz.signing.v1 import verification_pb2

SIGNATURE_SUFFIX = ".sig"
SIGNER_SUFFIXES = (".cer", ".crt", ".pem", ".der", ".pub")
# Well below the contract's 10,000 items and 20 MiB, so that the progress bar moves.
BATCH_ITEMS = 256
BATCH_BYTES = 8 * 1024 * 1024
# A longer message does not fit into one call; only algorithms that sign no hash need it whole.
MESSAGE_LIMIT_BYTES = 19 * 1024 * 1024
# The value of --backend that asks which backend is in use, instead of choosing one.
WHICH = "which"


@dataclass(frozen=True, slots=True)
class SignedFile:
    """A file, its signature, and its signer as DER of a certificate or of a public key."""

    path: Path
    signature: bytes
    signer: bytes
    is_certificate: bool
    algorithm: int


def verify(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Files, or folders of files, with FILE.sig beside each."),
    ] = None,
    signature: Annotated[
        Path | None, typer.Option(help="The signature of a single file; FILE.sig if not given.")
    ] = None,
    signer: Annotated[
        Path | None, typer.Option(help="Certificate or public key of all files, PEM or DER.")
    ] = None,
    algorithm: Annotated[
        str,
        typer.Option(
            help="The contract's name, such as ECDSA_P256_SHA256; the key's if not given."
        ),
    ] = "",
    backend: Annotated[
        str,
        typer.Option(
            help='Verify on this machine with "kernel" or "portable"; '
            "without files, print which of them is in use.",
        ),
    ] = "",
    signature_only: Annotated[
        bool, typer.Option(help="Verify the signatures only, not the certificates.")
    ] = False,
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Verify signatures; exit code 1 if any is invalid."""
    if not paths:
        from signatures.loading import load_backend

        name = None if backend in ("", WHICH) else backend
        try:
            say(load_backend(name).name)
        except (ImportError, ValueError) as error:
            raise Failure(f"no such backend here: {error}") from None
        return
    if signature is not None and (len(paths) != 1 or paths[0].is_dir()):
        raise Failure("--signature goes with a single file")
    signed = [read_signed(path, signature, signer, algorithm) for path in _files(paths)]
    if not signed:
        raise Failure(f"no files with {SIGNATURE_SUFFIX} beside them")
    if credential is None or backend:
        verdicts, by = _on_this_machine(signed, backend, quiet=json)
    else:
        verdicts = _by_the_platform(
            signed, gateway, credential, organization, signature_only=signature_only, quiet=json
        )
        by = gateway
    _print(signed, verdicts, by, as_machine_json=json)
    if any(verdict != "VALID" for verdict in verdicts):
        raise typer.Exit(CHECK_FAILED)


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            found = sorted(path.rglob(f"*{SIGNATURE_SUFFIX}"))
            yield from (sig.with_name(sig.name.removesuffix(SIGNATURE_SUFFIX)) for sig in found)
        else:
            yield path


def read_signed(
    path: Path, signature: Path | None, signer: Path | None, algorithm: str
) -> SignedFile:
    """Read a file's signature and signer. Raises Failure if one is missing or malformed."""
    from qagazsyz.common.v1 import signatures_pb2

    beside = [path.with_name(path.name + suffix) for suffix in SIGNER_SUFFIXES]
    source = signer or next((found for found in beside if found.exists()), None)
    if source is None:
        raise Failure(f"{path}: no signer: --signer FILE, or {beside[0].name} beside it")
    der, is_certificate = _read_signer(source)
    if algorithm:
        name = f"SIGNATURE_ALGORITHM_{algorithm.upper().removeprefix('SIGNATURE_ALGORITHM_')}"
        if name not in signatures_pb2.SignatureAlgorithm.keys():  # noqa: SIM118 - no mapping
            raise Failure(f"{algorithm}: not an algorithm of the contract")
        number = int(signatures_pb2.SignatureAlgorithm.Value(name))
    else:
        number = _algorithm_by_key(der, is_certificate=is_certificate)
    raw = (signature or path.with_name(path.name + SIGNATURE_SUFFIX)).read_bytes()
    return SignedFile(path, _signature_bytes(raw), der, is_certificate, number)


def _signature_bytes(raw: bytes) -> bytes:
    try:
        return base64.b64decode(raw.strip(), validate=True)
    except binascii.Error:
        return raw


def _read_signer(path: Path) -> tuple[bytes, bool]:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    data = path.read_bytes()
    try:
        if b"-----BEGIN CERTIFICATE-----" in data:
            first = x509.load_pem_x509_certificates(data)[0]
            return first.public_bytes(serialization.Encoding.DER), True
        if b"-----BEGIN PUBLIC KEY-----" in data:
            key = serialization.load_pem_public_key(data)
            return key.public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            ), False
    except ValueError:
        raise Failure(f"{path}: neither a certificate nor a public key") from None
    try:
        x509.load_der_x509_certificate(data)
    except ValueError:
        return data, False
    return data, True


def _algorithm_by_key(der: bytes, *, is_certificate: bool) -> int:
    from signatures.algorithms import SCHEMES
    from signatures.keys import MalformedKey, UnsupportedKey, certificate_spki, load_public_key

    try:
        kind = load_public_key(certificate_spki(der) if is_certificate else der).kind
    except (MalformedKey, UnsupportedKey, ValueError) as error:
        raise Failure(f"the signer's key cannot be read: {error}") from None
    return next(int(number) for number, scheme in SCHEMES.items() if scheme.key is kind)


def as_request(
    signed: Sequence[SignedFile], *, signature_only: bool
) -> verification_pb2.BatchVerifyRequest:
    """Make one BatchVerify request for the files, with each signer once."""
    from qagazsyz.signing.v1 import verification_pb2
    from signatures.algorithms import SCHEMES

    request = verification_pb2.BatchVerifyRequest()
    if signature_only:
        request.trust_policy = verification_pb2.TRUST_POLICY_SIGNATURE_ONLY
    places: dict[bytes, int] = {}
    for one in signed:
        if one.signer not in places:
            places[one.signer] = len(places)
            source = request.signers.add()
            if one.is_certificate:
                source.certificate = one.signer
            else:
                source.public_key = one.signer
        item = request.items.add(
            signer=places[one.signer],
            algorithm=one.algorithm,
            signature=one.signature,
        )
        scheme = SCHEMES[one.algorithm]
        hash_name = scheme.hash.value[1].replace("-", "").lower() if scheme.hash else ""
        if hash_name in hashlib.algorithms_guaranteed:
            with one.path.open("rb") as stream:
                item.digest = hashlib.file_digest(stream, hash_name).digest()
        elif one.path.stat().st_size > MESSAGE_LIMIT_BYTES:
            raise Failure(f"{one.path} is too large for an algorithm that signs the file itself")
        else:
            item.message = one.path.read_bytes()
    return request


def _batches(
    signed: Sequence[SignedFile], *, signature_only: bool, quiet: bool
) -> Iterator[verification_pb2.BatchVerifyRequest]:
    """Yield requests of bounded size; a progress bar on stderr moves as they are taken."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), disable=quiet, transient=True) as progress:
        task = progress.add_task("Verifying", total=len(signed))
        waiting: list[SignedFile] = []
        size = 0
        for one in signed:
            waiting.append(one)
            size += one.path.stat().st_size
            if len(waiting) == BATCH_ITEMS or size >= BATCH_BYTES:
                yield as_request(waiting, signature_only=signature_only)
                progress.advance(task, len(waiting))
                waiting, size = [], 0
        if waiting:
            yield as_request(waiting, signature_only=signature_only)
            progress.advance(task, len(waiting))


def _on_this_machine(
    signed: Sequence[SignedFile], backend: str, *, quiet: bool
) -> tuple[list[str], str]:
    from signatures.algorithms import Verdict
    from signatures.loading import load_backend

    try:
        verifier = load_backend(backend or None)
    except (ImportError, ValueError) as error:
        raise Failure(f"no such backend here: {error}") from None
    verdicts: list[str] = []
    for request in _batches(signed, signature_only=True, quiet=quiet):
        batch = verifier.parse_batch(request.SerializeToString())
        verdicts.extend(Verdict(byte).name for byte in batch.verify(0, batch.item_count))
    return verdicts, f"the {verifier.name} backend on this machine, signatures only"


def _by_the_platform(
    signed: Sequence[SignedFile],
    gateway: str,
    credential: Path,
    organization: str,
    *,
    signature_only: bool,
    quiet: bool,
) -> list[str]:
    from cli.connection import TIMEOUT_SECONDS, signed_in
    from qagazsyz.common.v1 import signatures_pb2
    from qagazsyz.signing.v1 import verification_pb2_grpc

    verdicts: list[str] = []
    with signed_in(gateway, credential, organization) as channel:
        stub = verification_pb2_grpc.VerificationServiceStub(channel)
        for request in _batches(signed, signature_only=signature_only, quiet=quiet):
            answer = stub.BatchVerify(request, timeout=TIMEOUT_SECONDS)
            names = (signatures_pb2.Verdict.Name(verdict) for verdict in answer.verdicts)
            verdicts.extend(name.removeprefix("VERDICT_") for name in names)
    return verdicts


def _print(
    signed: Sequence[SignedFile], verdicts: Sequence[str], by: str, *, as_machine_json: bool
) -> None:
    from cli.output import print_rows

    if as_machine_json:
        for one, verdict in zip(signed, verdicts, strict=True):
            say(json_module.dumps({"file": str(one.path), "verdict": verdict, "by": by}))
        return
    rows = [
        (str(one.path), verdict.lower().replace("_", " "))
        for one, verdict in zip(signed, verdicts, strict=True)
        if verdict != "VALID" or len(signed) == 1
    ]
    if rows:
        print_rows("Signatures", ("file", "verdict"), rows, as_machine_json=False)
    valid = sum(verdict == "VALID" for verdict in verdicts)
    say(f"{valid} of {len(signed)} signatures are valid, by {by}")
