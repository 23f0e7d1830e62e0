"""`qagazsyz log follow` against a log that answers by gRPC what a test wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from google.api import httpbody_pb2

from cli.commands.log import follow
from cli.errors import CHECK_FAILED, UNREACHABLE, Failure
from cli.monitoring.followed import Refused
from qagazsyz.registry.v1 import log_pb2, log_pb2_grpc
from tests.unit.cli.monitoring.shown_log import ENTRIES, OTHER, VERIFIER, ShownLog, checkpoint


class Service(log_pb2_grpc.LogServiceServicer):
    """The methods that a monitor without witnesses calls."""

    def __init__(self, shown: ShownLog) -> None:
        self.shown = shown

    def GetCheckpoint(
        self, _request: log_pb2.GetCheckpointRequest, _context: grpc.ServicerContext
    ) -> httpbody_pb2.HttpBody:
        return httpbody_pb2.HttpBody(data=self.shown.newest())

    def GetLogKey(
        self, _request: log_pb2.GetLogKeyRequest, _context: grpc.ServicerContext
    ) -> httpbody_pb2.HttpBody:
        return httpbody_pb2.HttpBody(data=f"{VERIFIER}\n".encode())

    def GetConsistencyProof(
        self, request: log_pb2.GetConsistencyProofRequest, context: grpc.ServicerContext
    ) -> log_pb2.ConsistencyProof:
        try:
            path = self.shown.prove(request.first_size, request.second_size)
        except Refused as refused:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(refused))
        return log_pb2.ConsistencyProof(path=path)

    def GetTile(
        self, _request: log_pb2.GetTileRequest, _context: grpc.ServicerContext
    ) -> httpbody_pb2.HttpBody:
        raise NotImplementedError

    def GetCosignedCheckpoint(
        self, _request: log_pb2.GetCosignedCheckpointRequest, _context: grpc.ServicerContext
    ) -> httpbody_pb2.HttpBody:
        raise NotImplementedError

    def AddCosignature(
        self, _request: log_pb2.AddCosignatureRequest, _context: grpc.ServicerContext
    ) -> log_pb2.AddCosignatureResponse:
        raise NotImplementedError


@pytest.fixture
def shown() -> ShownLog:
    return ShownLog(ENTRIES[:30])


@pytest.fixture
def gateway(shown: ShownLog) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(2))
    log_pb2_grpc.add_LogServiceServicer_to_server(Service(shown), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.fixture
def check(gateway: str, tmp_path: Path) -> Callable[[], None]:
    def check() -> None:
        follow(tmp_path / "state", once=True, every=0.1, gateway=gateway, metrics="")

    check()
    return check


@pytest.mark.parametrize("leaves", [ENTRIES[:20], OTHER[:20], OTHER[:30], OTHER])
def test_it_ends_with_1_and_both_notes_on_a_roll_back_and_on_forks(
    leaves: list[bytes], check: Callable[[], None], shown: ShownLog, tmp_path: Path
) -> None:
    shown.leaves = leaves
    with pytest.raises(Failure) as failure:
        check()
    assert failure.value.exit_code == CHECK_FAILED
    evidence = (tmp_path / "state.fork").read_bytes()
    assert evidence == checkpoint(ENTRIES[:30]) + b"\n" + checkpoint(leaves)


def test_it_ends_with_1_on_a_withheld_proof(check: Callable[[], None], shown: ShownLog) -> None:
    shown.leaves, shown.proof_failure = ENTRIES, Refused("withheld")
    with pytest.raises(Failure, match="refuses the proof") as failure:
        check()
    assert failure.value.exit_code == CHECK_FAILED


def test_an_unreachable_log_is_no_fork(
    gateway: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow(tmp_path / "state", once=True, every=0.1, gateway=gateway)
    monkeypatch.setattr("qagazsyz.client.FIRST_PAUSE_SECONDS", 0.001)
    nobody = tmp_path / "nobody.sock"
    with pytest.raises(Failure) as failure:
        follow(tmp_path / "state", once=True, every=0.1, gateway=f"unix:{nobody}")
    assert failure.value.exit_code == UNREACHABLE
    assert not (tmp_path / "state.fork").exists()


def test_several_logs_are_followed_each_with_a_state_of_its_own(
    gateway: str, tmp_path: Path
) -> None:
    listed = tmp_path / "logs"
    listed.write_text(f"# one\n{VERIFIER} {gateway} {gateway} # twice\n")
    follow(tmp_path / "states", logs=listed, once=True, every=0.1)
    (state,) = (tmp_path / "states").iterdir()
    assert state.name == f"log.test.example-{VERIFIER.id.hex()}"


@pytest.mark.parametrize("text", ["", "no key\n", f"{VERIFIER}\n", f"{VERIFIER} a\n{VERIFIER} b\n"])
def test_a_list_that_cannot_be_read_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "logs").write_text(text)
    with pytest.raises(Failure):
        follow(tmp_path / "states", logs=tmp_path / "logs", once=True)
