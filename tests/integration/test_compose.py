"""The suite as compose.yaml runs it, on PostgreSQL, without containers.

tests/integration/compose.py says what that leaves out.
"""

from __future__ import annotations

import itertools
import subprocess
import time
from collections.abc import Iterator

import httpx
import pytest

from testing.postgres import Postgres
from testing.suite_process import RunningSuite
from tests.integration import compose
from tests.integration.compose import SERVICES, Composition, Entry
from tests.integration.world import World

OURS = ("init", *SERVICES, "messaging", "gateway")
# On a busy machine a process takes many seconds to import and migrate.
HEALTHY_SECONDS = 120.0
POLL_SECONDS = 0.05


@pytest.fixture(scope="module")
def composition(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres
) -> Iterator[Composition]:
    """Do what `docker compose run init` and `docker compose up --wait` do."""
    folder = tmp_path_factory.mktemp("compose")
    made = Composition(folder, compose.build(folder), postgres)
    # In a folder that the server's user can read, and by --file, as the image's entry point does.
    script = postgres.folder / "databases.sql"
    script.write_text(made.file["configs"]["databases"]["content"])
    script.chmod(0o644)
    psql(postgres, "qagazsyz", "postgres", "--file", str(script))
    (init,) = made.entries("init")
    subprocess.run(init.command, env=init.environment, cwd="/", check=True, capture_output=True)
    running: list[Entry] = []
    try:
        # All at once, which is harder than in the order that the health checks enforce.
        for name in (*SERVICES, "gateway"):
            for entry in made.entries(name):
                entry.start()
                running.append(entry)
        for entry in running:
            wait_until_healthy(entry)
        yield made
    finally:
        codes = [entry.stop() for entry in reversed(running)]
    assert codes == [0] * len(codes), "every process ends cleanly on SIGTERM"


def wait_until_healthy(entry: Entry) -> None:
    deadline = time.monotonic() + HEALTHY_SECONDS
    while not (entry.listens() and entry.is_healthy()):
        assert entry.is_running(), entry.log.read_text()
        assert time.monotonic() < deadline, entry.log.read_text()
        time.sleep(POLL_SECONDS)


async def test_the_composed_suite_is_ready_and_registers_a_document(
    composition: Composition,
) -> None:
    (port,) = composition.ports["gateway"]
    world = World(RunningSuite(composition.data, port))
    try:
        async with world.http() as http:
            assert (await http.get("/readyz")).status_code == httpx.codes.OK
        issuer, citizen = await world.officer(), await world.citizen()
        document_type = await world.document_type(issuer.organization)
        document = await world.register(issuer, document_type, citizen.subject, b"content")
        assert document.name.startswith("documents/")
    finally:
        await world.close()
    assert not list(composition.data.rglob("*.db")), "everything is in PostgreSQL"


def test_a_service_cannot_connect_to_anothers_database(composition: Composition) -> None:
    for service, other in itertools.product(SERVICES, SERVICES):
        if service == other:
            psql(composition.postgres, service, other, "--command", "SELECT 1")
        else:
            with pytest.raises(subprocess.CalledProcessError, match="psql"):
                psql(composition.postgres, service, other, "--command", "SELECT 1")


def psql(postgres: Postgres, user: str, database: str, *arguments: str) -> None:
    to = ["--host", str(postgres.folder), "--username", user, "--dbname", database]
    postgres.run("psql", *to, "--set", "ON_ERROR_STOP=1", *arguments)


def test_each_container_mounts_its_own_secrets_only() -> None:
    services = compose.load()["services"]
    for name in (*SERVICES, "messaging", "gateway"):
        assert services[name]["volumes"] == [f"{name}:/data/{name}"]
    assert services["postgres"]["volumes"] == ["postgres:/var/lib/postgresql/data"]
    for name in ("collector", "jaeger"):
        assert "volumes" not in services[name]


def test_our_containers_are_one_image_confined_and_gated_by_health() -> None:
    services = compose.load()["services"]
    for name in OURS:
        service = services[name]
        assert service["image"] == services["identity"]["image"]
        assert service["user"] == "10001:10001"
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
    for name in (*SERVICES, "gateway", "postgres"):
        assert services[name]["healthcheck"]["test"]
        for gate in services[name].get("depends_on", {}).values():
            assert gate["condition"] == "service_healthy"
    assert services["signing"]["deploy"]["replicas"] == 2
    # Started only on request.
    assert {name for name in services if services[name].get("profiles")} == {
        "init", "messaging", "collector", "jaeger",
    }  # fmt: skip
