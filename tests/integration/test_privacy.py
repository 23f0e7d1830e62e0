"""No IIN, BIN or name is in a log line, a span or an access-log line, however a call ends."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from urllib.parse import quote

import grpc
import pytest

from cli.made_up_numbers import made_up_bin, made_up_iin
from cli.operations.traces import read_spans
from qagazsyz.identity.v1 import subjects_pb2, subjects_pb2_grpc
from qagazsyz.registry.v1 import documents_pb2
from testing.people import Organization, Person
from testing.suite_process import RunningSuite, running_suite
from tests.integration.world import World, registration

BIRTH = date(1984, 5, 17)
# Words that occur nowhere else, in Latin and in Cyrillic letters.
SOUGHT = Person(
    iin=made_up_iin(BIRTH, 4711),
    given_name="Жұлдызбек",
    family_name="Xantippova",
    patronymic="Qwertyuly",
    birth_date=BIRTH,
    address="",
)
COMPANY = Organization(made_up_bin(date(2019, 2, 1), 31337), "Zyxwvut ЖШС")
TITLE = "Құпия Vutsrqp"
REASON = "Себебі Ponmlkj"
CONTENT = b"Ihgfedcba content"


def secrets() -> list[bytes]:
    """Return what must not occur, in the encodings that logs use."""
    words = [
        SOUGHT.iin, SOUGHT.given_name, SOUGHT.family_name, SOUGHT.patronymic,
        COMPANY.bin, COMPANY.display_name, TITLE, REASON, CONTENT.decode(),
    ]  # fmt: skip
    return [form for word in words for form in forms(word)]


def forms(word: str) -> list[bytes]:
    """Return a word in the encodings that logs use, and that of short messages."""
    return [
        word.encode(),
        json.dumps(word)[1:-1].encode(),
        quote(word).encode(),
        word.encode("utf-16-be"),
    ]


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    """Run a suite for this module alone, which the test stops so that all is written."""
    with running_suite(Path(tmp_path_factory.mktemp("privacy")) / "data") as running:
        yield running


async def test_no_personal_data_in_logs_spans_and_access_log(suite: RunningSuite) -> None:
    world = World(suite)
    await good_calls(world)
    await refused_calls(world)
    await failed_calls(world)
    await world.close()
    suite.stop()
    written = [suite.log, *suite.data.rglob("*.log"), *(suite.data / "traces").iterdir()]
    files = {path: path.read_bytes() for path in written if path.is_file()}
    spans = read_spans(suite.data / "traces")
    assert len(spans) > 50
    assert any(b"401" in content for content in files.values()), "no access log was found"
    for path, content in files.items():
        for secret in secrets():
            assert secret not in content, f"{secret!r} stands in {path.name}"


async def good_calls(world: World) -> None:
    enrolment = world.enrolment()
    organization = await enrolment.organization(COMPANY)
    officer = await world.officer(organization)
    citizen = await enrolment.citizen(SOUGHT)
    document_type = await world.document_type(organization)
    request = registration(officer, document_type, citizen.subject, CONTENT)
    request.document.title = TITLE
    document = await world.documents(officer).RegisterDocument(request)
    bank = await world.officer()
    await world.consent(citizen, bank.organization, document_type, "mortgage")
    found = await world.documents(bank).LookUpDocuments(
        documents_pb2.LookUpDocumentsRequest(
            subject=citizen.subject,
            document_type=document_type,
            purpose="mortgage",
            reason=REASON,
        )
    )
    await world.documents(bank).DownloadDocument(
        documents_pb2.DownloadDocumentRequest(name=document.name, access=found.access)
    )
    subjects = subjects_pb2_grpc.SubjectServiceStub(world.client(officer).channel)
    resolve = subjects_pb2.ResolveSubjectsRequest(numbers=[SOUGHT.iin, COMPANY.bin])
    await subjects.ResolveSubjects(resolve)


async def refused_calls(world: World) -> None:
    """Cause 401, 403, 404, 409 and 400, with personal data in bodies and, wrongly, in URLs."""
    async with world.http() as http:
        person = {
            "iin": SOUGHT.iin,
            "givenName": SOUGHT.given_name,
            "familyName": SOUGHT.family_name,
        }
        bad_person = {**person, "iin": SOUGHT.iin[::-1]}
        operator = await world.headers(world.operator)
        citizen = await world.headers(await world.citizen())
        numbers = {"numbers": [SOUGHT.iin]}
        statuses = [
            (await http.post("/v1/subjects:resolve", json=numbers)).status_code,
            (await http.post("/v1/subjects:resolve", json=numbers, headers=citizen)).status_code,
            (
                await http.post("/v1/subjects", json={"person": person}, headers=operator)
            ).status_code,
            (
                await http.post("/v1/subjects", json={"person": bad_person}, headers=operator)
            ).status_code,
            (await http.get(f"/v1/subjects/{SOUGHT.iin}", headers=operator)).status_code,
            (await http.get(f"/v1/subjects/{SOUGHT.iin}", headers=citizen)).status_code,
            (await http.get(f"/v1/subjects/{SOUGHT.iin}")).status_code,
            (await http.get(f"/{quote(SOUGHT.family_name)}?iin={SOUGHT.iin}")).status_code,
            (
                await http.get(
                    f"/v1/subjects?pageToken={SOUGHT.iin}",
                    headers={**operator, "user-agent": SOUGHT.family_name, "referer": SOUGHT.iin},
                )
            ).status_code,
            (
                await http.get("/v1/subjects", headers={"authorization": f"Bearer {SOUGHT.iin}"})
            ).status_code,
        ]
    assert {401, 403, 404, 409, 400} <= set(statuses), statuses


async def failed_calls(world: World) -> None:
    """Cause 503: kill the service during a call."""
    identity = world.suite.children()["identity"]
    os.kill(identity, signal.SIGSTOP)
    try:
        async with world.http() as http:
            answer = await http.post(
                "/v1/subjects:resolve",
                json={"numbers": [SOUGHT.iin]},
                headers={**await world.headers(world.operator), "grpc-timeout": "1500m"},
            )
            assert answer.status_code in (503, 504)
    finally:
        os.kill(identity, signal.SIGKILL)
    for _ in range(3):
        # 503 until identity is back, then 409.
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await world.enrolment().person(SOUGHT)
        codes = (grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.UNAVAILABLE)
        assert caught.value.code() in codes
