"""docs/access.md says what the contracts' access options say; run as a module to write it anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gateway import descriptors
from qagazsyz.common.v1 import access_pb2
from services.runtime.access import access_rule
from services.runtime.descriptors import service_descriptors

ROLE_SERVICE = access_pb2.ROLE_SERVICE
CONFIRMED = {
    "IssueCertificate",
    "ApproveCertificate",
    "RegisterCertificate",
    "RenewServiceCredential",
    "ImportSimKeys",
    "ImportSims",
    "BindPhone",
    "ApprovePhone",
    "AddMembership",
    "ApproveMembership",
    "RemoveMembership",
    "UpdateSubject",
    "CreateKey",
    "RotateKey",
    "EnableKeyVersion",
    "DestroyKeyVersion",
    "CreateDocumentType",
    "UpdateDocumentType",
    "ApproveLegalBases",
    "GrantConsent",
    "EraseDocument",
    "CreatePublicService",
    "UpdatePublicService",
    "ApprovePublicService",
}

PAGE = Path(__file__).parents[2] / "docs" / "access.md"
HEAD = """# Who may call what

Made from the `access` option on each method of the contracts, which every service and the gateway
enforce; write it anew by `python -m tests.unit.test_access_table`. Whose data a caller comes to is
decided on top of it: [security.md](security.md).

A confirmed call carries the caller's own signature over it (`common/v1/confirmation.proto`).

| method | HTTP | who | confirmed |
|---|---|---|---|
"""


def page() -> str:
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows())


def rows() -> Iterator[tuple[str, str, str, str]]:
    routes = {method.full_name: method for method in descriptors.methods(descriptors.load())}
    for _, service in sorted(service_descriptors().items()):
        for method in service.methods:
            rule = access_rule(method)
            assert rule is not None, f"{method.full_name} bears no access option"
            route = routes.get(method.full_name)
            bindings = route.bindings if route is not None else ()
            http = "<br>".join(f"`{one.verb} {one.template}`" for one in bindings)
            yield f"{service.name}.{method.name}", http, who(rule), "yes" if rule.confirm else ""


def who(rule: access_pb2.AccessRule) -> str:
    if rule.open:
        return "everybody, without a token"
    names = [
        f"the services {' and '.join(rule.services)}" if role == ROLE_SERVICE else role_name(role)
        for role in rule.roles
    ]
    return "everybody with a token" if names == ["any"] else ", ".join(names)


def role_name(role: access_pb2.Role) -> str:
    return access_pb2.Role.Name(role).removeprefix("ROLE_").lower()


def rules() -> Iterator[tuple[str, access_pb2.AccessRule]]:
    for _, service in sorted(service_descriptors().items()):
        for method in service.methods:
            rule = access_rule(method)
            assert rule is not None
            yield method.full_name, rule


def test_every_method_for_services_says_for_which() -> None:
    wrong = [
        name
        for name, rule in rules()
        if (ROLE_SERVICE in rule.roles) != bool(rule.services)
        or not set(rule.services) <= {"identity", "signing", "registry", "requests"}
    ]
    assert wrong == []


def test_acts_with_lasting_effect_are_confirmed() -> None:
    confirmed = {name.rpartition(".")[2] for name, rule in rules() if rule.confirm}
    assert confirmed == CONFIRMED


def test_nothing_is_confirmed_that_only_stops_something() -> None:
    stops = ("Revoke", "Disable", "Reject", "Withdraw", "Unbind")
    wrong = [
        name for name, rule in rules() if rule.confirm and name.rpartition(".")[2].startswith(stops)
    ]
    assert wrong == []


def test_the_table_in_the_docs_is_what_the_contracts_say() -> None:
    assert PAGE.read_text() == page()


if __name__ == "__main__":
    PAGE.write_text(page())
