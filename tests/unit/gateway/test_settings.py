"""The gateway's settings and addresses."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.settings import Address, GatewaySettings


def settings(**changed: str) -> GatewaySettings:
    given = {
        "identity": "127.0.0.1:1",
        "signing": "127.0.0.1:2",
        "registry": "127.0.0.1:3",
        "requests": "127.0.0.1:4",
    }
    return GatewaySettings(folder=Path("x"), **(given | changed))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:/run/a.sock", Address(path="/run/a.sock")),
        ("unix:///run/a.sock", Address(path="/run/a.sock")),
        ("127.0.0.1:50051", Address(host="127.0.0.1", port=50051)),
        ("[::1]:50051", Address(host="::1", port=50051)),
        ("http://collector:4317", Address(host="collector", port=4317)),
    ],
)
def test_addresses_are_written_as_grpc_writes_them(text: str, address: Address) -> None:
    assert Address.parse(text) == address


@pytest.mark.parametrize("text", ["", "50051", "host:", ":1", "host:99999", "unix:"])
def test_malformed_addresses_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"neither|path"):
        Address.parse(text)


def test_several_addresses_stand_with_commas_in_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("QAGAZSYZ_GATEWAY_FOLDER", "x")
    monkeypatch.setenv("QAGAZSYZ_GATEWAY_IDENTITY", "10.0.0.1:1")
    monkeypatch.setenv("QAGAZSYZ_GATEWAY_SIGNING", "10.0.0.2:1, 10.0.0.3:1")
    monkeypatch.setenv("QAGAZSYZ_GATEWAY_REGISTRY", "10.0.0.4:1")
    monkeypatch.setenv("QAGAZSYZ_GATEWAY_REQUESTS", "10.0.0.5:1")
    found = GatewaySettings()  # type: ignore[call-arg]
    assert found.signing == ("10.0.0.2:1", "10.0.0.3:1")


@pytest.mark.parametrize(
    "changed",
    [
        {"signing": ""},
        {"signing": "signing:1,127.0.0.1:2"},
        {"listen": "gateway:8080"},
        {"trace_sample_ratio": "2"},
        {"rate_limit": "0"},
    ],
)
def test_settings_that_cannot_work_are_refused(changed: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        settings(**changed)


def test_every_setting_has_a_description() -> None:
    assert all(field.description for field in GatewaySettings.model_fields.values())
