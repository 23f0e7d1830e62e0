"""SubjectService: who may create, read and change whom, and what a repeated request does."""

from __future__ import annotations

import asyncio
import uuid

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.type.date_pb2 import Date

from qagazsyz.identity.v1 import subjects_pb2 as pb
from tests.unit.identity.service import CONCURRENT, Identity, Role, outcomes

DENIED = grpc.StatusCode.PERMISSION_DENIED
INVALID = grpc.StatusCode.INVALID_ARGUMENT
EXISTS = grpc.StatusCode.ALREADY_EXISTS
NOT_FOUND = grpc.StatusCode.NOT_FOUND
MISSING = f"subjects/{uuid.UUID(int=7)}"


def creation(
    iin: str,
    *,
    given_name: str = "Әлия",
    family_name: str = "Құрманова",
    birth_date: Date | None = None,
    request_id: str = "",
) -> pb.CreateSubjectRequest:
    person = pb.Person(
        iin=iin, given_name=given_name, family_name=family_name, birth_date=birth_date
    )
    return pb.CreateSubjectRequest(subject=pb.Subject(person=person), request_id=request_id)


async def test_one_of_many_concurrent_callers_gets_a_number(identity: Identity) -> None:
    request = creation(identity.iin())
    found = await outcomes(
        *(
            identity.call("SubjectService/CreateSubject", request, identity.as_operator)
            for _ in range(CONCURRENT)
        )
    )
    assert found == {"OK": 1, "ALREADY_EXISTS": CONCURRENT - 1}


async def test_a_request_sent_concurrently_has_one_effect(identity: Identity) -> None:
    request = creation(identity.iin(), request_id=str(uuid.uuid4()))
    made = await asyncio.gather(
        *(
            identity.call("SubjectService/CreateSubject", request, identity.as_operator)
            for _ in range(CONCURRENT)
        )
    )
    assert len({subject.name for subject in made}) == 1


async def test_a_request_id_is_the_callers_own(identity: Identity) -> None:
    request = creation(identity.iin(), request_id=str(uuid.uuid4()))
    await identity.call("SubjectService/CreateSubject", request, identity.as_operator)
    code = await identity.refused("SubjectService/CreateSubject", request, identity.as_registrar)
    assert code == EXISTS, "another's answer is not given away: the number is simply taken"


@pytest.mark.parametrize("request_id", ["1", "x" * 36, "{12345678-1234-5678-1234-567812345678}"])
async def test_a_request_id_is_a_uuid(identity: Identity, request_id: str) -> None:
    code = await identity.refused(
        "SubjectService/CreateSubject",
        creation(identity.iin(), request_id=request_id),
        identity.as_operator,
    )
    assert code == INVALID


async def test_a_person_is_created_with_an_opaque_name(identity: Identity) -> None:
    made = await identity.call(
        "SubjectService/CreateSubject",
        creation(
            "931002451325",
            given_name="Айгүл",
            family_name="Ибраева",
            birth_date=Date(year=1993, month=10, day=2),
        ),
        identity.as_registrar,
    )
    assert made.name.startswith("subjects/") and "931002451325" not in made.name
    assert made.person.birth_date == Date(year=1993, month=10, day=2)


@pytest.mark.parametrize(
    ("iin", "born"),
    [
        ("931002451324", None),
        ("93100245132", None),
        ("000000000000", None),
        ("931002451325", Date(year=1993, month=10, day=3)),
        ("931002451325", Date(year=1893, month=10, day=2)),
        ("９31002451325", None),
    ],
)
async def test_a_number_that_is_wrong_is_refused(
    identity: Identity, iin: str, born: Date | None
) -> None:
    request = creation(iin, birth_date=born)
    assert await identity.refused(
        "SubjectService/CreateSubject", request, identity.as_operator
    ) == (INVALID)


async def test_a_number_that_is_taken_already_exists(identity: Identity) -> None:
    iin = identity.iin()
    await identity.person(iin=iin)
    request = creation(iin)
    code = await identity.refused("SubjectService/CreateSubject", request, identity.as_operator)
    assert code == EXISTS


async def test_a_repeated_request_creates_one_subject(identity: Identity) -> None:
    request = creation(identity.iin(), request_id=str(uuid.uuid4()))
    first, second = [
        await identity.call("SubjectService/CreateSubject", request, identity.as_operator)
        for _ in range(2)
    ]
    assert first == second
    request.subject.person.given_name = "В"
    code = await identity.refused("SubjectService/CreateSubject", request, identity.as_operator)
    assert code == EXISTS


