"""A secret's file is read only if its owner alone may read it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from services.runtime.secret_files import (
    SECRET_LIMIT_BYTES,
    SecretRefused,
    make_private_folder,
    read_secret,
    replacing_secret,
    write_secret,
)


def secret(path: Path, mode: int, content: bytes = b"secret") -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_file_of_its_owner_alone_is_read(tmp_path: Path, mode: int) -> None:
    assert read_secret(secret(tmp_path / "key", mode)) == b"secret"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o602, 0o610, 0o601])
def test_a_file_with_any_permission_for_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = secret(tmp_path / "key", mode)
    with pytest.raises(SecretRefused, match=f"{path} has mode {mode:04o}: chmod 0600 it"):
        read_secret(path)


def test_a_link_is_refused_by_the_mode_of_the_file_behind_it(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(secret(tmp_path / "key", 0o644))
    with pytest.raises(SecretRefused):
        read_secret(tmp_path / "link")


def test_a_missing_file_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(SecretRefused, match="key cannot be read: No such file"):
        read_secret(tmp_path / "key")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").mkdir(mode=0o700)
    with pytest.raises(SecretRefused):
        read_secret(tmp_path / "key")


def test_a_file_longer_than_any_secret_is_refused_and_not_shown(tmp_path: Path) -> None:
    path = secret(tmp_path / "key", 0o600, b"s" * (SECRET_LIMIT_BYTES + 1))
    with pytest.raises(SecretRefused) as refusal:
        read_secret(path)
    assert "sss" not in str(refusal.value)
    assert read_secret(secret(tmp_path / "longest", 0o600, b"s" * SECRET_LIMIT_BYTES))
    assert len(read_secret(path, SECRET_LIMIT_BYTES + 1)) == SECRET_LIMIT_BYTES + 1
    with pytest.raises(SecretRefused, match="longer than 3 bytes"):
        read_secret(secret(tmp_path / "four", 0o600, b"four"), 3)


def test_a_secret_is_written_for_its_owner_alone_and_never_over_another(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_secret(tmp_path / "key", b"first")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        write_secret(tmp_path / "key", b"second")
    assert read_secret(tmp_path / "key") == b"first"


def test_a_secret_is_replaced_at_once_by_a_file_of_its_owner_alone(tmp_path: Path) -> None:
    path = secret(tmp_path / "key", 0o600, b"old")
    before = os.umask(0)
    try:
        with replacing_secret(path) as file:
            file.write(b"ne")
            file.flush()
            assert read_secret(path) == b"old"
            file.write(b"w")
    finally:
        os.umask(before)
    assert read_secret(path) == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_replacement_that_fails_leaves_the_secret_and_nothing_else(tmp_path: Path) -> None:
    path = secret(tmp_path / "key", 0o600, b"old")
    with pytest.raises(ZeroDivisionError), replacing_secret(path) as file:
        file.write(b"new")
        raise ZeroDivisionError
    assert read_secret(path) == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_secret_behind_a_link_is_replaced(tmp_path: Path) -> None:
    path = secret(tmp_path / "key", 0o600, b"old")
    (tmp_path / "link").symlink_to(path)
    with replacing_secret(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert read_secret(path) == b"new"


def test_a_folder_that_others_may_enter_is_closed(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    for name in ("open", "new"):
        folder = make_private_folder(tmp_path / name)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
