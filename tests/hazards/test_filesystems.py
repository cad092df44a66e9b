"""F: file systems that lead out of bounds, to themselves, or nowhere; G1: names that lead out of the guest."""

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from preflight.binary import crc32c
from preflight.facts import Image, Unknown
from preflight.filesystems import btrfs, ext
from preflight.guest_facts import Guest
from preflight.inspection import inspect
from preflight.units import KiB, MiB
from tests import sound
from tests.contents import ntfs_images
from tests.contents.ntfs_images import DATA, Edit, le64, listed, runs, with_list
from tests.contents.sources import capture
from tests.hazards.rows import hazard, told
from tests.properties import images
from tests.properties.fields import fields
from tests.tools import run, sparse

Sound = images.Sound


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sound")


@pytest.fixture(scope="module")
def ext4(folder: Path) -> Path:
    """A Debian on ext4, blocks of 1 KiB, without checksums of metadata; a large directory, and a loop of links."""
    path = sparse(folder / "ext4", 16 * MiB)
    tree = sound.tree(folder)
    (tree / "etc" / "many").mkdir()
    for number in range(200):
        (tree / "etc" / "many" / f"a-file-with-the-number-{number}").touch()
    run("mke2fs", "-q", "-F", "-t", "ext4", "-b", "1024", "-O", "^metadata_csum,^64bit", "-d", tree, path)
    run("e2fsck", "-fyD", path, ok=(0, 1))
    return path


@contextmanager
def changed(path: Path, *writes: tuple[int, bytes]) -> Iterator[Image]:
    """What an inspection sees with these bytes in the file, which gets its own back."""
    with path.open("r+b") as file:
        undo = []
        for offset, data in writes:
            file.seek(offset)
            undo.append((offset, file.read(len(data))))
            file.seek(offset)
            file.write(data)
    try:
        yield inspect(str(path))
    finally:
        with path.open("r+b") as file:
            for offset, data in reversed(undo):
                file.seek(offset)
                file.write(data)


def sealed(image: Sound, place: str, field: str, value: int, size: int) -> list[tuple[int, bytes]]:
    """The writes that set a field and make the checksum fit."""
    found = next(one for one in image.places if one.name == place)
    at = next(one for one in fields(found.layout, found.offset) if one.name == field)
    assert at.size == size
    writes = [(at.offset, value.to_bytes(size, at.order))]

    assert found.seal is not None
    return [*writes, *found.seal(images.patched(lambda *where: read(image.path, *where), writes))]


def read(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)


def inode(path: Path, name: str) -> int:
    words = run("debugfs", "-R", f"imap {name}", path).splitlines()[-1].replace(",", "").split()
    return int(words[words.index("block") + 1]) * KiB + int(words[-1], 16)


def block(path: Path, name: str, number: int = 0) -> int:
    return int(run("debugfs", "-R", f"bmap {name} {number}", path).split()[-1]) * KiB


def os_release(image: Image) -> str | None:
    distro = image.guest.distro if isinstance(image.guest, Guest) else None
    return distro if isinstance(distro, str) else None


@hazard("F1")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        (0x18, struct.pack("<I", 7)),  # s_log_block_size
        (0x18, struct.pack("<I", 0xFFFF_FFFF)),
        (0x58, struct.pack("<H", 0)),  # s_inode_size
        (0x58, struct.pack("<H", 0x8000)),
        (0x28, struct.pack("<I", 0)),  # s_inodes_per_group
        (0x20, struct.pack("<I", 0)),  # s_blocks_per_group
        (0x14, struct.pack("<I", 0xFFFF_FFFF)),  # s_first_data_block
    ],
)
def test_an_impossible_superblock_of_ext_is_told_at_its_byte(ext4: Path, field: int, value: bytes) -> None:
    with changed(ext4, (ext.SUPERBLOCK_OFFSET + field, value)) as found:
        assert told(found) == [("superblock-invalid", "ext superblock of disk", ext.SUPERBLOCK_OFFSET + field)]
        assert [one.type for one in found.filesystems] == ["ext4"]


