"""Guests as inputs: files with their paths in one text, and the first ones from the texts that the tests hold."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.contents.phony import Content, Link, PhonyReader

TESTS = Path(__file__).parents[1]
MARK = b"\n=== "
TREE = TESTS.parent / "fixtures" / "guests" / "debian-12"


def unpacked(data: bytes) -> PhonyReader:
    """The files of an input: each begins with a line `=== /path`, or `=== /path -> target` for a link."""
    found: dict[str, Content] = {}
    for part in (b"\n" + data).split(MARK)[1:65]:
        line, _, content = part.partition(b"\n")
        path, arrow, target = line.decode("utf-8", "surrogateescape").partition(" -> ")
        names = [name for name in path.split("/") if name not in ("", ".", "..")][:16]
        if names:
            found["/" + "/".join(names)] = Link(target) if arrow else content
    return PhonyReader(_consistent(found))


def _consistent(files: dict[str, Content]) -> dict[str, Content]:
    """Without files that lie below other files."""
    directories = {path[:at] for path in files for at, char in enumerate(path) if char == "/" and at}
    return {path: content for path, content in files.items() if path not in directories}


def packed(files: dict[str, Content]) -> bytes:
    """The input that stands for these files."""
    parts = []
    for path, content in files.items():
        if isinstance(content, Link):
            parts.append(f"=== {path} -> {content}\n".encode("utf-8", "surrogateescape"))
        elif isinstance(content, (str, bytes)):
            data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
            parts.append(b"=== " + path.encode("utf-8", "surrogateescape") + b"\n" + data + b"\n")
    return b"".join(parts)


@cache
def trees(module: str) -> tuple[bytes, ...]:
    """The trees of files that are written out in a test module, and the fixture's."""
    found = [_fixture()]
    for node in ast.walk(_parsed(module)):
        if isinstance(node, ast.Dict):
            files = dict(_files_of(node))
            if files:
                found.append(packed(files))
    return tuple(dict.fromkeys(found))


def _files_of(node: ast.Dict) -> Iterator[tuple[str, Content]]:
    for key, value in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Constant) and isinstance(key.value, str) and key.value.startswith("/"):
            if isinstance(value, ast.Constant) and isinstance(value.value, (str, bytes)):
                yield key.value, value.value
            elif isinstance(value, ast.Call) and value.args and isinstance(value.args[0], ast.Constant):
                yield key.value, Link(value.args[0].value)


@cache
def texts(*modules: str) -> tuple[bytes, ...]:
    """All texts of several lines, or of some length, in test modules."""
    found: list[bytes] = []
    for module in modules:
        for node in ast.walk(_parsed(module)):
            if isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)):
                value = node.value.encode("utf-8", "surrogateescape") if isinstance(node.value, str) else node.value
                if b"\n" in value or len(value) > 24:
                    found.append(value)
    return tuple(dict.fromkeys(found))


def _parsed(module: str) -> ast.Module:
    return ast.parse((TESTS / "guests" / f"{module}.py").read_text())


@cache
def _fixture() -> bytes:
    files: dict[str, Content] = {}
    for path in sorted(TREE.rglob("*")):
        if path.is_file():
            files["/" + str(path.relative_to(TREE))] = path.read_bytes()
    return packed(files)
