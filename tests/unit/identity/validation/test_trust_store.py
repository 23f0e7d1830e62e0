"""The trust folder: what it trusts, and when it is read."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from services.identity.validation.trust_store import ANCHORS, TrustFolder
from tests.unit.identity.authorities import CRL, External, revocation_list
from tests.unit.identity.chains import AUTHORITY, ROOT, make


async def test_the_folder_is_read_again_when_it_changes(external: External) -> None:
    external.publishes()
    leaf = external.leaf(crls=[CRL])
    assert await external.status(leaf) == "GOOD"
    (external.folder / "root.pem").unlink()
    assert await external.status(leaf) == "UNTRUSTED"
    (external.folder / "root.pem").write_bytes(external.root.pem)
    assert await external.status(leaf) == "GOOD"


def test_self_signed_files_are_anchors_and_others_intermediates(tmp_path: Path) -> None:
    root, other_root = make(ROOT), make(ROOT)
    authority, cross = make(AUTHORITY, root), make(AUTHORITY, other_root)
    crl = revocation_list(authority)
    (tmp_path / "both.pem").write_bytes(root.pem + authority.pem)
    (tmp_path / ANCHORS).mkdir()
    (tmp_path / ANCHORS / "cross.der").write_bytes(cross.der)
    (tmp_path / "list.crl").write_bytes(crl)
    (tmp_path / "notes.txt").write_bytes(other_root.pem)
    found = TrustFolder(tmp_path).current()
    assert set(found.anchors) == {root.der, cross.der}
    assert (found.intermediates, [each.der for each in found.crls]) == ((authority.der,), [crl])


def test_a_folder_that_does_not_exist_trusts_nothing(tmp_path: Path) -> None:
    found = TrustFolder(tmp_path / "missing").current()
    assert (found.anchors, found.intermediates, found.crls) == ((), (), ())


def test_a_file_that_cannot_be_read_is_ignored_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = make(ROOT)
    (tmp_path / "root.der").write_bytes(root.der)
    (tmp_path / "garbage.der").write_bytes(b"garbage")
    # Version 8: cryptography raises an error of its own kind.
    odd = root.der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07", 1)
    (tmp_path / "odd.cer").write_bytes(odd)
    with caplog.at_level(logging.WARNING):
        assert TrustFolder(tmp_path).current().anchors == (root.der,)
    warned = {record.args[0] for record in caplog.records if isinstance(record.args, tuple)}
    assert warned == {"garbage.der", "odd.cer"}


def test_an_unchanged_folder_is_the_same_store(tmp_path: Path) -> None:
    seconds = 0.0
    folder = TrustFolder(tmp_path, now=lambda: seconds)
    first = folder.current()
    seconds += 10
    assert folder.current() is first
    (tmp_path / "root.pem").write_bytes(make(ROOT).pem)
    assert folder.current() is first, "it was checked a moment ago"
    seconds += 10
    assert folder.current() is not first


async def test_a_file_that_no_path_can_be_built_with_freezes_nothing(
    external: External, caplog: pytest.LogCaptureFixture
) -> None:
    external.publishes()
    leaf = external.leaf(crls=[CRL])
    assert await external.status(leaf) == "GOOD"
    # An algorithm without its end: cryptography reads the certificate, the engine not the key.
    point = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"
    bad = make(AUTHORITY, make(ROOT)).der.replace(point, b"\x06\x08" + b"\x80" * 8, 1)
    (external.folder / "bad.der").write_bytes(bad)
    with caplog.at_level(logging.WARNING):
        assert await external.status(leaf) == "GOOD"
    assert "bad.der" in caplog.text
    assert await external.validator.find_unusable_files() == ("bad.der",)
    (external.folder / "root.pem").unlink()
    assert await external.status(leaf) == "UNTRUSTED", "a deletion counts at once"
    (external.folder / "bad.der").unlink()
    assert await external.validator.find_unusable_files() == ()