@hazard("F1")
@pytest.mark.parametrize(
    ("name", "at", "value"),
    [
        ("/etc", 0x2E, struct.pack("<H", 6)),  # eh_depth, at most 5
        ("/etc", 0x2E, struct.pack("<H", 0xFFFF)),
        ("/etc", 0x2A, struct.pack("<H", 0xFFFF)),  # eh_entries
        ("/etc", 0x28, bytes(2)),  # eh_magic
        ("/", 0x28 + 12 + 8, struct.pack("<I", 0xFFFF_FFFF)),  # ee_start_lo
        ("/etc", 0x04, struct.pack("<I", 0xFFFF_FFFF)),  # i_size_lo of a directory
    ],
)
def test_a_damaged_inode_of_ext_costs_the_guest_and_no_more(ext4: Path, name: str, at: int, value: bytes) -> None:
    with changed(ext4, (inode(ext4, name) + at, value)) as found:
        assert isinstance(found.guest, Unknown) or os_release(found) in (None, "debian")
        assert "ext inode" in getattr(found.guest, "unknown", "ext inode")


@hazard("F1")
def test_extents_of_ext_that_lead_to_themselves_end(ext4: Path) -> None:
    place = block(ext4, "/etc")
    node = struct.pack("<HHHHI", 0xF30A, 1, 340, 1, 0) + struct.pack("<IIHH", 0, place // KiB, 0, 0)
    root = struct.pack("<HHHHI", 0xF30A, 1, 4, 5, 0) + struct.pack("<IIHH", 0, place // KiB, 0, 0)
    with changed(ext4, (inode(ext4, "/etc") + 0x28, root), (place, node)) as found:
        assert isinstance(found.guest, Unknown)
        assert "eh_depth" in found.guest.unknown


@hazard("F1")
@pytest.mark.parametrize("rec_len", [0, 4, 11, 2048])
def test_a_directory_of_ext_whose_entries_do_not_lead_on_ends(ext4: Path, rec_len: int) -> None:
    with changed(ext4, (block(ext4, "/etc") + 4, struct.pack("<H", rec_len))) as found:
        assert isinstance(found.guest, Unknown)
        assert f"rec_len {rec_len}" in found.guest.unknown


@hazard("F1")
def test_an_index_of_ext_that_leads_to_itself_is_not_followed(ext4: Path) -> None:
    root = block(ext4, "/etc/many")  # dx_root: after `.`, `..` and dx_root_info come limit, count and the first block
    with changed(ext4, (root + 0x24, struct.pack("<I", 0)), (root + 0x1E, b"\x09")) as found:
        assert os_release(found) == "debian"  # the index is not needed to read a directory


@hazard("F1", "G1")
def test_links_in_a_circle_are_left_after_forty(folder: Path) -> None:
    tree = sound.tree(folder / "loop")
    for name, target in (("os-release", "a"), ("a", "b"), ("b", "a")):
        (tree / "etc" / name).unlink(missing_ok=True)
        (tree / "etc" / name).symlink_to(target)
    path = sparse(folder / "loop.raw", 16 * MiB)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, path)
    assert inspect(str(path)).problems == ()


@hazard("G1")
@pytest.mark.parametrize(
    "target", ["../../../../../../etc/os-release", "/etc/os-release", "/dev/zero", "/proc/self/mem"]
)
def test_a_link_out_of_the_guest_stays_in_the_guest(folder: Path, target: str) -> None:
    tree = sound.tree(folder / target.strip("./").replace("/", "-") / str(target.count("..")))
    for place in ("etc/os-release", "usr/lib/os-release"):
        (tree / place).unlink(missing_ok=True)
        (tree / place).symlink_to(target)
    path = sparse(folder / "link.raw", 16 * MiB)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, path)
    guest = inspect(str(path)).guest
    if isinstance(guest, Guest):  # by other files of the guest; never by those of the host
        assert guest.distro == "debian"


@hazard("G1")
def test_what_is_no_small_regular_file_is_not_read(folder: Path) -> None:
    tree = sound.tree(folder / "special")
    (tree / "etc" / "os-release").unlink(missing_ok=True)
    (tree / "etc" / "fstab").unlink(missing_ok=True)
    os.mkfifo(tree / "etc" / "fstab")
    with (tree / "etc" / "os-release").open("wb") as file:
        file.write(b"ID=huge\n")
        file.truncate(10 << 30)
    path = sparse(folder / "special.raw", 64 * MiB)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, path)
    found = inspect(str(path))
    assert os_release(found) != "huge"
    assert (
        isinstance(found.guest, Unknown)
        or isinstance(getattr(found.guest, "fstab", None), Unknown)
        or not (getattr(getattr(found.guest, "fstab", None), "entries", ()))
    )


@pytest.fixture(scope="module")
def on_xfs(folder: Path) -> Sound:
    return images.xfs_(folder)


