"""What the readers through the libyal libraries share."""

import errno
import os
from typing import Any

import pytest

from preflight.contents import ContentsError, Node, _libyal
from preflight.source import Memory


def make_node(path: str, entry: Any) -> Node:
    return Node("file", 0, None, entry)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError("outer: no. inner: invalid inode. middle: no."), "invalid inode"),
        (OSError("only: this one."), "this one"),
        (OSError(errno.EIO, "Input/output error"), r"[Errno 5] Input/output error"),
        (ValueError("plain"), "plain"),
        (MemoryError(), "it asked for more memory than there is"),
        (OverflowError(), "OverflowError"),
        (OSError("outer: no. inner: \x1b[31m\n" + "x" * 500), r"\x1b[31m\n" + "x" * 190),
    ],
)
def test_errors_of_the_library_are_told_without_its_functions(error: Exception, reason: str) -> None:
    class Volume:
        def open_file_object(self, file: object) -> None:
            raise error

    with pytest.raises(ContentsError) as caught:
        _libyal.LibyalReader("lib", Volume, make_node, Memory(b""))
    assert str(caught.value) == f"lib: {reason}"
    assert caught.value.__cause__ is error


def test_a_source_is_a_file_for_the_library() -> None:
    file = _libyal.SourceFile(Memory(b"0123456789"))
    assert file.get_size() == 10
    assert file.read(4) == b"0123"
    assert file.tell() == 4
    file.seek(2, os.SEEK_CUR)
    assert file.read(100) == b"6789"
    assert file.read(1) == b""
    file.seek(-3, os.SEEK_END)
    assert file.read(2) == b"78"
    file.seek(1 << 62)
    assert file.read(1) == b""
    file.seek(-5)
    assert file.read(1) == b"0"
