"""Confirmations: what is signed, and that tests/vectors/confirm.json has it for each method.

Run as a module to write the vectors anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from google.protobuf import json_format, message_factory
from google.protobuf.message import Message

from qagazsyz.common.v1 import confirmation_pb2
from qagazsyz.confirmations import act_text, confirm, needs_confirmation, read_header
from qagazsyz.credentials import Credential
from qagazsyz.identity.v1 import certificates_pb2, subjects_pb2
from services.runtime.access import access_rule
from services.runtime.descriptors import service_descriptors
from tests.builders import self_signed_credential

VECTORS = Path(__file__).parents[2] / "vectors" / "confirm.json"
KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PERSON = "subjects/018f0000-0000-7000-8000-00000000000a"
ORGANIZATION = "subjects/018f0000-0000-7000-8000-00000000000b"
CHALLENGE = (
    f"qagazsyz sign-in v1\nqagazsyz.example\n{ORGANIZATION}\n2026-01-01T00:02:00Z\n"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nMAC\n"
)
# A request of each method, in ProtoJSON; text beyond ASCII and bytes among them.
REQUESTS: dict[str, dict[str, Any]] = {
    "IssueCertificate": {"subject": PERSON, "certificateRequest": "MAA=", "requestId": ""},
    "ApproveCertificate": {
        "name": f"{PERSON}/certificateRequests/018f0000-0000-7000-8000-00000000000e"
    },
    "RegisterCertificate": {"subject": PERSON, "der": "MAA=", "chain": ["MAE=", "MAI="]},
    "AddMembership": {
        "organization": ORGANIZATION,
        "membership": {"person": PERSON, "role": "ROLE_OFFICER"},
    },
    "ApproveMembership": {
        "name": f"{ORGANIZATION}/memberships/018f0000-0000-7000-8000-00000000000a"
    },
    "RemoveMembership": {
        "name": f"{ORGANIZATION}/memberships/018f0000-0000-7000-8000-00000000000a"
    },
    "UpdateSubject": {
        "subject": {"name": PERSON, "person": {"familyName": "Әділханова", "givenName": "Айгүл"}},
        "updateMask": "person.familyName,person.givenName",
    },
    "RenewServiceCredential": {"certificateRequest": "MAA="},
    "ImportSims": {
        "sims": [{"number": "+77010000000", "iccid": "8977010000000000001", "publicKey": "MAA="}]
    },
    "BindPhone": {
        "subject": PERSON,
        "number": "+77010000000",
        "language": "kk",
        "requestId": "018f0000-0000-7000-8000-00000000000e",
    },
    "ApprovePhone": {"name": f"{PERSON}/phones/018f0000-0000-7000-8000-00000000000f"},
    "ImportSimKeys": {
        "keys": [{"iccid": "8999700900000000017", "wrappedKey": "H6aLCoEStEeu80vYj+p7gp0+hiNx0s/l"}]
    },
    "CreateKey": {
        "key": {"organization": ORGANIZATION, "algorithm": "SIGNATURE_ALGORITHM_ED25519"},
        "keyId": "seal",
    },
    "RotateKey": {"name": "keys/seal"},
    "EnableKeyVersion": {"name": "keys/seal/versions/2"},
    "DestroyKeyVersion": {"name": "keys/seal/versions/1"},
    "CreateDocumentType": {
        "documentType": {
            "displayNames": {"kk": "Мекенжай анықтамасы", "en": "Certificate of address"},
            "issuers": [ORGANIZATION],
        },
        "documentTypeId": "address-certificate",
    },
    "UpdateDocumentType": {
        "documentType": {"name": "documentTypes/address-certificate", "etag": "e"},
        "updateMask": "displayNames",
    },
    "ApproveLegalBases": {"name": "documentTypes/address-certificate", "etag": "e"},
    "CreatePublicService": {
        "public_service": {
            "display_names": {"kk": "Мекенжай"},
            "provider": "subjects/2",
            "output": "documentTypes/address-certificate",
            "time_limit_days": 3,
            "evidence": [
                {
                    "document_type": "documentTypes/address",
                    "purpose": "address",
                    "attributes": ["/city"],
                    "required": True,
                }
            ],
        },
        "public_service_id": "address",
    },
    "UpdatePublicService": {
        "public_service": {"name": "publicServices/address", "time_limit_days": 5, "etag": "ab"},
        "update_mask": "timeLimitDays",
    },
    "ApprovePublicService": {
        "name": "publicServices/address",
        "version": 2,
        "signature": {
            "certificate": "AQID",
            "algorithm": "SIGNATURE_ALGORITHM_ED25519",
            "signature": "BAUG",
        },
    },
    "EraseDocument": {"name": "documents/018f0000-0000-7000-8000-00000000000c", "citation": "§ 1"},
    "GrantConsent": {
        "consent": {
            "organization": ORGANIZATION,
            "documentType": "documentTypes/address-certificate",
            "purpose": "mortgage-application",
            "expireTime": "2026-12-31T00:00:00Z",
        },
        "requestId": "018f0000-0000-7000-8000-00000000000d",
    },
}


def methods() -> Iterator[tuple[str, type[Message]]]:
    """Every method that is confirmed, "/package.Service/Method", with its request's class."""
    for name, service in sorted(service_descriptors().items()):
        for method in service.methods:
            rule = access_rule(method)
            if rule is not None and rule.confirm:
                yield f"/{name}/{method.name}", message_factory.GetMessageClass(method.input_type)


