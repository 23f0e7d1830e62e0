"""How people and organizations come onto the platform: created, certified, made members."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from google.type import date_pb2

from cli.commands.certificate import KeyType, make_key, make_request
from qagazsyz.client import Client, TraceHeaders, no_trace
from qagazsyz.credentials import Credential
from qagazsyz.identity.v1 import (
    certificates_pb2,
    certificates_pb2_grpc,
    subjects_pb2,
    subjects_pb2_grpc,
)
from testing.people import Organization, Person

# One call of the demo: generous on a busy machine, and never for ever.
TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who signs in: their subject, their credential, and for whom they act."""

    subject: str
    credential: Credential
    organization: str = ""

    def client(self, gateway: str, trace_headers: TraceHeaders = no_trace) -> Client:
        """A channel signed in as this actor; to be closed by the caller."""
        return Client(
            gateway,
            self.credential,
            organization=self.organization,
            trace_headers=trace_headers,
        )


class Enrolment:
    """What an operator does for those who come."""

    def __init__(self, operator: Client) -> None:
        self._subjects = subjects_pb2_grpc.SubjectServiceStub(operator.channel)
        self._certificates = certificates_pb2_grpc.CertificateServiceStub(operator.channel)

    async def organization(self, organization: Organization) -> str:
        """The new organization's subject."""
        subject = subjects_pb2.Subject(
            organization=subjects_pb2.Organization(
                bin=organization.bin, display_name=organization.display_name
            )
        )
        return await self._create(subject)

    async def person(self, person: Person) -> str:
        """The new person's subject."""
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
        """A new key with a certificate that the platform issued on a PKCS#10 request."""
        key = make_key(key_type)
        issued = await self._certificates.IssueCertificate(
            certificates_pb2.IssueCertificateRequest(
                subject=subject,
                certificate_request=make_request(key),
                organization=organization,
                usage=usage,
                request_id=str(uuid.uuid4()),
            ),
            timeout=TIMEOUT_SECONDS,
        )
        return Credential(issued.der, key)

    async def citizen(self, person: Person, key_type: KeyType = KeyType.P256) -> Actor:
        """A person with a certificate."""
        subject = await self.person(person)
        return Actor(subject, await self.credential(subject, key_type=key_type))

    async def officer(
        self, person: Person, organization: str, key_type: KeyType = KeyType.P256
    ) -> Actor:
        """A person who is a member of the organization, with a certificate that says so."""
        subject = await self.person(person)
        await self.add_member(organization, subject, "ROLE_OFFICER")
        credential = await self.credential(subject, organization=organization, key_type=key_type)
        return Actor(subject, credential, organization)

    async def add_member(self, organization: str, person: str, role: str) -> None:
        """Gives a person a role in an organization."""
        await self._subjects.AddMembership(
            subjects_pb2.AddMembershipRequest(
                organization=organization,
                membership=subjects_pb2.Membership(person=person, role=role),
            ),
            timeout=TIMEOUT_SECONDS,
        )
