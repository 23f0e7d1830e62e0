"""The house rules that a machine can hold: imports run downwards, and each room keeps to its role.

One test a row of the dialect's table in docs/architecture.md.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor

from services.runtime.descriptors import service_descriptors

ROOT = Path(__file__).parents[2]

BELOW_CLI = ("phones", "gateway", "services", "signatures", "sms", "qagazsyz")
# A package may import those named behind it, and itself.
MAY_IMPORT = {
    "client/qagazsyz": {"qagazsyz"},
    "signatures": {"signatures", "qagazsyz"},
    "sms": {"sms"},
    # The simulator shares the wire format with the platform, and nothing else.
    "phones": {"phones", "sms"},
    "services/runtime": {"services.runtime", "qagazsyz"},
    "services/identity": {"services.identity", "services.runtime", "signatures", "qagazsyz"},
    "services/signing": {"services.signing", "services.runtime", "signatures", "sms", "qagazsyz"},
    "services/registry": {"services.registry", "services.runtime", "signatures", "qagazsyz"},
    "services/requests": {"services.requests", "services.runtime", "signatures", "qagazsyz"},
    "services/messaging": {"services.messaging", "services.runtime", "sms", "qagazsyz"},
    "gateway": {"gateway", "services", "signatures", "qagazsyz"},
    "cli": {"cli", *BELOW_CLI},
    "testing": {"testing", "cli", *BELOW_CLI},
    "demo": {"demo", "testing", "cli", *BELOW_CLI},
    "benchmarks": {"benchmarks", "testing", "cli", *BELOW_CLI},
}
OURS = ("cli", "testing", "demo", "benchmarks", *BELOW_CLI)
SERVICES = ("identity", "signing", "registry", "messaging", "requests")

# Within a service: a room may import those named behind it, and itself.
ROOMS = {
    "identity": {
        "x509": set(),
        "validation": {"x509"},
        "events": set(),
        "subjects": {"events"},
        "certificates": {"events", "subjects", "validation", "x509"},
        "authority": {"certificates", "x509"},
        "tokens": {"certificates", "subjects", "validation", "x509"},
        "phones": {"certificates", "events", "subjects", "validation", "x509"},
    },
    "signing": {
        "keys": set(),
        "verification": {"keys"},
        "sims": set(),
        "mobile": {"sims"},
        "exchange": {"mobile", "sims", "verification"},
        "by_phone": {"mobile", "sims"},
    },
    "messaging": {
        "privacy": set(),
        "sms": set(),
        "smpp": {"sms"},
        "outbox": {"smpp", "sms", "privacy"},
        "inbox": {"smpp", "sms", "privacy"},
    },
    "requests": {
        "model": set(),
        "privacy": set(),
        "public_services": {"model"},
        "statistics": {"model"},
        "service_requests": {"public_services", "statistics", "privacy", "model"},
    },
    "registry": {
        "log": set(),
        "contents": set(),
        "model": {"log"},
        "documents": {"model", "log", "contents"},
        "lookups": {"documents", "model", "log", "contents"},
        "identity_events": {"model", "log"},
        "witnessing": {"log"},
        "delegation": {"lookups", "documents", "model", "log", "contents"},
        "consent_requests": {"delegation", "lookups", "documents", "model", "log", "contents"},
        "audit": {
            "delegation",
            "identity_events",
            "lookups",
            "documents",
            "model",
            "log",
            "contents",
        },
    },
}
# Modules that translate between the contract's messages and the domain.
TRANSLATORS = {"messages", "requests", "clients", "response_encoding", "receipts"}
# Modules side by side in one folder; a folder that needs a guide is two folders.
MODULES_LIMIT = 13


def sources(folder: str) -> list[Path]:
    """The Python files of a package, without what is generated or built."""
    return [
        path
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "v1" not in path.parts and "target" not in path.parts
    ]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where things come from"
            # "from services import identity" names services.identity.
            base = node.module or ""
            yield from (f"{base}.{alias.name}" for alias in node.names)


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def is_within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def is_servicer(path: Path) -> bool:
    return path.stem == "servicer" or path.stem.endswith("_servicer")


def is_store(path: Path) -> bool:
    return path.stem in ("store", "tables", "seed") or "migrations" in path.parts


def is_main(path: Path) -> bool:
    return path.stem in ("main", "health")


def wrong_imports(service: str, check: object) -> list[str]:
    assert callable(check)
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(f"services/{service}")
        for name in imports(path)
        if check(path, name)
    ]


# --- Direction ------------------------------------------------------------------------------------


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_run_downwards_only(package: str) -> None:
    allowed = MAY_IMPORT[package]
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(package)
        for name in imports(path)
        if name.split(".")[0] in (*OURS, "tests")
        and not any(is_within(name, prefix) for prefix in allowed)
    ]
    assert wrong == []


@pytest.mark.parametrize("service", SERVICES)
def test_rooms_of_a_service_import_downwards_only(service: str) -> None:
    prefix = f"services.{service}"

    def is_upwards(path: Path, name: str) -> bool:
        room = path.relative_to(ROOT / "services" / service).parts[0]
        if room not in ROOMS[service] or not is_within(name, prefix):
            return False
        # The ground of a service: its schema, what the stores of all its rooms share, its pools.
        allowed = {room, *ROOMS[service][room]} | {"tables", "store", "settings", "worker_pools"}
        return name.split(".")[2] not in allowed

    assert wrong_imports(service, is_upwards) == []


@pytest.mark.parametrize(
    "package", ["signatures", "sms", "phones", *(f"services/{each}" for each in SERVICES)]
)
def test_modules_import_in_no_circle(package: str) -> None:
    modules = {module_of(path): path for path in sources(package)}
    graph = {
        module: {
            target
            for name in imports(path)
            for target in (name, name.rpartition(".")[0])
            if target in modules and target != module
        }
        for module, path in modules.items()
    }
    while leaves := {module for module, targets in graph.items() if not targets}:
        graph = {module: targets - leaves for module, targets in graph.items() if targets}
    assert graph == {}


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("signatures", ("grpc", "sqlalchemy")),
        ("sms", ("grpc", "sqlalchemy", "asyncio")),
        ("phones", ("grpc", "sqlalchemy")),
        ("client/qagazsyz", ("sqlalchemy",)),
    ],
)
def test_libraries_know_nothing_of_what_uses_them(package: str, forbidden: tuple[str, ...]) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(package)
        for name in imports(path)
        if name.split(".")[0] in forbidden
    ]
    assert wrong == []


def test_no_folder_is_a_hall() -> None:
    halls = {
        str(folder.relative_to(ROOT)): len(modules)
        for package in ("services", "signatures", "sms", "phones", "gateway", "client/qagazsyz")
        for folder in {path.parent for path in sources(package)}
        if "versions" not in folder.parts
        and len(modules := [path for path in folder.glob("*.py") if path.stem != "__init__"])
        > MODULES_LIMIT
    }
    assert halls == {}


# --- The dialect, row by row ----------------------------------------------------------------------


@pytest.mark.parametrize("service", SERVICES)
def test_servicers_are_named_alike(service: str) -> None:
    """A class XServicer for each service of the contract, in a file named servicer."""
    for path in sources(f"services/{service}"):
        classes = [
            node.name
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        ]
        servicers = [name for name in classes if name.endswith("Servicer")]
        assert bool(servicers) == is_servicer(path), path
        # What a state does for people is a noun of the domain, and serves no calls.
        named = [name for name in classes if name.endswith("Service") and name != "PublicService"]
        assert not named, path


@pytest.mark.parametrize("service", SERVICES)
def test_servicers_hold_no_sql_and_know_no_other_servicer(service: str) -> None:
    def is_wrong(path: Path, name: str) -> bool:
        if not is_servicer(path):
            return False
        sql = is_within(name, "sqlalchemy") and name != "sqlalchemy.ext.asyncio.AsyncConnection"
        return sql or any(part.endswith("servicer") for part in name.lower().split("."))

    assert wrong_imports(service, is_wrong) == []


@pytest.mark.parametrize("service", SERVICES)
def test_sql_stands_in_stores_only(service: str) -> None:
    """Everything else may pass a connection on, and do nothing with it."""

    def is_wrong(path: Path, name: str) -> bool:
        return (
            is_within(name, "sqlalchemy")
            and name != "sqlalchemy.ext.asyncio.AsyncConnection"
            and not is_store(path)
            and not is_main(path)
        )

    assert wrong_imports(service, is_wrong) == []


@pytest.mark.parametrize("service", SERVICES)
def test_rules_know_no_database(service: str) -> None:
    def is_wrong(path: Path, name: str) -> bool:
        return (path.stem == "rules" or path.parent.name == "model") and (
            is_within(name, "sqlalchemy") or "services.runtime.storage" in name
        )

    assert wrong_imports(service, is_wrong) == []


@pytest.mark.parametrize("service", SERVICES)
def test_grpc_and_the_contracts_messages_stay_at_the_edge(service: str) -> None:
    """The domain knows neither gRPC nor the contract's messages and enums."""

    def is_wrong(path: Path, name: str) -> bool:
        at_the_edge = is_servicer(path) or is_main(path) or path.stem in TRANSLATORS
        return not at_the_edge and (is_within(name, "grpc") or "_pb2" in name)

    assert wrong_imports(service, is_wrong) == []


