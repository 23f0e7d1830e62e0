"""maturin as the build backend, with one default of its changed.

`pip wheel` gives a wheel that says the oldest C library it runs with (manylinux), where maturin
would name this machine's Linux alone, so that other machines' installers take it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import maturin
from maturin import (
    build_editable,
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]


def build_wheel(
    wheel_directory: str,
    config_settings: Mapping[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """The wheel's file name. build-args among the settings replace ours."""
    settings = {"build-args": "--compatibility pypi"} | dict(config_settings or {})
    return str(maturin.build_wheel(wheel_directory, settings, metadata_directory))
