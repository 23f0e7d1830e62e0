"""Enrol people and organizations: create them, certify them, make them members."""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from google.type import date_pb2

from cli.commands.certificate import KeyType, make_key, make_request
from cli.output import write_secret
from qagazsyz.client import Client, TraceHeaders, no_trace
from qagazsyz.credentials import Credential, PrivateKey
from qagazsyz.identity.v1 import (
    certificates_pb2,
    certificates_pb2_grpc,
    subjects_pb2,
    subjects_pb2_grpc,
)
from testing.people import Organization, Person

# Deadline of each call: generous, for a busy machine.
TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Actor:
    """A caller: their subject, their credential, and the organization that they act for."""

    subject: str
    credential: Credential
    organization: str = ""

    def client(self, gateway: str, trace_headers: TraceHeaders = no_trace) -> Client:
        """Open a client that signs in as this actor; the caller closes it."""
        return Client(
            gateway,
            self.credential,
            organization=self.organization,
            trace_headers=trace_headers,
        )


class Enrolment:
    """Enrols people and organizations as an operator, and where it takes two, as two operators."""

    def __init__(
        self, operator: Client, second: Callable[[], Awaitable[Client]] | None = None
    ) -> None:
        """second: another operator, for further_credential. As the first one made them, they ask
        and the first one approves; never the other way."""
        self._subjects = subjects_pb2_grpc.SubjectServiceStub(operator.channel)
        self._certificates = certificates_pb2_grpc.CertificateServiceStub(operator.channel)
        self._second = second

    async def organization(self, organization: Organization) -> str:
        """Create an organization; return its subject's name."""
        subject = subjects_pb2.Subject(
            organization=subjects_pb2.Organization(
                bin=organization.bin, display_name=organization.display_name
            )
        )
        return await self._create(subject)

    async def person(self, person: Person) -> str:
        """Create a person; return their subject's name."""
        born = person.birth_date
        subject = subjects_pb2.Subject(
            person=subjects_pb2.Person(
                iin=person.iin,
                given_name=person.given_name,
                family_name=person.family_name,
                patronymic=person.patronymic,
                birth_date=date_pb2.Date(year=born.year, month=born.month, day=born.day),
            )
        )
        return await self._create(subject)

    async def _create(self, subject: subjects_pb2.Subject) -> str:
        created = await self._subjects.CreateSubject(
            subjects_pb2.CreateSubjectRequest(subject=subject, request_id=str(uuid.uuid4())),
            timeout=TIMEOUT_SECONDS,
        )
        return created.name

    async def credential(
        self,
        subject: str,
        *,
        organization: str = "",
        key_type: KeyType = KeyType.P256,
        usage: certificates_pb2.CertificateUsage = certificates_pb2.CERTIFICATE_USAGE_SIGN,
    ) -> Credential:
        """Generate a key, and have a person's first certificate issued for it by a PKCS#10
        request."""
        key = make_key(key_type)
        request = _issue_request(subject, key, organization, usage)
        issued = await self._certificates.IssueCertificate(request, timeout=TIMEOUT_SECONDS)
        return Credential(issued.der, key)

    async def further_credential(
        self,
        subject: str,
        *,
        organization: str = "",
        key_type: KeyType = KeyType.P256,
        usage: certificates_pb2.CertificateUsage = certificates_pb2.CERTIFICATE_USAGE_SIGN,
    ) -> Credential:
        """Generate a key, and have any certificate issued for it, as two operators."""
        assert self._second is not None  # noqa: S101 - given by those who call this
        second = certificates_pb2_grpc.CertificateServiceStub((await self._second()).channel)
        key = make_key(key_type)
        request = _issue_request(subject, key, organization, usage)
        waiting = await second.IssueCertificate(request, timeout=TIMEOUT_SECONDS)
        return Credential((await self.approve(waiting.name)).der, key)

    async def approve(self, name: str) -> certificates_pb2.Certificate:
        """Approve a certificate that waits, as the first operator."""
        return await self._certificates.ApproveCertificate(
            certificates_pb2.ApproveCertificateRequest(name=name), timeout=TIMEOUT_SECONDS
        )

    async def citizen(self, person: Person, key_type: KeyType = KeyType.P256) -> Actor:
        """Enrol a person with a certificate."""
        subject = await self.person(person)
        return Actor(subject, await self.credential(subject, key_type=key_type))

    async def officer(
        self, person: Person, organization: str, key_type: KeyType = KeyType.P256
    ) -> Actor:
        """Enrol a person as an officer of the organization, with a certificate that names it."""
        subject = await self.person(person)
        await self.add_member(organization, subject, "ROLE_OFFICER")
        credential = await self.credential(subject, organization=organization, key_type=key_type)
        return Actor(subject, credential, organization)

    async def add_member(self, organization: str, person: str, role: str) -> None:
        """Give a person a role in an organization."""
        await self._subjects.AddMembership(
            subjects_pb2.AddMembershipRequest(
                organization=organization,
                membership=subjects_pb2.Membership(person=person, role=role),
            ),
            timeout=TIMEOUT_SECONDS,
        )


async def second_operator(first: Client, data: Path, person: Person) -> Actor:
    """Return the second operator of the suite with this data folder: the first operator makes them
    alone, once, and everything that takes two operators can be done from then on."""
    path = data / "credentials" / "second-operator.pem"
    if not path.exists():
        platform = json.loads((data / "identity" / "seed.json").read_bytes())["platform"]["name"]
        enrolment = Enrolment(first)
        subject = await enrolment.person(person)
        await enrolment.add_member(platform, subject, "ROLE_OPERATOR")
        write_secret(path, (await enrolment.credential(subject)).to_pem())
    return Actor("", Credential.load(path))


def _issue_request(
    subject: str, key: PrivateKey, organization: str, usage: certificates_pb2.CertificateUsage
) -> certificates_pb2.IssueCertificateRequest:
    return certificates_pb2.IssueCertificateRequest(
        subject=subject,
        certificate_request=make_request(key),
        organization=organization,
        usage=usage,
        request_id=str(uuid.uuid4()),
    )
