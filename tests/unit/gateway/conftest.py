"""The configuration that most tests of the gateway look at."""

from __future__ import annotations

import pytest

from tests.unit.gateway.configuration import Json, bootstrap


@pytest.fixture(scope="package")
def config() -> Json:
    """The configuration that is generated with the tests' settings."""
    return bootstrap()
