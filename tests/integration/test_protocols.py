"""The same suite over HTTP/JSON, native gRPC and gRPC-Web."""

from __future__ import annotations

import base64
import hashlib
import json
import struct

import grpc
import httpx
from google.protobuf import json_format
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from qagazsyz.identity.v1 import subjects_pb2, subjects_pb2_grpc
from qagazsyz.notes import VerifierKey, open_checkpoint
from qagazsyz.receipts import verify_receipt
from qagazsyz.registry.v1 import documents_pb2, receipts_pb2
from services.runtime.descriptors import service_descriptors
from testing.enrolment import Actor
from tests.builders import new_person, with_last_bit_flipped
from tests.integration.world import World, registration


async def sign_in_by_json(http: httpx.AsyncClient, actor: Actor) -> str:
    """Sign in with JSON alone; return the token."""
    body = {"organization": actor.organization} if actor.organization else {}
    answer = await http.post("/v1/challenges", json=body)
    challenge = answer.json()["challenge"]
    algorithm, signature = actor.credential.sign(base64.b64decode(challenge))
    answer = await http.post(
        "/v1/tokens:exchange",
        json={
            "challenge": challenge,
            "certificate": base64.b64encode(actor.credential.certificate).decode(),
            "algorithm": algorithm,
            "signature": base64.b64encode(signature).decode(),
        },
    )
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["accessToken"]
    return token


async def test_a_document_is_registered_found_and_downloaded_over_json(world: World) -> None:
    issuer, citizen = await world.officer(), await world.citizen()
    document_type = await world.document_type(issuer.organization)
    request = registration(issuer, document_type, citizen.subject, b"<address/>")
    async with world.http() as http:
        token = await sign_in_by_json(http, issuer)
        answer = await http.post(
            "/v1/documents",
            content=json_format.MessageToJson(request),
            headers={"authorization": f"Bearer {token}"},
        )
        assert answer.status_code == 200, answer.text
        document = answer.json()
        assert document["state"] == "DOCUMENT_STATE_ACTIVE"
        assert base64.b64decode(document["contentSha256"]) == hashlib.sha256(b"<address/>").digest()
        mine = {"authorization": f"Bearer {await sign_in_by_json(http, citizen)}"}
        body = await http.get(f"/v1/{document['name']}:download", headers=mine)
        assert body.content == b"<address/>"
        assert body.headers["content-type"] == "text/plain"
        answer = await http.get(f"/v1/{document['name']}/receipt", headers=mine)
        receipt = json_format.Parse(answer.content, receipts_pb2.Receipt())
        key = (await http.get("/log/key")).text
        assert verify_receipt(receipt, key, b"<address/>").entry["event"] == "registered"
        answer = await http.get(f"/v1/verificationCodes/{document['verificationCode']}")
        assert answer.json()["checks"][0]["state"] == "DOCUMENT_STATE_ACTIVE"
        digest = base64.b64encode(hashlib.sha256(b"<address/>").digest()).decode()
        answer = await http.post("/v1/documents:check", json={"contentSha256": digest})
        assert answer.json()["checks"][0]["issuer"] == issuer.organization


async def test_an_error_over_json_names_the_field_and_the_reason(world: World) -> None:
    person = new_person()
    wrong = person.iin[:11] + str((int(person.iin[11]) + 1) % 10)
    async with world.http() as http:
        answer = await http.post(
            "/v1/subjects",
            json={"person": {"iin": wrong, "givenName": "Әлия", "familyName": "Қасымова"}},
            headers=await world.headers(world.operator),
        )
    assert answer.status_code == 400
    body = answer.json()
    assert body["code"] == 3
    types = {detail["@type"].rpartition(".")[2]: detail for detail in body["details"]}
    assert types["BadRequest"]["fieldViolations"][0]["field"] == "subject.person.iin"
    assert types["ErrorInfo"]["domain"] == "qagazsyz"
    assert wrong not in answer.text


async def test_published_texts_have_their_media_types(world: World) -> None:
    async with world.http() as http:
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.get("/readyz")).status_code == 200
        keys = (await http.get("/.well-known/jwks.json")).json()["keys"]
        assert all(key["crv"] == "Ed25519" for key in keys)
        key = VerifierKey.parse((await http.get("/log/key")).text)
        assert open_checkpoint((await http.get("/log/checkpoint")).content, key).tree_size >= 0
        assert (await http.get("/pki/ca.pem")).text.startswith("-----BEGIN CERTIFICATE-----")
        openapi = (await http.get("/openapi.json")).json()
        assert openapi["openapi"].startswith("3.")


