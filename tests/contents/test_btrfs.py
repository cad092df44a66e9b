"""Files in btrfs, against Linux, which listed the captures, and mkfs.btrfs."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.contents import ContentsError, FileReader
from preflight.contents.btrfs import CONTENTS
from preflight.contents.tree import Tree
from preflight.source import BlockSource, Buffered, FileSource
from preflight.units import GiB, MiB
from tests.contents import btrfs_images as images
from tests.tools import run, sparse


def open_subvolumes(source: BlockSource) -> dict[str, FileReader]:
    assert CONTENTS.subvolumes is not None
    return dict(CONTENTS.subvolumes(source))


@pytest.mark.parametrize("name", ["distribution", "layouts"])
def test_everything_from_the_top_is_as_linux_shows_it(name: str) -> None:
    top = open_subvolumes(images.capture(name))[""]
    assert images.walk(top) == images.listed(name)


@pytest.mark.parametrize("name", ["distribution", "layouts"])
def test_subvolumes_have_the_paths_and_the_order_that_linux_says(name: str) -> None:
    default, *others = images.subvolumes(name)
    found = list(open_subvolumes(images.capture(name)))
    assert found[0] == default[1]
    assert found[1:] == ["", *(path for number, path in sorted(others) if number != default[0])]


@pytest.mark.parametrize("name", ["distribution", "layouts"])
def test_each_subvolume_shows_what_linux_shows_below_its_path(name: str) -> None:
    listed = images.listed(name)
    for path, reader in open_subvolumes(images.capture(name)).items():
        if path:
            below = {
                inside.removeprefix(f"{path}/"): seen
                for inside, seen in listed.items()
                if f"{path}/" in inside[: len(path) + 1]
            }
            assert images.walk(reader) == below, path


def test_opening_shows_the_default_subvolume() -> None:
    tree = Tree(CONTENTS.open(images.capture("distribution")))
    assert tree.text("/etc/os-release") == 'NAME="openSUSE Leap"\nID="opensuse-leap"\nVERSION_ID="15.6"\n'
    assert tree.names("/") == ("boot", "etc", "home", "nested", "tmp", "usr", "var")


def test_subvolume_inside_a_snapshot_s_original_is_an_empty_directory_in_the_snapshot() -> None:
    tree = Tree(open_subvolumes(images.capture("distribution"))["@/.snapshots/2/snapshot"])
    assert tree.is_directory("/nested")
    assert tree.names("/nested") == ()
    assert tree.text("/nested/file") is None
    assert not tree.exists("/etc/motd")  # which came after the snapshot


@pytest.fixture(scope="module")
def layouts() -> FileReader:
    return open_subvolumes(images.capture("layouts"))[""]


@pytest.mark.parametrize("algorithm", ["none", "zlib", "lzo", "zstd"])
def test_all_ways_of_storing_give_the_same_text(layouts: FileReader, algorithm: str) -> None:
    for name in ("text", "inline", "short", "zeros", "overwritten"):
        plain, other = (images.follow(layouts, f"@/{directory}/{name}") for directory in ("none", algorithm))
        assert layouts.read(other, 0, other.size) == layouts.read(plain, 0, plain.size), name


@settings(max_examples=60, deadline=None)
@given(
    path=st.sampled_from(["none/overwritten", "lzo/overwritten", "zlib/zeros", "none/preallocated", "zstd/text"]),
    offset=st.integers(0, 260_000),
    size=st.integers(0, 100_000),
)
def test_any_part_of_a_file_is_that_part_of_the_whole(layouts: FileReader, path: str, offset: int, size: int) -> None:
    node = images.follow(layouts, f"@/{path}")
    assert layouts.read(node, offset, size) == layouts.read(node, 0, node.size)[offset : offset + size]


def test_holes_of_gigabytes_cost_nothing(layouts: FileReader) -> None:
    node = images.follow(layouts, "@/none/sparse")
    assert node.size == 5 * GiB
    assert layouts.read(node, 4 * GiB - 10, 20) == bytes(10) + b"end" + bytes(7)
    assert layouts.read(node, 5 * GiB - 4, 100) == bytes(4)
    assert layouts.read(node, 5 * GiB, 1) == b""


def test_more_than_a_limit_is_not_read_at_once(layouts: FileReader) -> None:
    with pytest.raises(ContentsError, match="67108865 bytes are asked for at once, at most 67108864"):
        layouts.read(images.follow(layouts, "@/none/sparse"), 0, 64 * MiB + 1)


def test_names_are_found_by_their_bytes(layouts: FileReader) -> None:
    def read(name: str) -> bytes:
        node = images.follow(layouts, f"@/{name}")
        return layouts.read(node, 0, node.size)

    assert read("file-1371838") == b"first\n"  # the next has the same hash
    assert read("file-2000402") == b"second\n"
    assert read("café") == b"UTF-8"
    assert read("caf\udce9") == b"Latin 1"
    assert read("0" * 255) == b"long\n"


@pytest.mark.parametrize("name", ["", ".", "..", "absent", "0" * 256, "\ud800", "a/b", "link\0", "LINK"])
def test_names_that_are_not_there_are_nothing(layouts: FileReader, name: str) -> None:
    directory = images.follow(layouts, "@")
    assert layouts.lookup(directory, name) is None


def test_what_is_asked_of_the_wrong_kind_is_refused(layouts: FileReader) -> None:
    directory, file = images.follow(layouts, "@"), images.follow(layouts, "@/none/text")
    for call in (
        lambda: layouts.read(directory, 0, 1),
        lambda: layouts.target(file),
        lambda: layouts.lookup(file, "x"),
        lambda: list(layouts.entries(file)),
    ):
        with pytest.raises(ContentsError, match="expected is a"):
            call()


def test_listing_ends_at_its_limit(layouts: FileReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("preflight.contents.btrfs.MAX_ENTRIES", 5)
    assert len(list(layouts.entries(images.follow(layouts, "@/many")))) == 5


def files() -> Iterator[tuple[str, bytes]]:
    yield "etc/os-release", b"ID=arch\n"
    yield "etc/empty", b""
    yield "usr/lib/deep/er/still/file", b"deep"
    yield "usr/lib/large", b"".join(b"%d\n" % number for number in range(300_000))
    for number in range(700):
        yield f"many/{number:03}-{'n' * (number % 100)}", b"%d" % number * (number % 9 * 100)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    for name, data in files():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    (root / "etc/link").symlink_to("../usr/lib/large")
    return root


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--mixed"],
        ["-m", "single", "-n", "4k"],
        ["-n", "64k"],
        ["-s", "16k", "-n", "16k"],
        ["-s", "64k", "-n", "64k"],
        ["--csum", "xxhash"],
        ["--csum", "sha256", "-O", "^no-holes"],
        ["--csum", "blake2", "-d", "dup", "-R", "quota"],
        ["-O", "^skinny-metadata,^extref", "-R", "^free-space-tree"],
    ],
    ids=" ".join,
)
def test_a_directory_that_mkfs_has_taken_in_comes_out_again(
    tmp_path: Path, directory: Path, options: list[str]
) -> None:
    image = sparse(tmp_path / "disk", 160 * MiB)
    run("mkfs.btrfs", "-q", *options, "--rootdir", directory, image)
    with FileSource(str(image)) as source:
        found = images.walk(CONTENTS.open(Buffered(source)))
    expected: dict[str, images.Seen] = {}
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        name, mode = str(path.relative_to(directory)), status.st_mode & 0o7777
        if path.is_symlink():
            expected[name] = ("symlink", mode, status.st_size, os.readlink(path))
        elif path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            expected[name] = ("file", mode, status.st_size, digest if status.st_size else None)
        else:
            expected[name] = ("directory", mode, found[name][2], None)  # mkfs.btrfs has a way of its own with sizes
    assert found == expected


def test_forty_small_files_cost_few_reads(tmp_path: Path, directory: Path) -> None:
    image = sparse(tmp_path / "disk", 160 * MiB)
    run("mkfs.btrfs", "-q", "--rootdir", directory, image)
    with FileSource(str(image)) as source:
        tree = Tree(CONTENTS.open(Buffered(source)))
        names = tree.names("/many")
        for name in names[::17][:40]:
            assert tree.read(f"/many/{name}") == b"%d" % int(name[:3]) * (int(name[:3]) % 9 * 100)
        assert source.reads <= 100
        assert source.bytes_read <= 2 * MiB


def two_devices(tmp_path: Path, *options: str) -> tuple[Path, Path]:
    first, second = sparse(tmp_path / "first", 160 * MiB), sparse(tmp_path / "second", 160 * MiB)
    run("mkfs.btrfs", "-q", *options, first, second)
    return first, second


@pytest.mark.parametrize("profile", ["raid1", "raid10"])
def test_either_of_two_mirrors_is_enough(tmp_path: Path, profile: str) -> None:
    for path in two_devices(tmp_path, "-m", profile, "-d", profile):
        with FileSource(str(path)) as source:
            assert list(open_subvolumes(source)) == [""]
            assert images.walk(CONTENTS.open(source)) == {}


def test_striping_over_two_devices_names_the_one_that_is_missing(tmp_path: Path) -> None:
    first, second = two_devices(tmp_path, "-m", "raid0", "-d", "raid0")
    dump = run("btrfs", "inspect-internal", "dump-super", first)
    uuid = next(line.split()[1] for line in dump.splitlines() if line.startswith("dev_item.uuid"))
    with FileSource(str(second)) as source, pytest.raises(ContentsError) as raised:
        images.walk(CONTENTS.open(source))
    assert f"lies on device 1 (UUID {uuid}), which is missing" in str(raised.value)


def test_parity_is_refused_by_name(tmp_path: Path) -> None:
    first, _ = two_devices(tmp_path, "-m", "raid5", "-d", "raid5")
    with FileSource(str(first)) as source, pytest.raises(ContentsError, match="RAID5 is not read here"):
        images.walk(CONTENTS.open(source))