@pytest.mark.parametrize("role", [Role.ROLE_CITIZEN, Role.ROLE_OFFICER, Role.ROLE_AUDITOR])
async def test_only_operators_and_registrars_create_subjects(identity: Identity, role: int) -> None:
    request = creation(identity.iin())
    code = await identity.refused("SubjectService/CreateSubject", request, identity.token(role))
    assert code == DENIED


async def test_a_name_changes_and_a_number_never_does(identity: Identity) -> None:
    name = await identity.person()
    changed = await identity.call(
        "SubjectService/UpdateSubject",
        pb.UpdateSubjectRequest(
            subject=pb.Subject(name=name, person=pb.Person(family_name="Жаңа")),
            update_mask=FieldMask(paths=["person.family_name"]),
        ),
        identity.as_registrar,
    )
    assert (changed.person.family_name, changed.person.given_name) == ("Жаңа", "Әлия")
    for request in (
        pb.UpdateSubjectRequest(
            subject=pb.Subject(name=name, person=pb.Person(iin="931002451325")),
            update_mask=FieldMask(paths=["person.iin"]),
        ),
        pb.UpdateSubjectRequest(
            subject=pb.Subject(
                name=name,
                person=pb.Person(iin="931002451325", given_name="А", family_name="Б"),
            )
        ),
        pb.UpdateSubjectRequest(
            subject=pb.Subject(
                name=name,
                person=pb.Person(iin="931002451325", given_name="А", family_name="Б"),
            ),
            update_mask=FieldMask(paths=["person"]),
        ),
        pb.UpdateSubjectRequest(
            subject=pb.Subject(name=name, person=pb.Person()),
            update_mask=FieldMask(paths=["person.given_name"]),
        ),
        pb.UpdateSubjectRequest(
            subject=pb.Subject(name=name), update_mask=FieldMask(paths=["organization.bin"])
        ),
        pb.UpdateSubjectRequest(
            subject=pb.Subject(name=name), update_mask=FieldMask(paths=["nonsense"])
        ),
    ):
        code = await identity.refused(
            "SubjectService/UpdateSubject", request, identity.as_registrar
        )
        assert code == INVALID


async def test_an_organization_is_public_and_a_person_is_not(identity: Identity) -> None:
    person, organization = await identity.person(), await identity.organization()
    stranger = await identity.person()
    for token in (identity.as_citizen(stranger), identity.as_officer(organization)):
        request = pb.GetSubjectRequest(name=organization)
        assert (await identity.call("SubjectService/GetSubject", request, token)).organization.bin
        for name in (person, MISSING):
            code = await identity.refused(
                "SubjectService/GetSubject", pb.GetSubjectRequest(name=name), token
            )
            assert code == DENIED, "the same whether or not the person exists"
    for token in (identity.as_citizen(person), identity.as_operator, identity.as_auditor):
        request = pb.GetSubjectRequest(name=person)
        assert (await identity.call("SubjectService/GetSubject", request, token)).person.iin


async def test_an_officer_does_not_read_the_person_that_they_are(identity: Identity) -> None:
    person, organization = await identity.person(), await identity.organization()
    code = await identity.refused(
        "SubjectService/GetSubject",
        pb.GetSubjectRequest(name=person),
        identity.as_officer(organization, person),
    )
    assert code == DENIED


async def test_lists_page_with_opaque_tokens(identity: Identity) -> None:
    made = {await identity.person() for _ in range(5)} | {identity.platform, identity.operator}
    seen: list[str] = []
    token = ""
    while True:
        page = await identity.call(
            "SubjectService/ListSubjects",
            pb.ListSubjectsRequest(page_size=3, page_token=token),
            identity.as_auditor,
        )
        seen += [subject.name for subject in page.subjects]
        token = page.next_page_token
        if not token:
            break
    assert len(seen) == len(set(seen)) == len(made) and set(seen) == made
    for bad in (
        pb.ListSubjectsRequest(page_token="x"),
        pb.ListSubjectsRequest(page_size=-1),
    ):
        code = await identity.refused("SubjectService/ListSubjects", bad, identity.as_auditor)
        assert code == INVALID


async def test_numbers_resolve_to_names(identity: Identity) -> None:
    iin, bin_ = identity.iin(), identity.bin()
    person = await identity.person(iin=iin)
    request = pb.ResolveSubjectsRequest(numbers=[bin_, iin])
    found = await identity.call(
        "SubjectService/ResolveSubjects", request, identity.as_officer("subjects/o")
    )
    assert list(found.subjects) == ["", person]
    code = await identity.refused(
        "SubjectService/ResolveSubjects", request, identity.as_citizen(person)
    )
    assert code == DENIED, "a citizen resolves organizations only"
    only_bins = pb.ResolveSubjectsRequest(numbers=[bin_])
    await identity.call("SubjectService/ResolveSubjects", only_bins, identity.as_citizen(person))