async def test_reflection_and_health_answer_for_the_whole_suite(world: World) -> None:
    async with grpc.aio.insecure_channel(world.suite.gateway) as channel:
        health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        async for answer in stub.ServerReflectionInfo(iter([request])):
            names = {service.name for service in answer.list_services_response.service}
    assert set(service_descriptors()) <= names


def frame(message: bytes) -> bytes:
    return b"\x00" + struct.pack(">I", len(message)) + message


def unframe(body: bytes) -> tuple[list[bytes], dict[str, str]]:
    """Return the messages and the trailers of a gRPC-Web body."""
    messages, trailers = [], {}
    while body:
        flag, size = body[0], struct.unpack(">I", body[1:5])[0]
        payload, body = body[5 : 5 + size], body[5 + size :]
        if flag & 0x80:
            lines = payload.decode().strip().split("\r\n")
            trailers = dict(line.split(":", 1) for line in lines)
        else:
            messages.append(payload)
    return messages, trailers


async def test_a_browser_calls_by_grpc_web(world: World) -> None:
    citizen = await world.citizen()
    path = "/qagazsyz.identity.v1.SubjectService/GetSubject"
    headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
    request = subjects_pb2.GetSubjectRequest(name=citizen.subject).SerializeToString()
    async with world.http() as http:
        answer = await http.post(
            path, content=frame(request), headers={**headers, **await world.headers(citizen)}
        )
        (message,), trailers = unframe(answer.content)
        assert trailers["grpc-status"].strip() == "0"
        assert subjects_pb2.Subject.FromString(message).name == citizen.subject
        refused = await http.post(path, content=frame(request), headers=headers)
    status = refused.headers.get("grpc-status")
    if status is None:
        _, trailers = unframe(refused.content)
        status = trailers["grpc-status"].strip()
    assert int(status) == grpc.StatusCode.UNAUTHENTICATED.value[0]


async def test_a_list_pages_with_opaque_tokens(world: World) -> None:
    for _ in range(3):
        await world.organization()
    stub = subjects_pb2_grpc.SubjectServiceStub(world.client(world.operator).channel)
    seen: list[str] = []
    token = ""
    while True:
        page = await stub.ListSubjects(
            subjects_pb2.ListSubjectsRequest(page_size=2, page_token=token)
        )
        assert len(page.subjects) <= 2
        seen += [subject.name for subject in page.subjects]
        token = page.next_page_token
        if not token:
            break
    assert len(seen) == len(set(seen)) >= 3


async def test_a_repeated_request_id_registers_nothing_twice(world: World) -> None:
    issuer, citizen = await world.officer(), await world.citizen()
    document_type = await world.document_type(issuer.organization)
    request = registration(issuer, document_type, citizen.subject)
    first = await world.documents(issuer).RegisterDocument(request)
    assert await world.documents(issuer).RegisterDocument(request) == first
    other = registration(issuer, document_type, citizen.subject)
    other.request_id = request.request_id
    try:
        await world.documents(issuer).RegisterDocument(other)
    except grpc.aio.AioRpcError as error:
        assert error.code() is grpc.StatusCode.ALREADY_EXISTS
    else:
        raise AssertionError("another body under the same request_id was taken")


async def test_in_a_batch_a_bad_item_costs_its_own_answer_only(world: World) -> None:
    issuer, citizen = await world.officer(), await world.citizen()
    document_type = await world.document_type(issuer.organization)
    good, bad, also_good = (registration(issuer, document_type, citizen.subject) for _ in range(3))
    bad.signatures[0].signature = with_last_bit_flipped(bad.signatures[0].signature)
    answer = await world.documents(issuer).BatchRegisterDocuments(
        documents_pb2.BatchRegisterDocumentsRequest(requests=[good, bad, also_good])
    )
    kinds = [result.WhichOneof("result") for result in answer.results]
    assert kinds == ["document", "error", "document"]
    assert answer.results[1].error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert "signatures[0]" in json.dumps(json_format.MessageToDict(answer.results[1]))
