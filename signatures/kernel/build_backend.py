"""maturin as the build backend, on exactly the crates of crates.txt.

Every build first writes Cargo.lock from crates.txt; pyproject.toml tells maturin to pass --locked
to cargo. Without cargo a build fails: maturin's own hooks would download an unpinned Rust.

`pip wheel` makes a wheel tagged with the oldest C library that it runs with (manylinux), so that
installers on other machines accept it. maturin's default is a tag for Linux in general, which they
refuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import maturin

import crates


def prepare_metadata_for_build_wheel(
    metadata_directory: str, config_settings: Mapping[str, Any] | None = None
) -> str:
    """Write the wheel's metadata; return its folder's name."""
    crates.write_lock()
    return str(maturin.prepare_metadata_for_build_wheel(metadata_directory, config_settings))


def build_wheel(
    wheel_directory: str,
    config_settings: Mapping[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """Build the wheel; return its file name. build-args among the settings replace ours."""
    crates.write_lock()
    settings = {"build-args": "--compatibility pypi"} | dict(config_settings or {})
    return str(maturin.build_wheel(wheel_directory, settings, metadata_directory))


def build_sdist(sdist_directory: str, config_settings: Mapping[str, Any] | None = None) -> str:
    """Build the source distribution; return its file name."""
    crates.write_lock()
    return str(maturin.build_sdist(sdist_directory, config_settings))


def prepare_metadata_for_build_editable(
    metadata_directory: str, config_settings: Mapping[str, Any] | None = None
) -> str:
    """Write the editable wheel's metadata; return its folder's name."""
    crates.write_lock()
    return str(maturin.prepare_metadata_for_build_editable(metadata_directory, config_settings))


def build_editable(
    wheel_directory: str,
    config_settings: Mapping[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """Build the editable wheel; return its file name."""
    crates.write_lock()
    return str(maturin.build_editable(wheel_directory, config_settings, metadata_directory))
