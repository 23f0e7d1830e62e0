"""Streebog by the kernel is Streebog in Python."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signatures import hashing
from signatures.algorithms import Hash
from signatures.gost.streebog import streebog256, streebog512


@given(st.binary(max_size=300))
def test_both_backends_hash_alike(data: bytes) -> None:
    kernel = pytest.importorskip("qagazsyz_kernel", reason="the native kernel is not built")
    assert kernel.streebog256(data) == streebog256(data) == hashing.digest(Hash.STREEBOG256, data)
    assert kernel.streebog512(data) == streebog512(data) == hashing.digest(Hash.STREEBOG512, data)


def test_sha_2_is_never_in_python() -> None:
    assert hashing.digest(Hash.SHA384, b"data") == hashlib.sha384(b"data").digest()
    assert not hashing.is_in_python(Hash.SHA384)


def test_streebog_is_in_python_without_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "STREEBOG_IN_PYTHON", True)
    assert hashing.is_in_python(Hash.STREEBOG256) and hashing.is_in_python(Hash.STREEBOG512)
