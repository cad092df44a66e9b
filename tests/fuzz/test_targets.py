"""Every target takes its own first inputs, and the machinery of fuzzing does what it says; no atheris is needed."""

import random
from pathlib import Path

import pytest

from preflight.source import Memory
from tests.fuzz import bases, guests
from tests.fuzz.targets import targets
from tests.fuzz.worker import Recorder

NAMES = tuple(targets(Path("/nonexistent")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("disks")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "inspect"])
def test_a_target_takes_its_first_inputs_and_some_changes_of_them(name: str, folder: Path) -> None:
    target = targets(folder)[name]()
    rng = random.Random(name)
    for seed in target.seeds[:20]:
        target.run(seed)
    if target.bases and target.seeds:
        hot = [bases.watched(target.run, number) for number in range(len(target.bases))]
        mutate = bases.mutator(target.bases, hot, lambda data, _: rng.randbytes(8) + data[8:])
        data = target.seeds[0]
        for number in range(10):
            data = mutate(data, 1 << 16, number)
            target.run(data)


def test_the_whole_walk_is_a_target() -> None:
    assert "inspect" in NAMES


def test_a_changed_disk_is_the_base_but_for_its_changes() -> None:
    base = Memory(bytes(range(256)) * 16)
    data = b"\0" + (2).to_bytes(4, "little") + b"x" * 512
    disk = bases.changed([base], data)
    assert disk.read_at(0, 4096) == base.read_at(0, 1024) + b"x" * 512 + base.read_at(1536, 2560)
    assert disk.read_at(1020, 8) == base.read_at(1020, 4) + b"xxxx"
    assert disk.read_at(1530, 10) == b"x" * 6 + base.read_at(1536, 4)


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
