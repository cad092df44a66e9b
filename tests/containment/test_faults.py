"""A file or host that fails in the middle of reading: what was read stands, the rest is unknown with its reason."""

import errno
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest

from preflight import guest_inspection
from preflight.errors import UnreadableImage
from preflight.guest_facts import Guest
from preflight.guest_files import Disk, GuestFiles
from preflight.inspection import inspect
from preflight.limits import Limits
from tests.cli.running import ROOT

ACCEPTED = ROOT / "fixtures" / "images" / "accepted.qcow2"


def shrink(path: Path) -> None:
    os.truncate(path, 256 * 1024)


def grow(path: Path) -> None:
    os.truncate(path, 8 << 20)


def vanish(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    path.with_suffix(".new").write_bytes(b"something else")
    os.replace(path.with_suffix(".new"), path)


@pytest.mark.parametrize(
    ("change", "changed", "read"),
    [(shrink, True, False), (grow, True, True), (vanish, False, True), (replace, False, True)],
)
def test_a_file_that_changes_before_its_guest_is_read(
    tmp_path: Path, change: Callable[[Path], None], changed: bool, read: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(shutil.copy(ACCEPTED, tmp_path / "disk.qcow2"))

    def late(disk: Disk) -> GuestFiles:
        change(path)
        return GuestFiles(disk)

    monkeypatch.setattr(guest_inspection, "GuestFiles", late)
    image = inspect(str(path))
    assert ("changed-while-read" in [problem.code for problem in image.problems]) is changed
    assert len(image.partitions) == 3
    assert (isinstance(image.guest, Guest) and image.guest.distro == "debian") is read
    if not read:
        assert "became shorter" in str(image.guest)


@pytest.mark.parametrize("good", [0, 1, 5, 10, 15, 20])
def test_a_disk_error_after_some_reads(good: int, monkeypatch: pytest.MonkeyPatch) -> None:
    left, pread = [good], os.pread

    def failing(descriptor: int, size: int, offset: int) -> bytes:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.EIO, "Input/output error")
        return pread(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", failing)
    try:
        image = inspect(str(ACCEPTED))
    except UnreadableImage as error:
        assert good < 5
        assert "Input/output error" in str(error)
        return
    assert "Input/output error" in repr(image)


def test_a_guest_that_is_read_in_place_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> NoReturn:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    contained = inspect(str(ACCEPTED))
    monkeypatch.setattr(os, "fork", refused)
    image = inspect(str(ACCEPTED))
    assert [(problem.code, problem.where) for problem in image.problems] == [("guest-uncontained", "the guest's files")]
    assert "Resource temporarily unavailable" in image.problems[0].message
    assert image.guest == contained.guest


@pytest.mark.parametrize(("limits", "words"), [(Limits(reads=1), " reads or 107"), (Limits(bytes=4096), "655")])
def test_the_limits_are_those_that_are_given(limits: Limits, words: str) -> None:
    # Some of the file system has been read before, for its superblock, so that the guest is not wholly unknown.
    told = msgspec.json.encode(inspect(str(ACCEPTED), limits=limits).guest).decode()
    assert re.search(rf"reading it would take over [^\"]*{words}", told)


def test_the_limits_hold_for_the_layout_too() -> None:
    image = inspect(str(ACCEPTED), limits=Limits(layout_reads=6))
    assert "budget-exhausted" in [problem.code for problem in image.problems]
