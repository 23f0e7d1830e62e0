"""Certificates of the own authority: OpenSSL verifies them, and they name people as NCA RK does."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from qagazsyz.identity.v1 import certificates_pb2 as pb
from tests.openssl import openssl
from tests.unit.identity.service import Identity


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["P-256", "P-384", "Ed25519", "RSA-2048"],
)
async def test_a_certificate_verifies_with_openssl(
    identity: Identity, tmp_path: Path, key: object
) -> None:
    made, _ = await identity.issue(await identity.person(), key=key)
    leaf = tmp_path / "leaf.pem"
    leaf.write_bytes(x509.load_der_x509_certificate(made.der).public_bytes(Encoding.PEM))
    chain = await identity.call("AuthorityService/GetAuthorityChain", pb.GetAuthorityChainRequest())
    (tmp_path / "chain.pem").write_bytes(chain.data)
    root = identity.folder / "root.pem"
    strictly = ("-x509_strict", "-purpose", "smimesign")
    untrusted = tmp_path / "chain.pem"
    result = await openssl("verify", *strictly, "-CAfile", root, "-untrusted", untrusted, leaf)
    assert result.returncode == 0, result.stderr


async def test_a_person_is_named_as_the_national_authority_names_them(identity: Identity) -> None:
    iin, organization = identity.iin(), await identity.organization("Ұзақ атаулы ұйым " * 8)
    person = await identity.person(iin=iin, patronymic="Серікқызы")
    await identity.member(organization, person)
    made, _ = await identity.issue(person, organization=organization)
    certificate = x509.load_der_x509_certificate(made.der)
    subject = {part.oid: str(part.value) for part in certificate.subject}
    names = x509.NameOID
    assert subject[names.SERIAL_NUMBER] == f"IIN{iin}"
    assert subject[names.SURNAME] == "Құрманова"
    assert subject[names.GIVEN_NAME] == "Серікқызы", "the national authority puts it there"
    assert subject[names.ORGANIZATIONAL_UNIT_NAME].startswith("BIN2001")
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    dotted = {purpose.dotted_string for purpose in purposes}
    assert dotted == {
        "1.3.6.1.5.5.7.3.4",
        "1.2.398.3.3.4.1.2",
        "1.2.398.3.3.4.1.2.2",
        "1.2.398.3.3.4.1.2.5",
    }
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature and usage.content_commitment and not usage.key_cert_sign