@hazard("F2")
@pytest.mark.parametrize(
    ("field", "value", "size", "at"),
    [
        ("sb_agcount", 0xFFFF_FFFF, 4, 0x54),
        ("sb_agcount", 0, 4, 0x58),
        ("sb_sectlog", 63, 1, 0x79),
        ("sb_inodelog", 0, 1, 0x7A),
        ("sb_blocklog", 255, 1, 0x78),
        ("sb_dblocks", (1 << 64) - 1, 8, 0x08),
    ],
)
def test_an_impossible_superblock_of_xfs_is_told_at_its_byte(
    on_xfs: Sound, field: str, value: int, size: int, at: int
) -> None:
    with changed(on_xfs.path, *sealed(on_xfs, "superblock", field, value, size)) as found:
        assert told(found) == [("superblock-invalid", "XFS superblock of disk", at)]
        assert [(one.type, one.size) for one in found.filesystems] == [("xfs", None)]


@hazard("F2")
@pytest.mark.parametrize(
    ("place", "at", "value"),
    [
        ("inode b+tree", 4, b"\xff\xff"),  # level
        ("inode b+tree", 6, b"\xff\xff"),  # numrecs
        ("inode b+tree", 8, b"\x00\x00\x00\x01"),  # itself as its left neighbour
        ("agi", 20, b"\xff\xff\xff\xff"),  # root
        ("agi", 24, b"\xff\xff\xff\xff"),  # level
        ("root inode", 56, b"\xff" * 8),  # size
        ("root inode", 5, b"\x03"),  # a directory by B+tree whose root is no such thing
        ("root inode", 176, b"\xff" * 16),
    ],
)
def test_damaged_trees_of_xfs_cost_the_guest_and_no_more(on_xfs: Sound, place: str, at: int, value: bytes) -> None:
    start = next(one.offset for one in on_xfs.places if one.name == place)
    with changed(on_xfs.path, (start + at, value)) as found:
        assert [one.type for one in found.filesystems] == ["xfs"]
        assert "crashed" not in getattr(found.guest, "unknown", "") and "longer than" not in getattr(
            found.guest, "unknown", ""
        )


@pytest.fixture(scope="module")
def on_btrfs(folder: Path) -> Sound:
    place = folder / "btrfs-disk"
    place.mkdir()
    return images.btrfs_(place)


@hazard("F3")
@pytest.mark.parametrize(
    ("place", "field", "value", "size", "words"),
    [
        ("superblock", "sys_chunk_array_size", 2049, 4, "sys_chunk_array_size"),
        ("superblock", "sys_chunk_array_size", 0xFFFF_FFFF, 4, "sys_chunk_array_size"),
        ("superblock", "sys_chunk_array_size", 0, 4, "no chunk"),
        ("chunk", "num_stripes", 0, 2, "num_stripes"),
        ("chunk", "num_stripes", 0xFFFF, 2, ""),
        ("chunk", "length", 0, 8, "length"),
        ("superblock", "root", 1 << 63, 8, "no chunk"),
        ("superblock", "nodesize", 0, 4, "nodesize"),
    ],
)
def test_a_damaged_superblock_of_btrfs_leaves_the_guest_unknown(
    on_btrfs: Sound, place: str, field: str, value: int, size: int, words: str
) -> None:
    with changed(on_btrfs.path, *sealed(on_btrfs, place, field, value, size)) as found:
        assert isinstance(found.guest, Unknown)
        assert words in found.guest.unknown
        assert "btrfs" in found.guest.unknown


@hazard("F3")
def test_a_node_of_btrfs_that_leads_to_itself_ends(on_btrfs: Sound) -> None:
    """The leaf of the tree of roots as a node of level 1 with a pointer to itself, the superblock told so too."""
    path = on_btrfs.path
    superblock = read(path, btrfs.PRIMARY_OFFSET, 4 * KiB)
    generation, logical = struct.unpack_from("<QQ", superblock, 0x48)
    fsid = superblock[0x20:0x30]
    writes = []
    for at in range(MiB, path.stat().st_size, 16 * KiB):
        node = bytearray(read(path, at, 16 * KiB))
        if node[0x20:0x30] == fsid and struct.unpack_from("<Q", node, 0x30)[0] == logical:
            node[0x60:0x65] = struct.pack("<IB", 1, 1)
            node[0x65 : 0x65 + 33] = bytes(17) + struct.pack("<QQ", logical, generation)
            node[:4] = (crc32c(bytes(node[32:])) ^ 0xFFFFFFFF).to_bytes(4, "little")
            writes.append((at, bytes(node)))
    assert writes
    with changed(on_btrfs.path, *sealed(on_btrfs, "superblock", "root_level", 1, 1), *writes) as found:
        assert isinstance(found.guest, Unknown)
        assert "level is" in found.guest.unknown


