"""Which backend is chosen, by name and by what is installed."""

from __future__ import annotations

import sys

import pytest

from signatures.loading import load_backend
from signatures.x509 import verify_x509_signature
from tests.unit.signatures.test_x509 import CERTIFICATES, parts


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


def test_with_the_kernel_nothing_needs_the_portable_backend_s_library_for_ed25519(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("qagazsyz_kernel")
    monkeypatch.setitem(sys.modules, "ed25519_zebra", None)
    spki, oid, parameters, tbs, signature = parts(CERTIFICATES["Ed25519"])
    assert load_backend().name == "kernel"
    assert verify_x509_signature(spki, oid, parameters, tbs, signature)


def test_without_kernel_and_library_no_backend_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ed25519_zebra", None)
    monkeypatch.setitem(sys.modules, "qagazsyz_kernel", None)
    monkeypatch.delitem(sys.modules, "signatures.native", raising=False)
    with pytest.raises(ImportError, match="ed25519_zebra"):
        load_backend()


def test_any_other_name_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown backend"):
        load_backend("fast")
