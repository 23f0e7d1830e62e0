"""The tables that the check of JSON requests goes by, as they are made from the contracts."""

from __future__ import annotations

import pytest

from gateway import descriptors
from gateway.json_requests import lua_source, pattern_of


@pytest.mark.parametrize(
    ("template", "pattern"),
    [
        ("/v1/subjects", "^/v1/subjects$"),
        ("/v1/subjects:resolve", "^/v1/subjects:resolve$"),
        ("/v1/{name=subjects/*}", "^/v1/subjects/[^/]+$"),
        (
            "/v1/{name=subjects/*/certificates/*}:revoke",
            "^/v1/subjects/[^/]+/certificates/[^/]+:revoke$",
        ),
        ("/v1/{key}:sign", "^/v1/[^/]+:sign$"),
        ("/log/tile/{path=**}", "^/log/tile/.+$"),
        ("/.well-known/jwks.json", "^/%.well%-known/jwks%.json$"),
    ],
)
def test_a_template_becomes_a_pattern_of_its_paths(template: str, pattern: str) -> None:
    assert pattern_of(template) == pattern


def test_every_binding_and_every_field_of_requests_is_in_the_tables() -> None:
    contracts = descriptors.load()
    methods = descriptors.methods(contracts)
    source = lua_source(contracts, methods)
    for method in methods:
        for binding in method.bindings:
            assert f'"{pattern_of(binding.template)}"' in source
        if method.bindings:
            assert f'MESSAGES["{method.input_type}"] = {{}}' in source
    assert 'MESSAGES[".qagazsyz.signing.v1.VerifyRequest"]["requiredRole"]' in source
    assert 'MESSAGES[".qagazsyz.signing.v1.VerifyRequest"]["required_role"]' in source
    assert 'MESSAGES[".google.protobuf.Timestamp"]' not in source