def vector(method: str, request_class: type[Message]) -> dict[str, Any]:
    request = json_format.ParseDict(REQUESTS[method.rpartition("/")[2]], request_class())
    parts: dict[str, Any] = {
        "method": method,
        "subject": PERSON,
        "organization": ORGANIZATION,
        "challenge": CHALLENGE.encode(),
        "request": request,
    }
    credential = Credential(b"", KEY)
    return {
        "method": method,
        "request": json_format.MessageToDict(request),
        "text": act_text(**parts).decode(),
        "header": confirm(credential, **parts),
    }


def vectors() -> dict[str, Any]:
    return {
        "private_key": KEY.private_bytes_raw().hex(),
        "algorithm": "SIGNATURE_ALGORITHM_ED25519",
        "subject": PERSON,
        "organization": ORGANIZATION,
        "challenge": CHALLENGE,
        "acts": [vector(*each) for each in methods()],
    }


def test_the_vectors_are_what_is_signed() -> None:
    assert json.loads(VECTORS.read_text()) == vectors()


@pytest.mark.parametrize("act", json.loads(VECTORS.read_text())["acts"], ids=lambda a: a["method"])
def test_a_vectors_signature_is_over_its_lines(act: dict[str, str]) -> None:
    confirmation = read_header(act["header"])
    assert confirmation.challenge.decode() == CHALLENGE
    KEY.public_key().verify(confirmation.signature, act["text"].encode())


def test_the_lines_are_those_of_the_contract() -> None:
    request = subjects_pb2.RemoveMembershipRequest(name="a/b")
    text = act_text(
        method="/qagazsyz.identity.v1.SubjectService/RemoveMembership",
        subject=PERSON,
        organization="",
        challenge=b"first\nplatform.example\nrest",
        request=request,
    )
    assert text.decode().split("\n") == [
        "qagazsyz confirm v1",
        "platform.example",
        "/qagazsyz.identity.v1.SubjectService/RemoveMembership",
        PERSON,
        "",
        "Zmlyc3QKcGxhdGZvcm0uZXhhbXBsZQpyZXN0",
        # sha256sum of {"name":"a/b"}
        "18864129827a52a783fbc04a42da3ff139cd0a273da8bf849ae21273bd1792d9",
    ]


@pytest.mark.parametrize("value", ["", "a", "AAA=", "A A", "ё", "____"])
def test_a_header_that_is_no_confirmation_is_refused(value: str) -> None:
    if value == "":
        assert read_header(value) == confirmation_pb2.Confirmation()
        return
    with pytest.raises(ValueError):
        read_header(value)


def test_only_methods_that_say_so_need_a_confirmation() -> None:
    issue = certificates_pb2.IssueCertificateRequest()
    service = "/qagazsyz.identity.v1.CertificateService"
    assert needs_confirmation(f"{service}/IssueCertificate", issue)
    revoke = certificates_pb2.RevokeCertificateRequest()
    assert not needs_confirmation(f"{service}/RevokeCertificate", revoke)
    assert not needs_confirmation("/grpc.health.v1.Health/Check", issue)
    assert not needs_confirmation(f"{service}/IssueCertificate", b"bytes")


def test_a_credential_signs_what_its_certificate_verifies() -> None:
    credential = self_signed_credential()
    request = subjects_pb2.RemoveMembershipRequest(name="a/b")
    parts: dict[str, Any] = {
        "method": "/m",
        "subject": PERSON,
        "organization": "",
        "challenge": CHALLENGE.encode(),
        "request": request,
    }
    confirmation = read_header(confirm(credential, **parts))
    public: Any = credential.private_key.public_key()
    public.verify(confirmation.signature, act_text(**parts))


if __name__ == "__main__":
    VECTORS.parent.mkdir(exist_ok=True)
    VECTORS.write_text(json.dumps(vectors(), indent=2, ensure_ascii=False) + "\n")
