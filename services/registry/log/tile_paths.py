"""Paths of tiles and entry bundles (C2SP tlog-tiles), after "/log/tile/"."""

from __future__ import annotations

import re

from services.registry.log.tiles import LEVEL_LIMIT, TILE_WIDTH, Tile
from services.runtime.errors import InvalidArgument

# Zero-padded groups of three digits, all but the last behind an "x"; ".p/" before the width.
_PATH = re.compile(
    r"(?P<level>0|[1-9][0-9]?|entries)/(?P<index>(?:x[0-9]{3}/){0,6}[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?",
    re.ASCII,
)


def parse_path(path: str) -> tuple[bool, Tile]:
    """Return whether the path is of an entry bundle, and the tile. Raises InvalidArgument."""
    match = _PATH.fullmatch(path)
    if match is None:
        raise _path_error()
    is_entries = match["level"] == "entries"
    level = 0 if is_entries else int(match["level"])
    index = int(match["index"].replace("/", "").replace("x", ""))
    tile = Tile(level, index, int(match["width"] or TILE_WIDTH))
    # Refuse other names of the same tile: a width of 256 and more, leading zeros.
    if level > LEVEL_LIMIT or tile_path(tile, entries=is_entries) != path:
        raise _path_error()
    return is_entries, tile


def tile_path(tile: Tile, *, entries: bool = False) -> str:
    """Return the path of a tile, or of the entry bundle beside it."""
    digits = f"{tile.index:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    index = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    level = "entries" if entries else str(tile.level)
    return f"{level}/{index}" if tile.is_full else f"{level}/{index}.p/{tile.width}"


def _path_error() -> InvalidArgument:
    return InvalidArgument("path", 'not of the form "0/x001/234" or "entries/000.p/7"')
