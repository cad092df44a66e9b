"""Every target takes its own first inputs, and the machinery of fuzzing does what it says; no atheris is needed."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import environment
from tests.fuzz import bases, guests
from tests.fuzz.bases import Record, Sparse
from tests.fuzz.targets import targets
from tests.fuzz.worker import Recorder

NAMES = tuple(targets(Path("/nonexistent")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("disks")


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("inspect-")])
def test_a_target_takes_its_first_inputs_and_some_changes_of_them(name: str, folder: Path) -> None:
    target = targets(folder)[name]()
    rng = random.Random(name)
    for seed in target.seeds[:20]:
        target.run(seed)
    if target.bases and target.seeds:
        hot = [bases.watched(target.run, target.bases, number) for number in range(len(target.bases))]
        mutate = bases.mutator(target.bases, hot, lambda data, _: rng.randbytes(8) + data[8:])
        data = target.seeds[0]
        for number in range(10):
            data = mutate(data, 1 << 16, number)
            target.run(data)


def test_the_whole_walk_is_a_target() -> None:
    assert {"inspect-ext", "inspect-containers", "inspect-windows"} <= set(NAMES)


def test_a_changed_disk_is_the_base_but_for_its_changes() -> None:
    whole = bytes(range(256)) * 256
    base = Sparse.of_pieces(len(whole), (0, whole))
    data = bases.packed(0, [Record(1024, b"x" * 200), Record(16 * 1024 - 2, b"yyyy")], 4096)
    disk = bases.changed([base], data)
    assert disk.read_at(0, 4096) == whole[:1024] + b"x" * 200 + whole[1224:4096]
    assert disk.read_at(1020, 8) == whole[1020:1024] + b"xxxx"
    assert disk.read_at(1220, 10) == b"x" * 4 + whole[1224:1230]
    assert disk.read_at(16 * 1024 - 4, 8) == whole[16 * 1024 - 4 : 16 * 1024 - 2] + b"yyyy" + whole[2:4]


def test_a_record_without_bytes_is_the_size_of_the_disk() -> None:
    base = Sparse.of_pieces(1024, (0, b"abcd"))
    disk = bases.changed([base], bases.packed(0, [Record(1 << 30, b"")], 4096))
    assert disk.size == 1 << 30
    assert disk.read_at(0, 4) == b"abcd"
    assert disk.read_at(1020, 8) == bytes(8)


def test_a_sparse_file_is_a_disk(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.seek(40_000)
        file.write(b"data" * 5000)
        file.truncate(1 << 33)
    disk = Sparse.of_file(path)
    assert disk.size == 1 << 33
    assert disk.read_at(39_998, 20_010) == bytes(2) + b"data" * 5000 + bytes(8)
    assert disk.read_at((1 << 33) - 100, 100) == bytes(100)


READ_ALL = """
import sys
from pathlib import Path
import preflight.contents
from preflight import plugins
from preflight.contents import OPENERS
from tests.fuzz.bases import Counted
from tests.fuzz.checksums import without_checksums
from tests.fuzz.disks import Maker
without_checksums()
for kind in sorted(set(OPENERS.values())):
    for base in Maker(Path(sys.argv[1])).contents(kind):
        opener = plugins.load(preflight.contents, kind, "CONTENTS")
        broken = [(0x10000, bytes(32))] if kind == "btrfs" else []
        reader = opener.open(Counted(base, base.size, broken))
        assert list(reader.names(reader.root)), kind
        print(kind)
"""


def test_checksums_that_do_not_fit_stop_no_mutation(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", READ_ALL, folder], capture_output=True, env=environment(), check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr.decode()
    assert {"xfs", "btrfs", "ntfs"} <= set(done.stdout.decode().split())  # of which there are captures


def test_a_guest_goes_into_an_input_and_comes_out() -> None:
    files = {"/etc/fstab": "a\nb\n", "/boot/x": "y"}
    reader = guests.unpacked(guests.packed(dict(files)))
    etc = reader.lookup(reader.root, "etc")
    assert etc is not None
    fstab = reader.lookup(etc, "fstab")
    assert fstab is not None
    assert reader.read(fstab, 0, 100).startswith(b"a\nb\n")


def test_what_is_not_documented_is_kept_once(tmp_path: Path) -> None:
    def fail(data: bytes) -> None:
        raise KeyError(data)

    recorder = Recorder(fail, tmp_path)
    recorder(b"one")
    recorder(b"two")
    found = [path for path in tmp_path.glob("find-*") if path.suffix != ".txt"]
    assert [path.read_bytes() for path in found] == [b"one"]
    assert recorder.executions == 2
