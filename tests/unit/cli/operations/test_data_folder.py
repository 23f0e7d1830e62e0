"""The data folder: short paths for sockets, and one process at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.errors import Failure
from cli.operations.data_folder import SOCKET_PATH_LIMIT, DataFolder


def test_paths_of_sockets_stay_below_their_limit_in_a_deep_folder_too(tmp_path: Path) -> None:
    deep = tmp_path / ("folder" * 20)
    deep.mkdir()
    for data in (tmp_path, deep):
        sockets = DataFolder(data).sockets()
        assert sockets.is_dir()
        assert len(str(sockets / "collector.sock")) <= SOCKET_PATH_LIMIT


def test_a_locked_folder_cannot_be_locked_again_until_it_is_released(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    with folder.lock(), pytest.raises(Failure), folder.lock():
        pass
    with folder.lock():
        pass
