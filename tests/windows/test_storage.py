"""Windows on NTFS as it comes: sectors, clusters, compressed, compacted, sparse and scattered files, cut volumes."""

import hashlib
import re
from pathlib import Path

import pytest

from preflight.contents import ContentsError, ntfs
from preflight.contents.tree import Tree
from preflight.facts import Unknown
from preflight.guest_facts import Guest, Windows
from preflight.guests.windows import read_windows, read_windows_identity
from preflight.inspection import inspect
from preflight.units import GiB, KiB, MiB
from tests.contents.sources import unlimited
from tests.tools import run
from tests.windows import guests, ntfs_volume
from tests.windows.compact import ALGORITHMS, CHUNK_SIZES, compacted
from tests.windows.guests import CONFIG, Changes

RECIPE = guests.recipe("2022")


def text(size: int) -> bytes:
    """Bytes that gain from being compressed, and never repeat."""
    lines = (hashlib.sha256(b"%d" % number).hexdigest() for number in range(size // 64 + 1))
    return "".join(lines).encode()[:size]


def windows_on(path: Path) -> Windows:
    with unlimited(path) as source:
        tree = Tree(ntfs.NtfsReader(source))
        identity = read_windows_identity(tree)
        assert identity is not None
        assert (identity.name, identity.architecture) == (RECIPE.fields["name"], "x86_64")
        found = read_windows(tree)
    assert isinstance(found, Windows)
    return found


@pytest.mark.parametrize(
    ("sector", "cluster"),
    [(512, 512), (512, 4096), (512, 64 * KiB), (512, 2 * MiB), (4096, 4096), (4096, 64 * KiB)],
)
def test_any_size_of_sectors_and_clusters_is_read(sector: int, cluster: int, tmp_path: Path) -> None:
    path = ntfs_volume.format_volume(tmp_path / "c", 2 * GiB, "-s", str(sector), "-c", str(cluster))
    with ntfs_volume.opened(path) as volume:
        for name, data in guests.windows_files(RECIPE, Changes()).items():
            volume.write(name, data)
    found = windows_on(path)
    assert (found.build, found.virtio_storage, found.hotfixes) == (20348, "boot", ("KB5032198",))
    assert found.hives_missing == found.hives_damaged == ()


@pytest.mark.parametrize("size", [1, 4095, 70_000, 1_000_003])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_compacted_file_is_read_right(algorithm: str, size: int, tmp_path: Path) -> None:
    content = text(size) + bytes(CHUNK_SIZES[algorithm])
    path = ntfs_volume.format_volume(tmp_path / "c", 64 * MiB)
    with ntfs_volume.opened(path) as volume:
        volume.compact("/file", len(content), ALGORITHMS[algorithm], compacted(content, algorithm))
    with unlimited(path) as source:
        tree = Tree(ntfs.NtfsReader(source))
        assert tree.head("/file", 100) == content[:100]
        assert tree.read("/file", 2 * MiB) == content


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("lost", ["none of it", "its end", "its beginning"])
def test_a_damaged_compacted_file_is_refused_and_never_empty(algorithm: str, lost: str, tmp_path: Path) -> None:
    content = text(200_000)
    stored = compacted(content, algorithm)
    left = {"none of it": b"", "its end": stored[: len(stored) // 2], "its beginning": b"\xff" * 64 + stored[64:]}[lost]
    path = ntfs_volume.format_volume(tmp_path / "c", 64 * MiB)
    with ntfs_volume.opened(path) as volume:
        volume.compact("/file", len(content), ALGORITHMS[algorithm], left)
    with unlimited(path) as source, pytest.raises(ContentsError):
        Tree(ntfs.NtfsReader(source)).read("/file", MiB)


def test_a_compressed_file_is_read_right(tmp_path: Path) -> None:
    content = text(300_000) + bytes(200_000) + text(10)
    path = ntfs_volume.format_volume(tmp_path / "c", 64 * MiB, "-c", "4096")
    with ntfs_volume.opened(path) as volume:
        volume.directory("/compressed", compressed=True)
        volume.write("/compressed/file", content)
    printed = run("ntfsinfo", "-f", "-v", "-F", "/compressed/file", path)
    assert re.search(r"COMPRESSED", printed)
    with unlimited(path) as source:
        tree = Tree(ntfs.NtfsReader(source))
        assert tree.read("/compressed/file", MiB) == content
        assert tree.head("/compressed/file", 10) == content[:10]


def test_a_scattered_hive_is_read(tmp_path: Path) -> None:
    """Its clusters are not in order: it is in so many pieces that it needs an attribute list."""
    path = ntfs_volume.format_volume(tmp_path / "c", 64 * MiB, "-c", "4096")
    files = guests.windows_files(RECIPE, Changes())
    hive = files.pop(f"{CONFIG}/SOFTWARE")
    hive += bytes(3 * MiB)  # behind the hive bins, as a hive may have after it shrank
    with ntfs_volume.opened(path) as volume:
        for name, data in files.items():
            volume.write(name, data)
        for first in (0, 4096):  # every other cluster, and then those between
            for offset in range(first, len(hive), 8192):
                volume.write_at(f"{CONFIG}/SOFTWARE", offset, hive[offset : offset + 4096])
    assert "$ATTRIBUTE_LIST" in run("ntfsinfo", "-f", "-v", "-F", f"{CONFIG}/SOFTWARE", path)
    with unlimited(path) as source:
        assert Tree(ntfs.NtfsReader(source)).read(f"{CONFIG}/SOFTWARE", 100 * MiB) == hive
    assert windows_on(path).build == 20348


@pytest.mark.parametrize("part", [2, 3, 5, 8])
def test_a_cut_disk_is_never_a_sound_windows(part: int, tmp_path: Path) -> None:
    path = guests.disk(tmp_path, guests.recipe("2016"))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size * part // 9 // 512 * 512)
    image = inspect(str(path))
    assert image.problems
    assert image.guest is None or isinstance(image.guest, Guest | Unknown)
