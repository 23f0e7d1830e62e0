"""`qagazsyz up`: what it refuses, and what it passes on to its processes."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cli.errors import UNREACHABLE, Failure
from cli.operations import up
from cli.operations.data_folder import DataFolder


def test_a_port_in_use_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "PORT_SECONDS", 0.0)
    # As Envoy listens: with SO_REUSEPORT a second Envoy would share it.
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(Failure, match="another program") as caught:
            up.wait_for_port("127.0.0.1", port)
    assert caught.value.exit_code == UNREACHABLE
    up.wait_for_port("127.0.0.1", port)


def test_the_users_credential_is_not_passed_on_to_the_services(tmp_path: Path) -> None:
    plan = up.Plan(DataFolder(tmp_path), tmp_path, port=8080)
    programs = plan.programs({"QAGAZSYZ_CREDENTIAL": "operator.pem", "QAGAZSYZ_LOG_LEVEL": "debug"})
    assert {one.name for one in programs} == {
        "identity",
        "signing",
        "registry",
        "requests",
        "gateway",
    }
    for one in programs:
        assert "QAGAZSYZ_CREDENTIAL" not in one.environment
        assert one.environment["QAGAZSYZ_LOG_LEVEL"] == "debug"


def test_signing_processes_are_reached_through_private_sockets_only(tmp_path: Path) -> None:
    programs = up.Plan(DataFolder(tmp_path), tmp_path, port=8080, workers=3).programs({})
    listeners = [
        one.environment["QAGAZSYZ_LISTEN"] for one in programs if one.name.startswith("signing-")
    ]
    assert listeners == [f"unix:{tmp_path}/signing-{number}.sock" for number in range(3)]
    (gateway,) = (one.environment for one in programs if one.name == "gateway")
    assert gateway["QAGAZSYZ_GATEWAY_SIGNING"] == ",".join(listeners)


def test_a_host_name_to_listen_on_is_refused() -> None:
    with pytest.raises(Failure, match="IP address"):
        up.wait_for_port("localhost", 8080)


def test_messaging_is_started_only_where_an_smsc_is_named(tmp_path: Path) -> None:
    plan = up.Plan(DataFolder(tmp_path), tmp_path, port=8080)
    assert "messaging" not in [program.name for program in plan.programs({})]
    named = plan.programs({"QAGAZSYZ_SMPP_HOST": "smsc.example"})
    (messaging,) = (program for program in named if program.name == "messaging")
    assert messaging.environment["QAGAZSYZ_FOLDER"] == str(tmp_path / "messaging")
