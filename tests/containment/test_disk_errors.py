"""The whole command on a file system that fails: FUSE gives EIO, a file that shrinks, or an answer that takes long."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from preflight.units import MiB
from tests import sound
from tests.cli.running import ROOT, Result, environment, process
from tests.tools import find, require_fuse

ROOT_START = 66 * MiB  # of disks.GPT_SYSTEM: 1 MiB for the table, 1 MiB for GRUB, 64 MiB for the ESP
EIO = "Input/output error"


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_fuse()
    folder = tmp_path_factory.mktemp("disk")
    return sound.disk(folder, sound.tree(folder))


@contextmanager
def mounted(image: Path, folder: Path, **faults: Any) -> Iterator[Path]:
    """The path under which the image is read with its faults."""
    require_fuse()
    folder.mkdir()
    command = [sys.executable, "-m", "tests.containment.failing", str(image), str(folder), json.dumps(faults)]
    server = subprocess.Popen(command, cwd=ROOT, env=environment(), stderr=subprocess.PIPE)
    try:
        while not os.path.ismount(folder):
            if server.poll() is not None:
                assert server.stderr is not None
                said = server.stderr.read().decode()
                if "Operation not permitted" in said or "Permission denied" in said:
                    pytest.skip(f"this host lets no FUSE be mounted: {said}")
                pytest.fail(said)
            time.sleep(0.02)
        yield folder / "disk"
    finally:
        subprocess.run([str(find("fusermount3")), "-u", "-z", folder], check=False, capture_output=True)
        server.terminate()
        server.communicate(timeout=10)


def ran(command: str, path: Path) -> Result:
    """The command, of which nothing is left when it has ended."""
    result = process(command, "--format", "json", path)
    assert [line for line in _commands() if str(path) in line] == []
    return result


def _commands() -> list[str]:
    found = []
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            found.append(Path(f"/proc/{number}/cmdline").read_bytes().decode(errors="replace").replace("\0", " "))
        except OSError:
            continue
    return found


def image_of(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.out)["images"][0]
    return found


def told(image: dict[str, Any]) -> list[tuple[str, str, int | None]]:
    return [(problem["code"], problem["where"], problem["offset"]) for problem in image["problems"]]


def test_a_disk_without_faults_is_read_through_fuse(tmp_path: Path, disk: Path) -> None:
    with mounted(disk, tmp_path / "mount") as path:
        image = image_of(ran("inspect", path))
    assert image["problems"] == []
    assert image["guest"]["distro"] == "debian"


@pytest.mark.parametrize("command", ["inspect", "check"])
@pytest.mark.parametrize("first", [0, 256 * MiB - 512])
def test_a_file_whose_format_cannot_be_told_is_not_read_at_all(
    tmp_path: Path, disk: Path, command: str, first: int
) -> None:
    """The first sector has the magic of most formats, the last the footer of a VHD."""
    with mounted(disk, tmp_path / "mount", fail=[[first, first + 512]]) as path:
        result = ran(command, path)
    assert result.code == 3
    assert EIO in result.err
    assert f"{first:#x}" in result.err


def test_a_backup_of_gpt_that_fails_is_told_and_the_rest_read(tmp_path: Path, disk: Path) -> None:
    entries = 256 * MiB - 33 * 512
    with mounted(disk, tmp_path / "mount", fail=[[entries, entries + 512]]) as path:
        result = ran("inspect", path)
    image = image_of(result)
    assert result.code == 0
    assert [(where, offset) for _, where, offset in told(image)] == [("gpt backup header", 256 * MiB - 512)]
    assert EIO in str(image["problems"])
    assert len(image["partitions"]) == 3
    assert image["guest"]["distro"] == "debian"


@pytest.mark.parametrize(
    ("first", "last", "code", "offset"),
    [
        (2 * MiB, 2 * MiB + 512, "read-error", 2 * MiB),  # the boot sector of the ESP
        (ROOT_START + 1024, ROOT_START + 2048, "read-error", ROOT_START),  # the superblock of the root
    ],
)
def test_a_structure_that_fails_is_told_at_its_byte(
    tmp_path: Path, disk: Path, first: int, last: int, code: str, offset: int
) -> None:
    with mounted(disk, tmp_path / "mount", fail=[[first, last]]) as path:
        result, judged = ran("inspect", path), ran("check", path)
    image = image_of(result)
    assert (result.code, judged.code) == (0, 1)
    assert (code, offset) in [(code, offset) for code, _, offset in told(image)]
    assert EIO in str(image["problems"])
    assert len(image["partitions"]) == 3


def test_files_that_fail_leave_the_guest_unknown(tmp_path: Path, disk: Path) -> None:
    with mounted(disk, tmp_path / "mount", fail=[[ROOT_START + 4096, ROOT_START + 128 * MiB]]) as path:
        result = ran("inspect", path)
    assert result.code == 0
    assert EIO in image_of(result)["guest"]["unknown"]
    assert {entry["type"] for entry in image_of(result)["filesystems"]} == {"vfat", "ext4"}


@pytest.mark.parametrize("reads", [0, 3, 10, 30])
@pytest.mark.parametrize("size", [0, 100, 66 * MiB])
def test_a_file_that_shrinks_is_told(tmp_path: Path, disk: Path, reads: int, size: int) -> None:
    with mounted(disk, tmp_path / "mount", shrink=[reads, size]) as path:
        result = ran("inspect", path)
    if result.code == 3:
        assert "became shorter" in result.err
        return
    assert result.code == 0
    image = image_of(result)
    assert "became shorter" in str(image) or "changed-while-read" in str(image)


@pytest.mark.parametrize("read", [1, 5, 20])
def test_an_answer_that_takes_long_is_waited_for(tmp_path: Path, disk: Path, read: int) -> None:
    with mounted(disk, tmp_path / "mount", hang=[read, 1.5]) as path:
        image = image_of(ran("inspect", path))
    assert image["problems"] == []
    assert image["guest"]["distro"] == "debian"