@pytest.mark.parametrize("numbers", [[], ["1"], ["12345678901x"], ["931002451325"] * 1001])
async def test_an_empty_malformed_or_long_list_of_numbers_is_refused(
    identity: Identity, numbers: list[str]
) -> None:
    request = pb.ResolveSubjectsRequest(numbers=numbers)
    code = await identity.refused("SubjectService/ResolveSubjects", request, identity.as_operator)
    assert code == INVALID


async def test_services_get_many_subjects_in_order(identity: Identity) -> None:
    person = await identity.person()
    request = pb.BatchGetSubjectsRequest(names=[MISSING, person])
    found = await identity.call("SubjectService/BatchGetSubjects", request, identity.as_service)
    assert [subject.name for subject in found.subjects] == ["", person]
    code = await identity.refused("SubjectService/BatchGetSubjects", request, identity.as_operator)
    assert code == DENIED, "for the other services only"


async def test_roles_of_the_platform_are_given_in_its_own_organization_only(
    identity: Identity,
) -> None:
    person, organization = await identity.person(), await identity.organization()
    for place, role in (
        (organization, Role.ROLE_OPERATOR),
        (organization, Role.ROLE_SERVICE),
        (identity.platform, Role.ROLE_OFFICER),
        (identity.platform, Role.ROLE_SERVICE),
        (identity.platform, Role.ROLE_CITIZEN),
    ):
        request = pb.AddMembershipRequest(
            organization=place, membership=pb.Membership(person=person, role=role)
        )
        code = await identity.refused("SubjectService/AddMembership", request, identity.as_operator)
        assert code == INVALID
    await identity.member(identity.platform, person, Role.ROLE_AUDITOR)


async def test_a_membership_comes_and_goes(identity: Identity) -> None:
    person, organization = await identity.person(), await identity.organization()
    made = await identity.member(organization, person)
    listed = await identity.call(
        "SubjectService/ListMemberships",
        pb.ListMembershipsRequest(organization=organization),
        identity.as_auditor,
    )
    assert list(listed.memberships) == [made]
    many = pb.BatchGetMembershipsRequest(
        names=[made.name, f"{organization}/memberships/{MISSING[9:]}"]
    )
    found = await identity.call("SubjectService/BatchGetMemberships", many, identity.as_service)
    assert [membership.name for membership in found.memberships] == [made.name, ""]
    again = pb.AddMembershipRequest(organization=organization, membership=made)
    code = await identity.refused("SubjectService/AddMembership", again, identity.as_operator)
    assert code == EXISTS
    removal = pb.RemoveMembershipRequest(name=made.name)
    await identity.call("SubjectService/RemoveMembership", removal, identity.as_operator)
    for method, request in (
        ("RemoveMembership", removal),
        ("GetMembership", pb.GetMembershipRequest(name=made.name)),
    ):
        code = await identity.refused(f"SubjectService/{method}", request, identity.as_operator)
        assert code == NOT_FOUND


async def test_only_operators_change_memberships(identity: Identity) -> None:
    person, organization = await identity.person(), await identity.organization()
    request = pb.AddMembershipRequest(
        organization=organization,
        membership=pb.Membership(person=person, role=Role.ROLE_OFFICER),
    )
    for token in (
        identity.as_registrar,
        identity.as_officer(organization),
        identity.as_citizen(person),
    ):
        assert await identity.refused("SubjectService/AddMembership", request, token) == DENIED


async def test_a_page_token_serves_for_its_own_list_only(identity: Identity) -> None:
    first, second = await identity.organization(), await identity.organization()
    people = {await identity.person() for _ in range(3)}
    for person in people:
        await identity.member(first, person)
    seen: set[str] = set()
    token = ""
    for _ in range(3):
        page = await identity.call(
            "SubjectService/ListMemberships",
            pb.ListMembershipsRequest(organization=first, page_size=1, page_token=token),
            identity.as_auditor,
        )
        seen.add(page.memberships[0].person)
        for method, request in (
            ("ListSubjects", pb.ListSubjectsRequest(page_token=page.next_page_token)),
            (
                "ListMemberships",
                pb.ListMembershipsRequest(organization=second, page_token=page.next_page_token),
            ),
        ):
            if page.next_page_token:
                code = await identity.refused(
                    f"SubjectService/{method}", request, identity.as_auditor
                )
                assert code == INVALID
        token = page.next_page_token
    assert seen == people and not token


async def test_long_names_stand_in_certificates_and_longer_ones_are_refused(
    identity: Identity,
) -> None:
    await identity.issue(await identity.organization("Ұ" * 256))
    request = creation(identity.iin(), given_name="Ұ" * 257)
    code = await identity.refused("SubjectService/CreateSubject", request, identity.as_operator)
    assert code == INVALID