@pytest.mark.parametrize("service", SERVICES)
def test_stores_are_functions_on_a_connection(service: str) -> None:
    for path in sources(f"services/{service}"):
        if path.stem != "store":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                methods = [
                    each.name for each in node.body if isinstance(each, ast.AsyncFunctionDef)
                ]
                assert methods == [], f"{path}: {node.name}"


@pytest.mark.parametrize("service", SERVICES)
def test_tables_stand_in_tables_py(service: str) -> None:
    def is_wrong(path: Path, name: str) -> bool:
        elsewhere = path.stem != "tables" and "migrations" not in path.parts
        return elsewhere and name in ("sqlalchemy.Column", "sqlalchemy.MetaData")

    assert (ROOT / "services" / service / "tables.py").is_file()
    assert wrong_imports(service, is_wrong) == []


@pytest.mark.parametrize("service", SERVICES)
def test_main_closes_what_it_opened(service: str) -> None:
    tree = ast.parse((ROOT / "services" / service / "main.py").read_text())
    (serve,) = (
        node
        for node in tree.body
        if isinstance(node, ast.AsyncFunctionDef) and node.name == "serve"
    )
    assert any(isinstance(node, ast.Try) and node.finalbody for node in ast.walk(serve))


# What has one place in runtime, by the words that betray a copy of it elsewhere.
ONE_PLACE = {
    "request ids": r"def check_request_id|uuid\.UUID\(",
    "paging": r"PageTokens\(|PageRequest\(",
    "housekeeping": r"while True:\n\s+await asyncio\.sleep\([^0]",
    "batching and single-flight": r"\w+_under_way\b|_in_flight: set",
    "secret files": r"0o077|S_IMODE|st_mode",
    "unused arguments": r"noqa: ARG",
    "bounded caches": r"\[next\(iter\(|OrderedDict|popitem",
}


