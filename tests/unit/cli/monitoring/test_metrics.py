"""What a monitor serves to Prometheus."""

from __future__ import annotations

from http.client import HTTPConnection

import pytest

from cli.errors import Failure
from cli.monitoring.metrics import exposition, serving_metrics
from cli.monitoring.watch import Seen


def test_each_log_has_its_samples() -> None:
    well = Seen(tree_size=40, consistent_time=1_764_280_000.5, consistent=7)
    forked = Seen(alarm="FORK", suspicious=2, cosigned_times={'w"1': 1_764_279_999})
    lines = exposition({"a.example": well, "b.example": forked}).splitlines()
    assert 'qagazsyz_log_alarm{log="a.example"} 0' in lines
    assert 'qagazsyz_log_alarm{log="b.example"} 1' in lines
    assert 'qagazsyz_log_tree_size{log="a.example"} 40' in lines
    assert 'qagazsyz_log_consistent_timestamp_seconds{log="a.example"} 1764280000.5' in lines
    assert 'qagazsyz_log_looks_total{log="b.example",found="suspicious"} 2' in lines
    times = 'qagazsyz_log_cosigned_timestamp_seconds{log="b.example",witness="w\\"1"} 1764279999'
    assert times in lines


def fetch(url: str) -> tuple[int, bytes]:
    address, _, path = url.removeprefix("http://").partition("/")
    connection = HTTPConnection(address, timeout=30)
    connection.request("GET", f"/{path}")
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_metrics_are_served_as_they_are_now() -> None:
    seen = Seen()
    with serving_metrics("127.0.0.1:0", {"a.example": seen}) as url:
        seen.tree_size = 3
        status, body = fetch(url)
        assert status == 200
        assert b'qagazsyz_log_tree_size{log="a.example"} 3\n' in body
        assert fetch(url.replace("metrics", "other")) == (404, b"")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000"])
def test_an_address_that_cannot_be_served_is_refused(address: str) -> None:
    with pytest.raises(Failure), serving_metrics(address, {}):
        pass
