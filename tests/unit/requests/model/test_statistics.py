"""Counts that tell nothing about a few, whatever is asked, added and subtracted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.requests.model.states import ServiceRequestChannel, ServiceRequestState
from services.requests.model.statistics import (
    PEOPLE_LIMIT,
    Cell,
    Dimension,
    Ended,
    count,
    rounded,
)

Channel = ServiceRequestChannel
MONTHS = ["2026-09", "2026-10"]
SERVICES = {
    "publicServices/a": "subjects/p",
    "publicServices/b": "subjects/p",
    "publicServices/c": "subjects/q",
}
GROUPINGS: list[tuple[Dimension, ...]] = [
    (),
    *((one,) for one in Dimension),
    *combinations(Dimension, 2),
]
SPANS = [MONTHS[:1], MONTHS[1:], MONTHS]


def ended(
    person: int,
    service: str = "publicServices/a",
    channel: Channel = Channel.API,
    **changes: object,
) -> Ended:
    values = {
        "request": f"serviceRequests/{person}",
        "revision": 3,
        "public_service": service,
        "provider": SERVICES[service],
        "month": MONTHS[0],
        "channel": channel,
        "applicant": f"subjects/{person}",
        "state": ServiceRequestState.ISSUED,
        "is_electronic": channel is not Channel.OFFICE,
        "is_in_time": True,
        "looked_up": 1,
        "seconds": 60,
    }
    return Ended(**values | changes)  # type: ignore[arg-type]


def cells_of(many: Sequence[Ended]) -> list[Cell]:
    """What the store reads of these, as it is defined; tests/unit/requests/statistics compares."""
    found: dict[tuple[object, ...], list[Ended]] = defaultdict(list)
    for one in many:
        found[one.public_service, one.provider, one.month, one.channel].append(one)
    return [
        Cell(
            public_service=group[0].public_service,
            provider=group[0].provider,
            month=group[0].month,
            channel=group[0].channel,
            people=len({one.applicant for one in group}),
            ended=len(group),
            electronic=sum(one.is_electronic for one in group),
            in_time=sum(one.is_in_time for one in group),
            refused=sum(one.state is ServiceRequestState.REFUSED for one in group),
            looked_up=sum(one.looked_up for one in group),
            seconds={
                each: [one.seconds for one in group].count(each)
                for each in {one.seconds for one in group}
            },
        )
        for group in found.values()
    ]


def told(
    many: Sequence[Ended], months: Sequence[str], group_by: Sequence[Dimension]
) -> list[frozenset[str]]:
    """The people behind each group of an answer, as many as the answer counts: each has one
    request here."""
    cells = [cell for cell in cells_of(many) if cell.month in months]
    counted = [cell for cell in cells if cell.is_large_enough]
    groups: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for one in many:
        for cell in counted:
            key = (one.public_service, one.provider, one.month, one.channel)
            if key == (cell.public_service, cell.provider, cell.month, cell.channel):
                groups[tuple(cell.value(each) for each in group_by)].add(one.applicant)
    answers = count(cells, group_by)
    assert [tuple(each.group.values()) for each in answers] == sorted(groups)
    for each in answers:
        assert each.ended == len(groups[tuple(each.group.values())])
    return [frozenset(groups[tuple(each.group.values())]) for each in answers]


@st.composite
def many_ended(draw: st.DrawFn) -> list[Ended]:
    """Cells of few people and of some more, of each service, channel and month."""
    found: list[Ended] = []
    for service in SERVICES:
        for channel in (Channel.API, Channel.OFFICE, Channel.SMS):
            for month in MONTHS:
                for _ in range(draw(st.sampled_from([0, 1, 2, 4, 5, 6, 9]))):
                    found.append(ended(len(found), service, channel, month=month))
    return found


@settings(max_examples=30)
@given(many=many_ended())
def test_no_two_answers_differ_by_fewer_than_five_people(many: list[Ended]) -> None:
    """Each person here has one request, so that people in one answer and not in another are what
    subtracting the two tells about."""
    groups = {
        people
        for months in SPANS
        for group_by in GROUPINGS
        for people in told(many, months, group_by)
    }
    for one, other in combinations([frozenset[str](), *groups], 2):
        for difference in (one - other, other - one):
            assert not 0 < len(difference) < PEOPLE_LIMIT


@settings(max_examples=30)
@given(many=many_ended())
def test_groups_that_belong_together_subtract_to_five_people_or_none(many: list[Ended]) -> None:
    """Also what remains of a total when groups of other answers are taken away."""
    by_service_and_channel = told(many, MONTHS, (Dimension.PUBLIC_SERVICE, Dimension.CHANNEL))
    for total in told(many, MONTHS, (Dimension.CHANNEL,)) + told(many, MONTHS, ()):
        rest = total
        for group in by_service_and_channel:
            rest = rest - group if group <= total else rest
            assert len(rest) == 0 or len(rest) >= PEOPLE_LIMIT


def test_leaving_out_small_groups_of_one_answer_would_tell_a_group_of_four() -> None:
    """Why cells are left out of totals: provider p's office minus service b's would be a's four."""
    many = [
        *(ended(number) for number in range(100)),
        *(ended(number, channel=Channel.OFFICE) for number in range(100, 104)),
        *(ended(number, "publicServices/b") for number in range(200, 400)),
        *(ended(number, "publicServices/b", Channel.OFFICE) for number in range(400, 405)),
    ]
    by_provider = count(cells_of(many), (Dimension.PROVIDER, Dimension.CHANNEL))
    by_service = count(cells_of(many), (Dimension.PUBLIC_SERVICE, Dimension.CHANNEL))
    office_of_provider = next(each for each in by_provider if each.group["channel"] == "office")
    office_of_b = next(each for each in by_service if each.group["channel"] == "office")
    assert office_of_provider.ended == office_of_b.ended == 5


def test_five_requests_of_one_person_are_one_person() -> None:
    assert count(cells_of([ended(1) for _ in range(9)]), ()) == []


def test_counts_are_of_what_is_said() -> None:
    many = [
        *(ended(number, seconds=100 * number) for number in range(1, 21)),
        *(
            ended(
                number,
                channel=Channel.PROACTIVE,
                state=ServiceRequestState.REFUSED,
                is_in_time=False,
                looked_up=2,
                is_electronic=False,
            )
            for number in range(100, 105)
        ),
    ]
    (all_,) = count(cells_of(many), ())
    assert (all_.ended, all_.electronic, all_.proactive) == (25, 20, 5)
    assert (all_.in_time, all_.refused, all_.looked_up) == (20, 5, 30)
    api, proactive = count(cells_of(many), (Dimension.CHANNEL,))
    # Nearest rank.
    assert (api.p50_seconds, api.p90_seconds) == (1_000, 1_800)
    assert (proactive.p50_seconds, proactive.p90_seconds) == (None, None)
    assert dict(proactive.group) == {"channel": "proactive"}


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-1, 0), (0.4, 0), (999, 999), (1_234, 1_230), (98_765_432, 98_800_000)],
)
def test_durations_have_three_digits(seconds: float, expected: int) -> None:
    assert rounded(seconds) == expected