@pytest.mark.parametrize("mechanism", ONE_PLACE)
@pytest.mark.parametrize("service", SERVICES)
def test_each_mechanism_has_one_place(service: str, mechanism: str) -> None:
    copies = [
        str(path.relative_to(ROOT))
        for path in sources(f"services/{service}")
        if re.search(ONE_PLACE[mechanism], path.read_text())
    ]
    assert copies == []


def contract_enums() -> dict[str, dict[str, int]]:
    """Numbers by name, without the prefix that protobuf asks for, of every enum of the contracts;
    by the enum's name, a nested one's with its message's before it."""
    found: dict[str, dict[str, int]] = {}

    def take(enum: EnumDescriptor, name: str) -> None:
        prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", enum.name).upper() + "_"
        found[name] = {value.name.removeprefix(prefix): value.number for value in enum.values}

    def read(message: Descriptor) -> None:
        for enum in message.enum_types:
            take(enum, f"{message.name}{enum.name}")
        for nested in message.nested_types:
            read(nested)

    files = {service.file.name: service.file for service in service_descriptors().values()}
    for file in [*files.values(), *(each for one in files.values() for each in one.dependencies)]:
        for enum in file.enum_types_by_name.values():
            take(enum, enum.name)
        for message in file.message_types_by_name.values():
            read(message)
    return found


def int_enums(service: str) -> list[type[IntEnum]]:
    return [
        getattr(importlib.import_module(module_of(path)), node.name)
        for path in sources(f"services/{service}")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
        and any(isinstance(base, ast.Name) and base.id == "IntEnum" for base in node.bases)
    ]


@pytest.mark.parametrize("service", SERVICES)
def test_enums_of_the_domain_are_the_contracts(service: str) -> None:
    contracts = contract_enums()
    enums = int_enums(service)
    assert enums
    for enum in enums:
        members = {name: int(member) for name, member in enum.__members__.items()}
        # A value that is not set may be refused at the edge, and so have no name in the domain;
        # the domain may know values of outside that no contract names (RFC 5280's reasons).
        assert contracts[enum.__name__].items() <= ({"UNSPECIFIED": 0} | members).items(), enum