@hazard("F4")
@pytest.mark.parametrize("bits", [12, 16, 32])
@pytest.mark.parametrize("value", [2, 3, 0xFFFF_FFFF, 0])
def test_a_chain_of_clusters_of_fat_that_loops_ends(folder: Path, bits: int, value: int) -> None:
    place = folder / f"{bits}-{value}"
    place.mkdir()
    image = images.fat(place, bits)
    table = next(one.offset for one in image.places if one.name == "table")
    entry = {12: b"", 16: struct.pack("<H", value & 0xFFFF), 32: struct.pack("<I", value & 0x0FFFFFFF)}[bits]
    size = bits // 8
    looped = entry * 40 if entry else (value & 0xFFF | (value & 0xFFF) << 12).to_bytes(3, "little") * 20
    with changed(image.path, (table + 2 * (size or 1), looped)) as found:
        assert [one.type for one in found.filesystems] == ["vfat"]
        assert found.guest is None or isinstance(found.guest, Unknown)


def record(number: int) -> int:
    boot = capture("ntfs/windows").read_at(0, 512)
    cluster = int.from_bytes(boot[11:13], "little") * boot[13]
    return int.from_bytes(boot[48:56], "little") * cluster + number * 1024


@hazard("F4")
@pytest.mark.parametrize(
    ("number", "change"),
    [
        (0, lambda data: data[:4] + b"\xff\xff" + data[6:]),  # where the fixups are
        (0, lambda data: data[:6] + b"\xff\xff" + data[8:]),  # how many
        (5, lambda data: data[:20] + b"\x00\x00" + data[22:]),  # the first attribute at the header
        (5, lambda data: data[:60] + bytes(4) + data[64:]),  # an attribute of length 0
        (
            5,
            lambda data: (
                data[:0x38] + struct.pack("<II", 0x20, 72) + bytes(8) + struct.pack("<IH", 24, 24) + data[0x50:]
            ),
        ),
        (0, lambda data: data.replace(b"\x80\0\0\0", b"\x80\0\0\0", 1)[:0x140] + b"\x88" + b"\xff" * 16 + data[0x151:]),
    ],
    ids=["fixup offset", "fixup count", "attributes offset", "attribute length", "attribute list", "runs"],
)
def test_damaged_records_of_ntfs_cost_the_guest_and_no_more(
    folder: Path, number: int, change: Callable[[bytes], bytes]
) -> None:
    path = folder / "ntfs"
    if not path.exists():
        images.ntfs_(folder)
    place = record(number)
    data = read(path, place, 1024)
    with changed(path, (place, change(data)[:1024])) as found:
        assert [one.type for one in found.filesystems] == ["ntfs"]
        assert found.guest is None or isinstance(found.guest, Unknown | Guest)
        assert "crashed" not in getattr(found.guest, "unknown", "")


@hazard("F4")
@pytest.mark.parametrize(
    ("number", "edit", "reason"),
    [
        (0, runs(b"\x16" + le64(1 << 47)[:6] + b"\4"), "a run has 140737488355328 clusters from 4"),
        (0, runs(b"\x11\1\4" * 2), "highest_vcn is"),
        (0, with_list(listed(DATA, 1 << 20, 0)), "the first piece of the table is not told of by itself"),
        (0, with_list(listed(DATA, 0, 1) + listed(DATA, 0, 1)), "ntfs file record 0"),
        (5, with_list(listed(0x90, 5, 77, name="$I30") * 4), "it lacks an attribute 0x90"),
        (5, with_list(listed(0x90, 0, 0, name="$I30")), "it is no part of record 5"),
    ],
    ids=[
        "run of 2^59 bytes",
        "runs that overlap",
        "list that needs itself",
        "list twice",
        "list of nothing",
        "theft",
    ],
)
def test_lists_and_runs_of_ntfs_that_lead_nowhere_end(folder: Path, number: int, edit: Edit, reason: str) -> None:
    path = folder / "ntfs"
    if not path.exists():
        images.ntfs_(folder)
    place = record(number)
    data = ntfs_images.sealed(capture("ntfs/windows"), place, KiB, edit).read_at(place, KiB)
    with changed(path, (place, data)) as found:
        assert [one.type for one in found.filesystems] == ["ntfs"]
        assert reason in getattr(found.guest, "unknown", "")
