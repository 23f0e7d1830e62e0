"""The data folder: short paths for sockets, and one process at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.errors import Failure
from cli.operations.data_folder import SOCKET_PATH_LIMIT, DataFolder


def test_sockets_have_paths_that_a_socket_can_have(tmp_path: Path) -> None:
    deep = tmp_path / ("folder" * 20)
    deep.mkdir()
    for data in (tmp_path, deep):
        sockets = DataFolder(data).sockets()
        assert sockets.is_dir()
        assert len(str(sockets / "collector.sock")) <= SOCKET_PATH_LIMIT


def test_a_folder_is_locked_once(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    with folder.lock(), pytest.raises(Failure), folder.lock():
        pass
    with folder.lock():
        pass
