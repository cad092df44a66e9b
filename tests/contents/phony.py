"""A file system without a disk: a tree of files as a test writes it."""

from collections.abc import Iterator, Mapping
from typing import Any

from preflight.contents import ContentsError, Node
from preflight.contents.tree import Tree


class Link(str):
    """A symlink, by its target."""


class Special:
    """A device, FIFO or socket."""


Content = bytes | str | Link | Special


class PhonyReader:
    """A `FileReader` over a dictionary of absolute paths; parents are made, an empty directory ends in a slash."""

    def __init__(self, files: Mapping[str, Content]) -> None:
        self._top: dict[str, Any] = {}
        self.bytes_read = 0
        for path, content in files.items():
            directory = self._top
            *parents, name = path.strip("/").split("/")
            for parent in parents:
                directory = directory.setdefault(parent, {})
            if path.endswith("/"):
                directory.setdefault(name, {})
            else:
                directory[name] = content

    @property
    def root(self) -> Node:
        return Node("directory", 0, 0o755, self._top)

    def _node(self, content: Any) -> Node:
        if isinstance(content, dict):
            return Node("directory", 0, 0o755, content)
        if isinstance(content, Link):
            return Node("symlink", len(content), 0o777, content)
        if isinstance(content, Special):
            return Node("other", 0, 0o600, content)
        data = content.encode() if isinstance(content, str) else content
        return Node("file", len(data), 0o644, data)

    def lookup(self, directory: Node, name: str) -> Node | None:
        return self._node(directory.handle[name]) if name in directory.handle else None

    def entries(self, directory: Node) -> Iterator[tuple[str, Node]]:
        for name, content in directory.handle.items():
            yield name, self._node(content)

    def names(self, directory: Node) -> Iterator[str]:
        yield from directory.handle

    def listed(self, directory: Node) -> Iterator[str]:
        return self.names(directory)

    def read(self, node: Node, offset: int, size: int) -> bytes:
        if node.kind != "file":
            raise ContentsError("not a regular file")
        self.bytes_read += size
        data: bytes = node.handle[offset : offset + size]
        return data

    def target(self, link: Node) -> str:
        return str(link.handle)


def tree(files: Mapping[str, Content], mounts: Mapping[str, Mapping[str, Content]] | None = None) -> Tree:
    """A tree of these files, with others mounted into it."""
    return Tree(PhonyReader(files), {path: PhonyReader(inside) for path, inside in (mounts or {}).items()})
