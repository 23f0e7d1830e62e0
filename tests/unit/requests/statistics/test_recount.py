"""The statistics, counted again by an auditor from what the log committed to, and from nothing of
the service's own tables."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from qagazsyz.requests.v1 import service_requests_pb2 as pb
from qagazsyz.requests.v1 import statistics_pb2
from tests.calls import call
from tests.unit.requests.world import CERTIFICATE, World

PEOPLE = 5


def recount(log: Mapping[tuple[str, int], bytes], group_by: list[str]) -> dict[str, dict[str, int]]:
    """Count as docs/requests.md says, from the openings of entries alone."""
    ends: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for (request, _), change in sorted(log.items()):
        members = json.loads(change)
        if "ended" in members:
            ends[request].append(members["ended"] | {"state": members["state"]})
        if members["action"] == "record_output":
            ends[request][-1]["electronic"] = False
    cells: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for ended in (one for many in ends.values() for one in many):
        cells[ended["public_service"], ended["month"], ended["channel"]].append(ended)
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for cell in cells.values():
        if len({ended["applicant"] for ended in cell}) < PEOPLE:
            continue
        for ended in cell:
            counts = found[" ".join(ended[name] for name in group_by)]
            counts["ended"] += 1
            counts["electronic"] += ended["electronic"]
            counts["in_time"] += ended["in_time"]
            counts["refused"] += ended["state"] == "refused"
            counts["looked_up"] += ended["looked_up"]
    return {name: dict(counts) for name, counts in found.items()}


async def test_an_auditor_counts_the_same_from_the_log(world: World) -> None:
    by_rule = await world.offered(world.by_rule())
    by_officer = await world.offered(world.definition(), "decided")
    stub = world.parts.service_requests
    for number in range(6):
        await world.submitted(by_rule, world.platform.person())
        person = world.platform.person()
        request = await world.submitted(by_officer, person)
        if number == 0:
            await stub.WithdrawServiceRequest(
                pb.WithdrawServiceRequestRequest(name=request.name), world.citizen(person)
            )
            continue
        await stub.AcceptServiceRequest(
            pb.AcceptServiceRequestRequest(name=request.name), world.as_officer()
        )
        # Half of them too late, and one handed over on paper.
        world.clock.move(days=3 * (number % 2))
        world.platform.documents[person, CERTIFICATE] = f"documents/{number}"
        await stub.CompleteServiceRequest(
            pb.CompleteServiceRequestRequest(name=request.name, document=f"documents/{number}"),
            world.as_officer(),
        )
        if number == 3:
            await stub.RecordPaper(
                pb.RecordPaperRequest(name=request.name, output=True), world.as_officer()
            )
    # Four at the office, whom no count tells of.
    for _ in range(4):
        person = world.platform.person()
        world.has_address(person)
        wanted = pb.ServiceRequest(public_service=by_rule.name, applicant=person)
        draft = await stub.CreateServiceRequest(
            pb.CreateServiceRequestRequest(service_request=wanted), world.as_officer()
        )
        await stub.SubmitServiceRequestAtOffice(
            pb.SubmitServiceRequestAtOfficeRequest(
                name=draft.name, signature=world.sign(world.officer, draft.statement)
            ),
            world.as_officer(),
        )
    await world.parts.telling.tell()
    world.clock.now = datetime(2026, 12, 3, tzinfo=UTC)
    for group_by in ([], ["public_service"], ["channel", "month"], ["provider", "public_service"]):
        answer = await world.parts.statistics.ComputeServiceStatistics(
            statistics_pb2.ComputeServiceStatisticsRequest(group_by=group_by), call()
        )
        given = {
            " ".join(each.group[name] for name in group_by): {
                "ended": each.ended_count,
                "electronic": each.electronic_count,
                "in_time": each.in_time_count,
                "refused": each.refused_count,
                "looked_up": each.looked_up_count,
            }
            for each in answer.groups
        }
        assert given == recount(world.platform.log, group_by)
        assert sum(each["ended"] for each in given.values()) == 12
