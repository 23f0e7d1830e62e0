"""One trace from the gateway through every service to the SQL statement."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Mapping, Sequence, Set

from typer.testing import CliRunner

from cli.main import tool
from cli.operations.traces import Span, in_order, read_spans
from qagazsyz.client import Client
from qagazsyz.registry.v1 import documents_pb2_grpc
from tests.integration.world import TIMEOUT_SECONDS, World, registration

DEADLINE_SECONDS = 30.0


def is_whole(spans: Sequence[Span], caller: str, services: Set[str]) -> bool:
    """Return whether the trace has spans of every service and the parent of every span.

    Each process, and each of Envoy's workers, exports on its own, so that some of the gateway's
    spans may arrive before others.
    """
    known = {span.span_id for span in spans} | {caller}
    return services <= {short(span.service) for span in spans} and known.issuperset(
        span.parent_id for span in spans
    )


async def spans_of(world: World, trace_id: str, *services: str) -> list[Span]:
    """Wait until every service has exported its part of a trace; return its spans."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            found = [
                span
                for span in read_spans(world.suite.data / "traces")
                if span.trace_id == trace_id
            ]
            if is_whole(found, caller_of(trace_id), set(services)):
                return found
            await asyncio.sleep(0.1)


def short(service: str) -> str:
    return service.removeprefix("qagazsyz-")


def caller_of(trace_id: str) -> str:
    """Return the id of the caller's own span, which is not exported."""
    return trace_id[:16]


async def traced_registration(world: World) -> str:
    """Register a document through the gateway; return the id of its trace."""
    issuer, citizen = await world.officer(), await world.citizen()
    document_type = await world.document_type(issuer.organization)
    trace_id = uuid.uuid4().hex

    def headers() -> Mapping[str, str]:
        return {"traceparent": f"00-{trace_id}-{caller_of(trace_id)}-01"}

    credential, organization = issuer.credential, issuer.organization
    async with Client(
        world.suite.gateway, credential, organization=organization, trace_headers=headers
    ) as client:
        stub = documents_pb2_grpc.DocumentServiceStub(client.channel)
        request = registration(issuer, document_type, citizen.subject)
        await stub.RegisterDocument(request, timeout=TIMEOUT_SECONDS)
    return trace_id


async def test_one_trace_goes_from_the_gateway_to_the_sql_statement(world: World) -> None:
    trace_id = await traced_registration(world)
    spans = await spans_of(world, trace_id, "gateway", "registry", "signing", "identity")
    by_id = {span.span_id: span for span in spans}
    register = next(
        span
        for span in spans
        if span.service == "qagazsyz-registry" and span.name.endswith("/RegisterDocument")
    )
    assert short(by_id[register.parent_id].service) == "gateway"
    below = [span for span in spans if reaches(span, register, by_id)]
    services = {short(span.service) for span in below}
    assert {"registry", "signing", "identity"} <= services
    statements = [span for span in below if "db.query.text" in span.attributes]
    assert {"qagazsyz-registry", "qagazsyz-identity"} <= {span.service for span in statements}


def reaches(span: Span, ancestor: Span, by_id: Mapping[str, Span]) -> bool:
    while span.span_id != ancestor.span_id:
        if span.parent_id not in by_id:
            return False
        span = by_id[span.parent_id]
    return True


async def test_the_tool_shows_the_same_trace_as_a_waterfall(world: World) -> None:
    trace_id = await traced_registration(world)
    spans = await spans_of(world, trace_id, "gateway", "registry", "signing", "identity")
    data = ["--data", str(world.suite.data)]
    shown = CliRunner().invoke(tool, ["traces", trace_id[:12], *data, "--json"])
    assert shown.exit_code == 0
    lines = [json.loads(line) for line in shown.stdout.splitlines()]
    assert len(lines) >= len(spans)
    assert lines[0]["depth"] == 0 == in_order(spans)[0][1]
    listed = CliRunner().invoke(tool, ["traces", *data, "--json", "--limit", "50"])
    assert trace_id in listed.stdout
    missing = CliRunner().invoke(tool, ["traces", "ffffffffffff", *data])
    assert missing.exit_code != 0
