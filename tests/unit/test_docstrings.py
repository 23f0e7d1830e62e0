"""A file that a docstring or a comment names exists: a wrong pointer costs its reader a search."""

from __future__ import annotations

import ast
import io
import os
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LANGUAGES = (".py", ".rs", ".proto")
# A file's name or the end of a path: "conftest.py", "services/runtime/process.py".
NAMED = re.compile(r"(?<![\w./*{<-])((?:[\w.-]+/)*[\w-]+\.(?:py|md|proto|rs))\b(?![\w/*])")
# Folders that hold what is generated, installed or built.
NOT_OURS = {".venv", ".setup", ".git", "target", "node_modules"}
# Files of other projects that may be named, each with the reason.
ELSEWHERE = {"descriptor.proto": "protobuf's own, of google/protobuf"}


def our_files() -> Iterator[Path]:
    """The repository's files, relative to its root, without what is generated or installed."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(set(folders) - NOT_OURS)
        yield from (
            (Path(folder) / name).relative_to(ROOT)
            for name in sorted(names)
            if not name.endswith(("_pb2.py", "_pb2_grpc.py"))
        )


FILES = list(our_files())
SOURCES = [path for path in FILES if path.suffix in LANGUAGES]


def prose_of(path: Path) -> Iterator[tuple[int, str]]:
    """The comments and docstrings of a file, each with the line that it begins at."""
    text = (ROOT / path).read_text()
    if path.suffix != ".py":
        for number, line in enumerate(text.splitlines(), start=1):
            if "//" in line:
                yield number, line.partition("//")[2]
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node, clean=False)
            if docstring is not None:
                yield node.body[0].lineno, docstring


def rooms(path: Path) -> set[tuple[str, ...]]:
    """Folders within which a file names another without its path: a service's own and runtime, or
    else the top-level folder's."""
    if path.parts[0] == "services":
        return {path.parts[:2], ("services", "runtime")}
    return {path.parts[:2] if path.parts[0] == "tests" else path.parts[:1]}


def is_named_rightly(name: str, by: Path) -> bool:
    """Whether a path's end exists, or a bare name in one of the rooms; contracts have no room."""
    if "/" in name or name.endswith(".proto"):
        return any(str(path).endswith(f"/{name}") or str(path) == name for path in FILES)
    return any(
        path.name == name and any(path.parts[: len(room)] == room for room in rooms(by))
        for path in FILES
    )


def wrong_pointers(path: Path) -> list[str]:
    return [
        f"{path}:{line} names {name}"
        for line, prose in prose_of(path)
        for name in NAMED.findall(prose)
        if not is_named_rightly(name, path) and name not in ELSEWHERE
    ]


@pytest.mark.parametrize("folder", sorted({path.parts[0] for path in SOURCES}))
def test_every_file_that_is_named_exists(folder: str) -> None:
    found = [
        pointer for path in SOURCES if path.parts[0] == folder for pointer in wrong_pointers(path)
    ]
    assert found == []


def test_a_wrong_pointer_is_found(tmp_path: Path) -> None:
    """Names with a path and without, in a docstring and in a comment."""
    lines = ('"""As process.py does."""', "# See services/runtime/nothing.py and receipts.proto.")
    source = tmp_path / "x.py"
    source.write_text("\n".join(lines))
    assert [pointer.partition(" names ")[2] for pointer in wrong_pointers(source)] == [
        "services/runtime/nothing.py",
        "process.py",
    ]
