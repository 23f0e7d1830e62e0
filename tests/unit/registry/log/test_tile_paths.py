"""Paths of tiles are those of C2SP tlog-tiles, one for each tile."""

from __future__ import annotations

import pytest

from services.registry.log.tile_paths import parse_path, tile_path
from services.registry.log.tiles import Tile
from services.runtime.errors import InvalidArgument


@pytest.mark.parametrize(
    "path",
    [
        "", "0", "0/", "0/1", "0/0000", "0/x000/001", "0/001.p/0", "0/001.p/256", "0/001.p/01",
        "00/001", "64/000", "-1/000", "0/../1", "data/000", "0/000.p", "0/001/002",
        "0/000\n", "0/٠٠٠", "/0/000", "0/x" + "9" * 200,
    ],
)  # fmt: skip
def test_another_path_than_a_tiles_is_refused(path: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_path(path)


@pytest.mark.parametrize(
    ("path", "tile"),
    [
        ("0/000", Tile(0, 0)),
        ("1/x001/x234/067", Tile(1, 1234067)),
        ("63/999.p/255", Tile(63, 999, 255)),
        ("0/x001/000.p/1", Tile(0, 1000, 1)),
    ],
)
def test_paths_of_tiles_are_those_of_the_specification(path: str, tile: Tile) -> None:
    assert parse_path(path) == (False, tile)
    assert tile_path(tile) == path
