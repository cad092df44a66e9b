"""Files in FAT, from images that mkfs.vfat made and mtools filled."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.contents import ContentsError, fat
from preflight.contents.tree import Tree
from preflight.errors import UnreachableBytes
from preflight.source import BlockSource, Buffered, Memory
from preflight.units import KiB, MiB
from tests.contents.sources import Changed, Counting, Unreachable, entry, snapshot, unlimited, walk, whole
from tests.tools import require, run, sparse

LONG_NAME = "A Long Näme-日本 with spaces.config.txt"
SIZES = {"FAT12": ("-F", "12"), "FAT16": ("-F", "16"), "FAT32": ("-F", "32")}
CLUSTERS = {"FAT12": "32", "FAT16": "2", "FAT32": "1"}


@pytest.fixture(scope="module")
def files() -> dict[str, bytes | str]:
    """What is put into the images, as `snapshot` finds it."""
    found: dict[str, bytes | str] = {"/EFI": "directory", "/EFI/BOOT": "directory", "/EFI/vendor": "directory"}
    found["/EFI/BOOT/BOOTX64.EFI"] = os.urandom(MiB + 1)
    found[f"/EFI/vendor/{LONG_NAME}"] = b"long"
    found["/startup.nsh"] = b"lower"
    found["/EMPTY"] = b""
    found["/loader"] = "directory"
    for number in range(1, 41):
        found[f"/loader/conf{number}"] = os.urandom(number * 61)
    found["/many"] = "directory"
    for number in range(600):
        found[f"/many/a-file-with-the-number-{number}"] = b""
    return found


def make(folder: Path, files: dict[str, bytes | str], kind: str) -> Path:
    require("mkfs.vfat", "mcopy", "mmd", "mdel")
    top = folder / "files"
    for path, content in files.items():
        if isinstance(content, bytes):
            (top / path[1:]).write_bytes(content)
        else:
            (top / path[1:]).mkdir(parents=True)
    image = sparse(folder / "image", 40 * MiB)
    run("mkfs.vfat", *SIZES[kind], "-s", CLUSTERS[kind], "-n", "ESP", image)
    locale = {"LC_ALL": "C.UTF-8"}  # in which mtools is told long names
    run("mcopy", "-s", "-Q", "-i", image, *sorted(top.iterdir()), "::", env=locale)
    (folder / "deleted.txt").write_bytes(b"deleted")
    run("mcopy", "-i", image, folder / "deleted.txt", "::")
    run("mdel", "-i", image, "::deleted.txt")
    return image


@pytest.fixture(scope="module", params=SIZES)
def image(
    request: pytest.FixtureRequest, files: dict[str, bytes | str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return make(tmp_path_factory.mktemp("image"), files, request.param)


@pytest.fixture(scope="module")
def fat16(files: dict[str, bytes | str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("image"), files, "FAT16")


def test_all_files_are_those_that_were_put_in(image: Path, files: dict[str, bytes | str]) -> None:
    with unlimited(image) as source:
        assert snapshot(fat.FatReader(source)) == files


def test_files_are_found_without_case(image: Path, files: dict[str, bytes | str]) -> None:
    with unlimited(image) as source:
        reader = fat.FatReader(source)
        assert whole(reader, "efi/boot/bootx64.efi") == files["/EFI/BOOT/BOOTX64.EFI"]
        assert whole(reader, "Efi/VENDOR/a LONG NÄME-日本 WITH SPACES.CONFIG.TXT") == b"long"
        assert whole(reader, "STARTUP.NSH") == b"lower"
        assert whole(reader, "MANY/A-File-With-The-Number-599") == b""


@pytest.mark.parametrize(
    "name", ["", ".", "..", "ESP", "deleted.txt", "EFI\\BOOT", "EFI/BOOT", "EF", "EFI\0", "x" * 300]
)
def test_what_is_no_name_here_is_not_found(name: str, fat16: Path) -> None:
    with unlimited(fat16) as source:
        reader = fat.FatReader(source)
        assert reader.lookup(reader.root, name) is None
        assert reader.lookup(entry(reader, "EFI"), name) is None or name == "BOOT"


def test_kinds_and_sizes_are_told(fat16: Path) -> None:
    with unlimited(fat16) as source:
        reader = fat.FatReader(source)
        node = entry(reader, "EFI/BOOT/BOOTX64.EFI")
        assert (node.kind, node.size, node.mode) == ("file", MiB + 1, None)
        assert (reader.root.kind, reader.root.mode) == ("directory", None)
        with pytest.raises(ContentsError, match="is needed here"):
            reader.target(node)
        with pytest.raises(ContentsError, match="is needed here"):
            reader.lookup(node, "x")
        with pytest.raises(ContentsError, match="is needed here"):
            reader.read(reader.root, 0, 1)


def test_bytes_are_read_from_anywhere(fat16: Path, files: dict[str, bytes | str]) -> None:
    content = files["/EFI/BOOT/BOOTX64.EFI"]
    with unlimited(fat16) as source:
        reader = fat.FatReader(source)
        node = entry(reader, "EFI/BOOT/BOOTX64.EFI")
        for offset, size in ((0, 1), (511, 2), (5000, 600_000), (MiB, 1), (MiB, 50)):
            assert reader.read(node, offset, size) == content[offset : offset + size]
        assert reader.read(node, MiB + 1, 10) == b""


def test_reading_what_a_guest_is_known_by_takes_few_reads(image: Path) -> None:
    with unlimited(image) as source:
        counting = Counting(source)
        guest = Tree(fat.FatReader(Buffered(counting)))
        assert all(guest.read(f"/loader/conf{number}") for number in range(1, 41))
        assert counting.reads <= 80  # of FAT32 the table, of 312 KiB here, is read first


def test_a_chain_of_clusters_that_ends_early_is_refused(fat16: Path) -> None:
    with unlimited(fat16) as source:
        reserved = int.from_bytes(source.read_at(14, 2), "little") * 512
        whole_table = {reserved + 4: b"\xff" * 60_000}  # every cluster is the last of its file
        reader = fat.FatReader(Changed(source, whole_table))
        with pytest.raises(ContentsError, match=r"^libfsfat: "):
            whole(reader, "EFI/BOOT/BOOTX64.EFI")


@pytest.mark.parametrize(
    "changes", [{11: bytes(2)}, {11: b"\xff\xff"}, {13: bytes(1)}, {510: bytes(2)}],
    ids=["BPB_BytsPerSec 0", "BPB_BytsPerSec", "BPB_SecPerClus", "Signature_word"],
)  # fmt: skip
def test_a_damaged_boot_sector_is_refused(changes: dict[int, bytes], fat16: Path) -> None:
    with unlimited(fat16) as source, pytest.raises(ContentsError, match=r"^libfsfat: "):
        _ = fat.FatReader(Changed(source, changes)).root


def test_why_bytes_are_not_there_is_told(fat16: Path) -> None:
    with unlimited(fat16) as source:
        with pytest.raises(
            ContentsError, match=r"libfsfat: the disk at byte 0x.*: they are in a backing file"
        ) as caught:
            list(walk(fat.FatReader(Unreachable(source, 64 * KiB))))
        assert isinstance(caught.value.__cause__, UnreachableBytes)


def explore(source: BlockSource) -> None:
    """Use a reader; whatever it finds, it raises nothing but `ContentsError`."""
    try:
        reader = fat.FatReader(source)
        for _, (_, node) in zip(range(40), walk(reader), strict=False):
            if node.kind == "file":
                reader.read(node, max(0, node.size - 100), 100)
        entry(reader, "EFI/BOOT/BOOTX64.EFI")
    except (ContentsError, pytest.fail.Exception):
        pass


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=8 * KiB))
def test_any_bytes_are_a_file_system_or_refused(data: bytes) -> None:
    explore(Memory(data))


@settings(max_examples=150, deadline=None)
@given(changes=st.dictionaries(st.integers(0, 256 * KiB), st.binary(min_size=1, max_size=4), min_size=1, max_size=3))
def test_any_changed_byte_leaves_a_file_system_or_is_refused(changes: dict[int, bytes], start: bytes) -> None:
    explore(Changed(Memory(start), changes))


@pytest.fixture(scope="module")
def start(fat16: Path) -> bytes:
    """The boot sector, the tables, the root and some files of the image."""
    return fat16.read_bytes()[: 2 * MiB]
