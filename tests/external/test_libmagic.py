"""What libmagic says, and what happens without it."""

import builtins
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.tools import libmagic


def test_a_known_beginning_is_described() -> None:
    description = libmagic.describe(b"\x7fELF\x02\x01\x01" + bytes(57))
    assert description is not None
    assert description.startswith("ELF 64-bit")


def test_unknown_and_empty_bytes_have_no_description() -> None:
    assert libmagic.describe(b"") is None
    assert libmagic.describe(bytes(1000)) is None


def test_a_path_is_described_as_the_text_that_it_is(tmp_path: Path) -> None:
    (tmp_path / "program").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(57))
    description = libmagic.describe(str(tmp_path / "program").encode())
    assert description is not None
    assert description.startswith("ASCII text")


def test_only_the_beginning_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    magic = pytest.importorskip("magic")
    seen: list[int] = []
    monkeypatch.setattr(magic, "from_buffer", lambda data: seen.append(len(data)))
    libmagic.describe(bytes(libmagic.MAX_BUFFER + 1))
    assert seen == [libmagic.MAX_BUFFER]


def test_without_libmagic_there_is_no_description(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def refuse(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        if name in ("magic", "pylibmagic"):
            raise ImportError(f"failed to find libmagic: no {name}")
        return original(name, globals, locals, fromlist, level)

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert libmagic.describe(b"\x7fELF\x02\x01\x01" + bytes(57)) is None


def test_it_is_loaded_only_when_it_is_asked() -> None:
    program = "import sys, preflight.tools.libmagic; sys.exit('magic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=1000))
def test_any_bytes_give_words_or_none(data: bytes) -> None:
    description = libmagic.describe(data)
    assert description is None or description
