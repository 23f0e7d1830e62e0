"""Least privilege among services: each method for services names exactly those that call it.

A service calls a method if a module that it imports, itself or by others, has the method's name as
a text of its code, "package.Service/Method" or its end.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from qagazsyz.common.v1 import access_pb2
from services.runtime.access import access_rule
from services.runtime.descriptors import service_descriptors

ROOT = Path(__file__).parents[2]
SERVICES = ("identity", "signing", "registry", "messaging", "requests")
# In the contract ahead of the code that calls it, by (service, method): to be removed with it.
NOT_CALLED_YET = {
    ("signing", "RenewServiceCredential"),
    ("registry", "RenewServiceCredential"),
    ("signing", "ResolvePhone"),
    ("identity", "GetMobileSignature"),
    ("registry", "GetMobileSignature"),
    *(
        ("requests", method)
        for method in (
            "GetPhone",
            "ListPhones",
            "ResolvePhone",
            "SendMessage",
            "GetMessage",
            "ReceiveMessages",
            "CreateMobileSignature",
            "GetMobileSignature",
            "WatchMobileSignature",
            "CancelMobileSignature",
        )
    ),
    *(
        ("requests", method)
        for method in (
            "GrantConsentForSubject",
            "WithdrawConsentForSubject",
            "ReadConsentRequests",
        )
    ),
}


def named() -> set[tuple[str, str]]:
    """Each service with each method that names it."""
    return {
        (service, method.name)
        for _, of in sorted(service_descriptors().items())
        for method in of.methods
        if (rule := access_rule(method)) is not None and access_pb2.ROLE_SERVICE in rule.roles
        for service in rule.services
    }


def modules(start: Path) -> Iterator[Path]:
    """The module, and all of services/ that it imports, itself or by others."""
    found, waiting = set[Path](), [start]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        yield path
        waiting += [module for name in imported(path) if (module := source(name)) is not None]


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            # A name that is imported may be a module.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def source(name: str) -> Path | None:
    path = ROOT.joinpath(*name.split(".")).with_suffix(".py")
    return path if name.startswith("services.") and path.exists() else None


def texts(path: Path) -> set[str]:
    """The last parts of the texts in a module's code, behind their slashes."""
    return {
        node.value.rpartition("/")[2]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def called(service: str) -> set[str]:
    """All texts of a service's process that may be methods' names."""
    main = ROOT / "services" / service / "main.py"
    return {text for path in modules(main) for text in texts(path)}


def test_each_service_that_a_method_names_calls_it() -> None:
    calls = {service: called(service) for service in SERVICES}
    missing = {
        (service, method)
        for service, method in named()
        if method not in calls.get(service, set[str]())
    }
    assert missing == NOT_CALLED_YET


@pytest.mark.parametrize("service", SERVICES)
def test_each_method_that_a_service_calls_names_it(service: str) -> None:
    for_services = {method for _, method in named()}
    own = {method for named_service, method in named() if named_service == service}
    assert called(service) & for_services <= own
