"""NTFS volumes as mkntfs formats them and libntfs-3g fills them, every file compared with what ntfscat reads."""

import hashlib
import os
import random
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from preflight.contents import ContentsError
from preflight.contents.ntfs import NtfsReader
from preflight.source import Buffered
from preflight.units import GiB, KiB, MiB
from tests.contents.sources import Counting, entry, unlimited, walk, whole
from tests.tools import find, require, run
from tests.windows import ntfs_volume

MAX_READS = 15  # of pages of 16 KiB, from the first byte of the volume to a name among 20,000


def ntfscat(volume: Path, path: str) -> bytes:
    """What ntfscat reads of a file."""
    require("ntfscat")
    command = [find("ntfscat") or "", "-f", str(volume), path]
    return subprocess.run(
        command, capture_output=True, check=True, timeout=60, env={**os.environ, "LC_ALL": "C.UTF-8"}
    ).stdout


def lines(size: int, seed: str = "") -> bytes:
    """Bytes that gain from being compressed, and never repeat."""
    found = (hashlib.sha256(f"{seed}{number}".encode()).hexdigest() for number in range(size // 64 + 1))
    return "".join(found).encode()[:size]


def fill(path: Path, cluster: int) -> dict[str, bytes]:
    """Files of every kind, and what they hold."""
    rng = random.Random(cluster)
    sizes = {0, 1, 300, 900, cluster - 1, cluster, cluster + 1, 5 * cluster + 77}
    found = {f"/sizes/{size} bytes": rng.randbytes(size) for size in sizes}
    found |= {f"/Größe/日本-{number:03}-{'x' * (number % 200)}": b"%d" % number for number in range(150)}
    found |= {"/a/b/c/d/e/deep": b"deep", "/\U0001f600/smile": b"a pair of surrogates"}
    found |= {"/case/readme": b"lower", "/case/README": b"capitals", "/case/Readme": b"both"}
    pieces = lines(64 * min(cluster, 4 * KiB) + 5)
    with ntfs_volume.opened(path) as volume:
        for name, data in found.items():
            volume.write(name, data)
        piece = min(cluster, 4 * KiB)
        for first in (0, piece):  # every other piece, so that it is in many runs
            for at in range(first, len(pieces), 2 * piece):
                volume.write_at("/pieces", at, pieces[at : at + piece])
                volume.write_at("/between", at, bytes(piece))
        found["/pieces"] = pieces
        volume.write("/half", b"A" * 3000, size=70_000)
        found["/half"] = b"A" * 3000 + bytes(67_000)
        volume.write_at("/holes", 40 * cluster + 100, b"end")
        found["/holes"] = bytes(40 * cluster + 100) + b"end"
        if cluster <= 4 * KiB:
            volume.directory("/compressed", compressed=True)
            found["/compressed/lines"] = lines(150_000) + bytes(140_000) + rng.randbytes(70_000) + lines(1234)
            found["/compressed/zeros"] = bytes(100_000)
            found["/compressed/small"] = b"small"
            for name in ("lines", "zeros", "small"):
                volume.write(f"/compressed/{name}", found[f"/compressed/{name}"])
    return found


@pytest.mark.parametrize(
    ("sector", "cluster", "more"),
    [
        (512, 512, ()),
        (512, 1024, ()),
        (512, 4096, ()),
        (512, 64 * KiB, ()),
        (512, 2 * MiB, ()),  # sectors_per_cluster is a negative exponent
        (1024, 2048, ()),
        (4096, 4096, ()),  # records of 4 KiB
        (4096, 64 * KiB, ()),
    ],
)
def test_all_files_of_a_volume_are_read(sector: int, cluster: int, more: tuple[str, ...], tmp_path: Path) -> None:
    require("mkntfs")
    size = GiB if cluster > MiB else 64 * MiB
    path = ntfs_volume.format_volume(tmp_path / "v", size, "-s", str(sector), "-c", str(cluster), *more)
    expected = fill(path, cluster)
    with unlimited(path) as source:
        reader = NtfsReader(Buffered(source))
        for name, data in expected.items():
            assert whole(reader, name) == data, name
            assert reader.read(entry(reader, name), len(data) // 3, 1000) == data[len(data) // 3 :][:1000], name
        listed = {name for name, node in walk(reader) if node.kind == "file" and not name.startswith("/$")}
        assert listed == {*expected, "/between"}
        assert whole(reader, "/case/README") == b"capitals"
        assert whole(reader, "/CASE/rEADME") in (b"lower", b"capitals", b"both")
        assert whole(reader, "/GRÖßE/日本-007-XXXXXXX") == b"7"
    for name in ("/pieces", "/holes", "/half", "/compressed/lines", "/sizes/900 bytes"):
        if name in expected:
            assert ntfscat(path, name) == expected[name]  # the tool agrees with the recipe


def test_a_table_in_many_pieces_is_read(tmp_path: Path) -> None:
    """Files between those of the table's growth: its own record has no room for all the runs."""
    path = ntfs_volume.format_volume(tmp_path / "v", 256 * MiB, "-c", "512", "-z", "1")
    names = [f"file-{number:05}" for number in range(3000)]
    late = [f"late-{number:04}" for number in range(4000)]
    with ntfs_volume.opened(path) as volume:
        for name in names:
            volume.write(f"/many/{name}", lines(3 * KiB, name))
        # What is left free is in pieces of some clusters, which the table must take.
        end = 0
        for size in (MiB, 64 * KiB, 4 * KiB, 512):
            with suppress(OSError):
                while True:
                    volume.write_at("/filler", end, bytes(size))
                    end += size
        for number in range(1, len(names), 2):
            volume.remove(f"/many/{names[number]}")
        volume.names("/late", late)
        volume.write("/late/last", b"the last one")
    text = run("ntfsinfo", "-f", "-v", "-i", "0", path)
    assert "$ATTRIBUTE_LIST" in text
    with unlimited(path) as source:
        counting = Counting(source)
        reader = NtfsReader(Buffered(counting))
        assert whole(reader, "/late/last") == b"the last one"
        assert counting.reads < 40
        assert set(reader.names(entry(reader, "late"))) == {*late, "last"}
        for number in range(0, len(names), 100):
            assert whole(reader, f"/many/{names[number]}") == lines(3 * KiB, names[number])


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A volume with a directory of 20,000 names as long as those of WinSxS, made in no order."""
    path = ntfs_volume.format_volume(tmp_path_factory.mktemp("crowded") / "v", 256 * MiB)
    names = [f"amd64_Component-{number:05}_31bf3856ad364e35_10.0.20348.{number % 977}_none" for number in range(20_000)]
    random.Random(7).shuffle(names)
    names[11] = "Ärger-" + names[11]
    with ntfs_volume.opened(path) as volume:
        volume.names("/Windows/WinSxS", names)
        for name in names[:50]:
            volume.write(f"/Windows/WinSxS/{name}", name.encode())
    return path, names


@pytest.mark.parametrize("number", [0, 11, 49])
def test_a_name_among_20_000_is_found_with_few_reads(number: int, crowded: tuple[Path, list[str]]) -> None:
    path, names = crowded
    with unlimited(path) as source:
        counting = Counting(source)
        reader = NtfsReader(Buffered(counting))
        assert whole(reader, f"/windows/winsxs/{names[number].upper()}") == names[number].encode()
        assert counting.reads <= MAX_READS
        before = counting.reads
        assert reader.lookup(entry(reader, "Windows/WinSxS"), f"{names[number]}x") is None
        assert counting.reads <= before + 5


def test_all_names_of_a_large_directory_are_found_and_listed(crowded: tuple[Path, list[str]]) -> None:
    path, names = crowded
    with unlimited(path) as source:
        counting = Counting(source)
        reader = NtfsReader(Buffered(counting))
        directory = entry(reader, "Windows/WinSxS")
        before = counting.reads
        assert sorted(reader.names(directory)) == sorted(names)
        assert counting.reads <= before + 400  # ntfs-3g scatters a directory that grows; each piece is read once
        for name in names[::37]:
            node = reader.lookup(directory, name)
            assert node is not None and node.kind == "file"
        assert reader.lookup(directory, "") is None
        for absent in ("!", "amd64", names[5][:-1], names[5] + "x", "zzz", "\uffff"):
            assert reader.lookup(directory, absent) is None


def test_a_directory_that_was_emptied_is_read(crowded: tuple[Path, list[str]], tmp_path: Path) -> None:
    path, names = tmp_path / "v", crowded[1]
    run("cp", "--sparse=always", crowded[0], path)
    kept = set(names[::500])
    with ntfs_volume.opened(path) as volume:
        for name in names:
            if name not in kept:
                volume.remove(f"/Windows/WinSxS/{name}")
    with unlimited(path) as source:
        reader = NtfsReader(Buffered(source))
        directory = entry(reader, "Windows/WinSxS")
        assert set(reader.names(directory)) == kept
        for name in names[:2000:7]:
            assert (reader.lookup(directory, name) is not None) == (name in kept)
    with ntfs_volume.opened(path) as volume:
        for name in kept:
            volume.remove(f"/Windows/WinSxS/{name}")
    with unlimited(path) as source:
        reader = NtfsReader(Buffered(source))
        directory = entry(reader, "Windows/WinSxS")
        assert list(reader.names(directory)) == []
        assert reader.lookup(directory, names[0]) is None


def test_a_file_that_is_gone_is_not_read_by_its_old_node(tmp_path: Path) -> None:
    """Its record is another file's by then: sequence numbers tell."""
    path = ntfs_volume.format_volume(tmp_path / "v", 16 * MiB)
    with ntfs_volume.opened(path) as volume:
        volume.write("/old", b"old")
    with unlimited(path) as source:
        number = entry(NtfsReader(source), "old").handle.file.record
    with ntfs_volume.opened(path) as volume:
        volume.remove("/old")
        volume.write("/new", b"new")
    with unlimited(path) as source:
        reader = NtfsReader(source)
        record = entry(reader, "new").handle.file.record
        assert (record.number, record.sequence_number) == (number.number, number.sequence_number + 1)
        with pytest.raises(ContentsError, match="it is another file's now"):
            reader._read_node(number.number << 16 | number.sequence_number)
