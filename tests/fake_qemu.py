"""A qemu-img that tells whether it was called."""

import os
from pathlib import Path

import pytest

from tests.tools import find, require


class FakeQemu:
    """A qemu-img, first in PATH, that records its calls and hands them on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "bin").mkdir()
        (folder / "calls").mkdir()
        program = folder / "bin" / "qemu-img"
        # It may not write a byte (RLIMIT_FSIZE), but a folder has none.
        program.write_text(f'#!/bin/sh\nmkdir "{folder}/calls/$$-$1"\nexec {find("qemu-img")} "$@"\n')
        program.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        names = sorted(os.listdir(self._folder / "calls"))
        return [name.partition("-")[2] for name in names]

    def answer(self, script: str) -> None:
        """Do this instead of handing the call on."""
        (self._folder / "bin" / "qemu-img").write_text(f'#!/bin/sh\nmkdir "{self._folder}/calls/$$-$1"\n{script}\n')


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> FakeQemu:
    """One in this folder, in front of the real one for whoever looks in PATH."""
    require("qemu-img")
    fake = FakeQemu(folder)
    monkeypatch.setenv("PATH", f"{folder}/bin{os.pathsep}{os.environ['PATH']}")
    return fake
