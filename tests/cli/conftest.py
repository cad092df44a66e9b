"""Images for the commands, and the command itself, run inside the test."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from preflight.cli import main
from preflight.units import GiB, MiB
from tests import disks, sound
from tests.cli.running import Result
from tests.documents import validate
from tests.tools import run, sparse

Command = Callable[..., Result]


@pytest.fixture
def preflight(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """`preflight(*arguments)`: what the entry point does with them, without a process of its own."""

    def call(*arguments: str | Path) -> Result:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["preflight", *map(str, arguments)])
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            with pytest.raises(SystemExit) as ended:
                main()
        finally:  # the command does not care, as its process ends with it
            for number, handler in handlers.items():
                signal.signal(number, handler)
        told = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        validate(told.out)
        return Result(ended.value.code, told.out, told.err)

    return call


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one image of each sort that the commands treat differently."""
    folder = tmp_path_factory.mktemp("images")
    sound.disk(folder, sound.tree(folder))
    disks.converted(folder / "system.raw", folder / "system.qcow2", "qcow2")
    sparse(folder / "data.raw", 5 * GiB)
    disks.partitioned(folder / "small.raw", 64 * MiB, "label: dos\nsize=32M, type=83, bootable\n")
    run("qemu-img", "create", "-q", "-f", "vmdk", folder / "foreign.vmdk", "10G")
    (folder / "notes.raw").write_text("these are notes\n")
    return folder
