"""Which backend is chosen, by name and by what is installed."""

from __future__ import annotations

import sys

import pytest

from signatures.loading import load_backend


def test_the_portable_backend_is_chosen_by_name() -> None:
    assert load_backend("portable").name == "portable"


def test_the_kernel_is_chosen_by_name_and_without_one_if_it_is_installed() -> None:
    pytest.importorskip("qagazsyz_kernel")
    assert load_backend("kernel").name == load_backend().name == "kernel"


def test_without_the_kernel_the_portable_backend_is_chosen_unless_the_kernel_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What import finds for a module that is not installed.
    monkeypatch.setitem(sys.modules, "qagazsyz_kernel", None)
    monkeypatch.delitem(sys.modules, "signatures.native", raising=False)
    assert load_backend().name == "portable"
    with pytest.raises(ImportError):
        load_backend("kernel")


def test_any_other_name_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown backend"):
        load_backend("fast")
