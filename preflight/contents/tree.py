"""A guest's files by path, resolved inside the guest as its kernel would: links, mount points, and no way out.

A path is absolute, with slashes. Absolute links begin at the guest's root, `..` does not leave it, at most 40 links
are followed (Linux, MAXSYMLINKS), and only regular files are read, up to a cap for each.
"""

from collections.abc import Iterator, Mapping

import msgspec

from preflight.contents import ContentsError, FileReader, Kind, Node

MAX_LINKS = 40  # Linux: include/linux/namei.h, MAXSYMLINKS
MAX_DEPTH = 128  # components that a path may grow to by its links; PATH_MAX has room for 2048 of one letter
MAX_REMEMBERED = 4096  # entries of directories, some 2 MiB: what is asked of a guest touches some hundred
MAX_FILE_BYTES = 100 * 1024  # of a configuration file: the largest honest ones have some 20 KiB


class Found(msgspec.Struct, frozen=True):
    """A path that was resolved."""

    path: str
    """Without links."""
    reader: FileReader
    node: Node


class Tree:
    """The root file system, with others mounted into it."""

    def __init__(self, root: FileReader, mounts: Mapping[str, FileReader] | None = None) -> None:
        """`mounts` by absolute path without a slash at the end, such as `/boot` and `/boot/efi`."""
        self._root = root
        self._mounts = dict(mounts or {})
        self._entries: dict[str, Found | None] = {}
        """What is, or is not, at paths without links."""
        self._targets: dict[str, str] = {}
        """Of the links among them that were followed."""

    def find(self, path: str, *, follow: bool = True) -> Found | None:
        """What is at `path`, None where nothing is, or where a link goes in circles.

        `follow`: whether a link at the very end is followed. Raises `ContentsError` where the disk cannot be read.
        """
        remaining = _components(path)
        stack: list[Found] = [Found("/", self._root, self._root.root)]
        links = 0
        while remaining:
            name = remaining.pop()
            parent = stack[-1]
            if parent.node.kind != "directory" or len(stack) > MAX_DEPTH:
                return None
            if name == ".":
                continue
            if name == "..":
                if len(stack) > 1:
                    stack.pop()
                continue
            child = f"{parent.path.rstrip('/')}/{name}"
            found = self._entry(parent, child, name)
            if found is None:
                return None
            if found.node.kind != "symlink" or (not remaining and not follow):
                stack.append(found)
                continue
            links += 1
            target = self._target(found)
            if links > MAX_LINKS or not target:
                return None
            if target.startswith("/"):
                del stack[1:]
            remaining += _components(target)
            if len(remaining) > MAX_DEPTH:
                return None
        return stack[-1]

    def _entry(self, parent: Found, path: str, name: str) -> Found | None:
        """What has this name in a directory, its `path` being without links; each is looked up once."""
        if path not in self._entries:
            if len(self._entries) == MAX_REMEMBERED:
                self._entries.clear()
                self._targets.clear()
            if mounted := self._mounts.get(path):
                self._entries[path] = Found(path, mounted, mounted.root)
            else:
                node = parent.reader.lookup(parent.node, name)
                self._entries[path] = Found(path, parent.reader, node) if node else None
        return self._entries[path]

    def _target(self, link: Found) -> str:
        if link.path not in self._targets:
            self._targets[link.path] = link.reader.target(link.node)
        return self._targets[link.path]

    def kind(self, path: str, *, follow: bool = True) -> Kind | None:
        """What kind of file is at `path`, None where nothing is."""
        found = self.find(path, follow=follow)
        return found.node.kind if found else None

    def exists(self, path: str) -> bool:
        """Whether anything is at `path`, links followed."""
        return self.find(path) is not None

    def is_file(self, path: str) -> bool:
        """Whether a regular file is at `path`, links followed."""
        return self.kind(path) == "file"

    def is_directory(self, path: str) -> bool:
        """Whether a directory is at `path`, links followed."""
        return self.kind(path) == "directory"

    def target(self, path: str) -> str | None:
        """Where the link at `path` points, as it says; None where there is no link."""
        found = self.find(path, follow=False)
        return self._target(found) if found and found.node.kind == "symlink" else None

    def names(self, path: str) -> tuple[str, ...]:
        """The names in the directory at `path`, sorted; empty where there is no directory."""
        found = self.find(path)
        if found is None or found.node.kind != "directory":
            return ()
        return tuple(sorted(found.reader.names(found.node)))

    def read(self, path: str, limit: int = MAX_FILE_BYTES) -> bytes | None:
        """The whole regular file at `path`, None where there is none.

        Raises `ContentsError` where it is larger than `limit` bytes.
        """
        found = self.find(path)
        if found is None or found.node.kind != "file":
            return None
        if found.node.size > limit:
            raise ContentsError(f"{path}: has {found.node.size} bytes, at most {limit} are read")
        return found.reader.read(found.node, 0, found.node.size)

    def head(self, path: str, size: int) -> bytes | None:
        """The first `size` bytes of the regular file at `path`, fewer where it is shorter; None where there is none."""
        found = self.find(path)
        if found is None or found.node.kind != "file":
            return None
        return found.reader.read(found.node, 0, min(size, found.node.size))

    def text(self, path: str, limit: int = MAX_FILE_BYTES) -> str | None:
        """As `read`, decoded from UTF-8; what is no UTF-8 becomes backslash escapes."""
        data = self.read(path, limit)
        return None if data is None else data.decode("utf-8", "backslashreplace").removeprefix("\ufeff")

    def size(self, path: str) -> int | None:
        """Length of the regular file at `path`, None where there is none."""
        found = self.find(path)
        return found.node.size if found and found.node.kind == "file" else None

    def chunks(self, path: str, chunk_size: int, limit: int) -> Iterator[bytes]:
        """The regular file at `path`, piece by piece, at most `limit` bytes of it; nothing where there is none."""
        found = self.find(path)
        if found is None or found.node.kind != "file":
            return
        end = min(found.node.size, limit)
        for offset in range(0, end, chunk_size):
            yield found.reader.read(found.node, offset, min(chunk_size, end - offset))


def _components(path: str) -> list[str]:
    """The names in a path, last first, without empty ones and dots.

    A dot stands for a slash or dot at the end, as only a directory may have one there.
    """
    names = path.split("/")
    wanted = [name for name in reversed(names) if name not in ("", ".")]
    return [".", *wanted] if wanted and names[-1] in ("", ".") else wanted
