"""FAT, against mkfs.vfat, mtools and blkid."""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.filesystems.vfat import FILESYSTEM
from preflight.source import Memory
from preflight.units import KiB, MiB
from tests.filesystems.blkid import blkid
from tests.filesystems.reading import agreed, ask, ask_file, stays_within_protocol
from tests.tools import run, sparse

UUID = "DEAD-BEEF"


def make(path: Path, *options: str, size: int = 16 * MiB) -> Path:
    run("mkfs.vfat", "-i", "deadbeef", *options, sparse(path, size), env={"LC_ALL": "C.UTF-8"})
    return path


def patched(path: Path, offset: int, value: bytes) -> Path:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(value)
    return path


@pytest.mark.parametrize(
    ("size", "options", "label"),
    [
        (2 * MiB, ["-F", "12"], None),
        (2 * MiB, ["-F", "12", "-n", "TEST-FAT"], "TEST-FAT"),
        (1440 * KiB, ["-F", "12", "-n", "FLOPPY", "-M", "0xf0"], "FLOPPY"),
        (32 * MiB, ["-F", "16", "-n", "ELEVEN CHAR"], "ELEVEN CHAR"),
        (64 * MiB, ["-F", "16", "-S", "4096", "-n", "BIG SECTOR"], "BIG SECTOR"),
        (64 * MiB, ["-F", "32", "-n", "EFI"], "EFI"),
        (64 * MiB, ["-F", "32"], None),
        (4 * MiB, ["-F", "32", "-n", "SMALL"], "SMALL"),
        (64 * MiB, ["-F", "32", "-f", "1", "-s", "8", "-R", "64", "-n", "ONE FAT"], "ONE FAT"),
        (64 * MiB, ["-F", "32", "--mbr=y", "-n", "WITH MBR"], "WITH MBR"),
    ],
)
def test_type_uuid_label_and_size_are_those_of_the_tools(
    tmp_path: Path, size: int, options: list[str], label: str | None
) -> None:
    path = make(tmp_path / "disk", *options, size=size)
    found = agreed(FILESYSTEM, path)
    assert (found.type, found.uuid, found.label) == ("vfat", UUID, label)
    sector = path.read_bytes()[:512]
    sectors = struct.unpack_from("<H", sector, 0x13)[0] or struct.unpack_from("<I", sector, 0x20)[0]
    assert found.size == sectors * struct.unpack_from("<H", sector, 0xB)[0]
    assert found.size is not None
    assert 0 <= size - found.size < 64 * KiB  # whole tracks
    few = label in ("SMALL", "ONE FAT")  # clusters: mkfs.vfat warns of it
    assert [one.offset for one in found.problems] == ([0x0D] if few else [])


@pytest.mark.parametrize("options", [["-F", "16"], ["-F", "32", "-s", "1"]])
@pytest.mark.parametrize("tool", ["mlabel", "fatlabel"])
@pytest.mark.parametrize("label", ["SECOND", "NO NAME", ""])
def test_changed_and_erased_labels_are_those_of_blkid(
    tmp_path: Path, options: list[str], tool: str, label: str
) -> None:
    path = make(tmp_path / "disk", "-n", "FIRST", *options, size=40 * MiB)
    if tool == "mlabel":
        run("mlabel", "-i", path, f"::{label}" if label else "-c", *([] if label else ["::"]))
    elif label:
        run("fatlabel", path, label)
    else:
        run("fatlabel", "-r", path)
    agreed(FILESYSTEM, path)


@pytest.mark.parametrize("options", [["-F", "16"], ["-F", "32"]])
def test_label_in_a_code_page_is_shown_as_its_bytes(tmp_path: Path, options: list[str]) -> None:
    path = make(tmp_path / "disk", "-n", "OOO", *options, size=40 * MiB)
    start = path.read_bytes().rindex(b"OOO        ")
    patched(path, start, b"\x05\xe5\xe5")  # in code page 850; a name begins with 0x05 for 0xE5, which means free
    assert agreed(FILESYSTEM, path).label == r"\xe5\xe5\xe5"


def test_label_of_the_boot_sector_alone_does_not_count(tmp_path: Path) -> None:
    path = patched(make(tmp_path / "disk", "-F", "16"), 0x2B, b"BOOT LABEL ")
    assert agreed(FILESYSTEM, path).label is None
    assert blkid(path)["LABEL_FATBOOT"] == "BOOT LABEL"


def test_label_is_found_behind_a_directory_of_several_clusters(tmp_path: Path) -> None:
    path = make(tmp_path / "disk", "-F", "32", "-s", "1", size=40 * MiB)
    for number in range(40):  # 16 entries are a cluster
        run("mmd", "-i", path, f"::dir{number}")
    run("mlabel", "-i", path, "::LAST")
    assert agreed(FILESYSTEM, path).label == "LAST"


def test_deleted_and_long_name_entries_are_no_labels(tmp_path: Path) -> None:
    path = make(tmp_path / "disk", "-F", "16", "-n", "KEPT")
    (tmp_path / "file").write_bytes(b"x")
    run("mlabel", "-c", "-i", path, "::")
    run("mcopy", "-i", path, tmp_path / "file", "::a quite long name with lower case letters")
    run("mlabel", "-i", path, "::BEHIND")
    assert agreed(FILESYSTEM, path).label == "BEHIND"


@pytest.mark.parametrize(("signature", "uuid"), [(b"\x29", UUID), (b"\x28", UUID), (b"\x00", None)])
def test_serial_number_needs_the_extended_boot_signature(tmp_path: Path, signature: bytes, uuid: str | None) -> None:
    path = patched(make(tmp_path / "disk", "-F", "16"), 0x26, signature)
    assert agreed(FILESYSTEM, path).uuid == uuid


def test_serial_number_zero_is_none(tmp_path: Path) -> None:
    assert agreed(FILESYSTEM, patched(make(tmp_path / "disk", "-F", "32", size=40 * MiB), 0x43, bytes(4))).uuid is None


def test_old_fat_without_a_name_is_told_by_its_fields(tmp_path: Path) -> None:
    path = patched(make(tmp_path / "disk", "-F", "12", "-n", "OLD", size=2 * MiB), 0x36, b"\xcd\x13" * 4)
    assert agreed(FILESYSTEM, path).label == "OLD"
    patched(path, 0, b"\xe9\x00\x00")
    assert agreed(FILESYSTEM, path).label == "OLD"


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (0x0B, b"\x00\x00"),  # BPB_BytsPerSec
        (0x0B, b"\x00\x03"),
        (0x0B, b"\x00\x01"),
        (0x0B, b"\x00\x20"),
        (0x0D, b"\x00"),  # BPB_SecPerClus
        (0x0D, b"\x03"),
        (0x0E, b"\x00\x00"),  # BPB_RsvdSecCnt
        (0x10, b"\x00"),  # BPB_NumFATs
        (0x15, b"\xf7"),  # BPB_Media
        (0x15, b"\xf1"),
        (0x36, b"JFS     "),
        (0x36, b"HPFS    "),
        (0x20, b"\x10\x00\x00\x00"),  # BPB_TotSec32 below the FATs
    ],
)
def test_impossible_field_is_not_fat(tmp_path: Path, offset: int, value: bytes) -> None:
    path = patched(make(tmp_path / "disk", "-F", "16", size=64 * MiB), 0x36, b"        ")
    assert ask_file(FILESYSTEM, path) is not None
    patched(path, offset, value)
    assert ask_file(FILESYSTEM, path) is None
    assert "TYPE" not in blkid(path)


@pytest.mark.parametrize("label", ["dos", "gpt"])
def test_partition_table_is_not_fat(tmp_path: Path, label: str) -> None:
    path = sparse(tmp_path / "disk", 64 * MiB)
    run("sfdisk", "-q", path, stdin=f"label: {label}\nsize=32MiB\n")
    assert ask_file(FILESYSTEM, path) is None
    patched(path, 0, b"\xeb\x63\x90" + b"\x8e\xd0\xbc\x00\xb0\xb8\x00\x00" * 4)  # how GRUB's boot.img begins
    assert ask_file(FILESYSTEM, path) is None


def test_bitlocker_is_not_fat(tmp_path: Path) -> None:
    path = make(tmp_path / "disk", "-F", "32", size=40 * MiB)
    patched(path, 0, b"\xeb\x58\x90MSWIN4.1")
    assert ask_file(FILESYSTEM, path) is not None
    patched(path, 440, struct.pack("<Q", 2 * MiB))
    patched(path, 2 * MiB, b"-FVE-FS-")
    assert ask_file(FILESYSTEM, path) is None
    patched(path, 3, b"-FVE-FS-")
    assert ask_file(FILESYSTEM, path) is None


@pytest.mark.parametrize("offset", [0, 484])
def test_other_signatures_in_fsinfo_are_a_problem(tmp_path: Path, offset: int) -> None:
    path = patched(make(tmp_path / "disk", "-F", "32", "-n", "NAMED", size=40 * MiB), 512 + offset, b"ABCD")
    found = ask_file(FILESYSTEM, path)
    assert found is not None
    assert (found.uuid, found.label) == (UUID, "NAMED")
    assert [(problem.code, problem.where, problem.offset) for problem in found.problems] == [
        ("superblock-irregular", "FAT FSInfo sector", 512)
    ]
    patched(path, 512 + offset, bytes(4))
    assert not agreed(FILESYSTEM, path).problems


def test_fsinfo_past_the_end_is_a_problem(tmp_path: Path) -> None:
    path = patched(make(tmp_path / "disk", "-F", "32", "-s", "1", size=33 * MiB), 0x30, b"\xff\xff")
    with path.open("r+b") as file:
        file.truncate(30 * MiB)
    found = ask_file(FILESYSTEM, path)
    assert found is not None
    assert [(problem.code, problem.offset) for problem in found.problems] == [("superblock-invalid", 0x30)]


@pytest.mark.parametrize("options", [["-F", "16"], ["-F", "32"]])
def test_root_directory_past_the_end_is_a_problem(tmp_path: Path, options: list[str]) -> None:
    path = make(tmp_path / "disk", "-n", "GONE", *options, size=64 * MiB)
    found = ask(FILESYSTEM, Memory(path.read_bytes()[: 8 * KiB]))
    assert found is not None
    assert (found.uuid, found.label, found.size) == (UUID, None, 64 * MiB)
    assert [(problem.code, problem.where) for problem in found.problems] == [
        ("superblock-invalid", "FAT root directory")
    ]


def fat32(chain: Callable[[int], int], filler: bytes = b"\xe5" * 32) -> bytes:
    """A FAT32 of 1 MiB whose FAT is `chain` and whose data are `filler`."""
    boot = struct.pack("<3s8sHBHBHHBHHHII", b"\xeb\x58\x90", b"test", 512, 1, 2, 1, 0, 0, 0xF8, 0, 0, 0, 0, 2048)
    boot += struct.pack("<IHHIHH12sBBBI11s8s", 16, 0, 0, 2, 0, 0, bytes(12), 0x80, 0, 0x29, 1, b"X", b"FAT32   ")
    fat = b"".join(struct.pack("<I", chain(cluster) & 0xFFFFFFFF) for cluster in range(2048))
    return boot.ljust(1024, b"\0") + fat + filler * ((MiB - 1024 - 8192) // 32)


@pytest.mark.parametrize(
    "chain", [lambda cluster: cluster, lambda cluster: 5 - cluster, lambda cluster: cluster + 1, lambda _: 0x0FFFFFFF]
)
def test_chain_of_the_root_directory_ends_for_us(chain: Callable[[int], int]) -> None:
    class Counting(Memory):
        reads = 0

        def read_at(self, offset: int, size: int) -> bytes:
            self.reads += 1
            return super().read_at(offset, size)

    source = Counting(fat32(chain))
    found = FILESYSTEM.read(source)
    assert found is not None
    assert found.label is None
    assert source.reads < 220  # 99 clusters, two reads each


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 511), st.integers(0, 255))
def test_any_changed_byte_stays_within_the_protocol(position: int, value: int) -> None:
    data = bytearray(fat32(lambda _: 0x0FFFFFFF)[: 16 * KiB])
    data[position] = value
    stays_within_protocol(FILESYSTEM, bytes(data))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=512))
def test_any_bytes_stay_within_the_protocol(data: bytes) -> None:
    stays_within_protocol(FILESYSTEM, data)
    stays_within_protocol(FILESYSTEM, data.ljust(510, b"\0")[:510] + b"\x55\xaa" + bytes(8 * KiB))


@pytest.mark.parametrize("cluster", [0, 1, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_root_directory_in_no_cluster_is_a_problem_at_its_byte(tmp_path: Path, cluster: int) -> None:
    path = patched(make(tmp_path / "disk", "-F", "32", size=64 * MiB), 0x2C, struct.pack("<I", cluster))
    found = ask_file(FILESYSTEM, path)
    assert found is not None
    assert [(problem.code, problem.offset) for problem in found.problems] == [("superblock-invalid", 0x2C)]
    run("fsck.vfat", "-n", path, ok=(1,))


def fields(path: Path) -> list[tuple[str, int | None]]:
    """Codes and bytes of what is told of a FAT."""
    found = ask_file(FILESYSTEM, path)
    assert found is not None
    assert found.type == "vfat"
    return [(problem.code, problem.offset) for problem in found.problems]


@pytest.mark.parametrize(
    ("offset", "value", "field"),
    [
        (0x0B, b"\x00\x03", 0x0B),  # BPB_BytsPerSec
        (0x0B, b"\x00\x00", 0x0B),
        (0x0D, b"\x00", 0x0D),  # BPB_SecPerClus
        (0x0D, b"\x03", 0x0D),
        (0x0E, b"\x00\x00", 0x0E),  # BPB_RsvdSecCnt
        (0x10, b"\x00", 0x10),  # BPB_NumFATs
        (0x15, b"\xf7", 0x15),  # BPB_Media
        (0x13, b"\x10\x00", 0x13),  # BPB_TotSec16 below the FATs
    ],
)
@pytest.mark.parametrize("bits", ["12", "16", "32"])
def test_a_fat_that_linux_refuses_is_told_though_blkid_does_not_name_it(
    tmp_path: Path, bits: str, offset: int, value: bytes, field: int
) -> None:
    path = patched(
        make(tmp_path / "disk", "-F", bits, "-s", "1", size={"12": 2, "16": 16, "32": 64}[bits] * MiB), offset, value
    )
    assert fields(path) == [("superblock-invalid", field)]
    if field != 0x15 and value != b"\x03":  # of which fsck.vfat thinks nothing; Linux refuses them
        run("fsck.vfat", "-n", path, ok=(1,))
    assert "TYPE" not in blkid(path)


def test_a_fat_without_fats_is_told(tmp_path: Path) -> None:
    path = patched(make(tmp_path / "disk", "-F", "16"), 0x16, bytes(2))
    patched(path, 0x24, bytes(4))
    assert fields(path) == [("superblock-invalid", 0x16)]


def test_too_many_clusters_for_16_bits_are_told(tmp_path: Path) -> None:
    path = patched(make(tmp_path / "disk", "-F", "16", "-s", "4"), 0x13, bytes(2))
    patched(path, 0x20, struct.pack("<I", 0x10000 * 4 + 4096))
    assert fields(path) == [("superblock-invalid", 0x0D)]


def test_the_name_that_an_overwritten_fat_left_is_no_fat(tmp_path: Path) -> None:
    path = patched(make(tmp_path / "disk", "-F", "32", size=64 * MiB), 0x0D, b"\x03")
    head = path.read_bytes()[:512]
    for tool in (("mke2fs", "-q", "-F"), ("mkswap", "-f")):
        run(*tool, path)
        patched(path, 0, head)
        assert ask_file(FILESYSTEM, path) is None


@pytest.mark.parametrize("count", [1, 17, 511])
@pytest.mark.parametrize("bits", ["12", "16", "32"])
def test_a_root_directory_of_a_broken_number_of_sectors_is_told(tmp_path: Path, bits: str, count: int) -> None:
    size = {"12": 2, "16": 16, "32": 64}[bits] * MiB
    path = patched(make(tmp_path / "disk", "-F", bits, size=size), 0x11, struct.pack("<H", count))
    assert ("superblock-invalid", 0x11) in fields(path)


@pytest.mark.parametrize("bits", ["12", "16"])
def test_a_fat_without_a_root_directory_is_told(tmp_path: Path, bits: str) -> None:
    size = {"12": 2, "16": 16}[bits] * MiB
    path = patched(make(tmp_path / "disk", "-F", bits, size=size), 0x11, bytes(2))
    assert ("superblock-invalid", 0x11) in fields(path)
    run("fsck.vfat", "-n", path, ok=(1,))


@pytest.mark.parametrize("bits", ["12", "16", "32"])
def test_a_fat_too_small_for_its_clusters_is_told_without_calling_it_damaged(tmp_path: Path, bits: str) -> None:
    size = {"12": 2, "16": 16, "32": 64}[bits] * MiB
    path = make(tmp_path / "disk", "-F", bits, "-s", "1", size=size)
    field = 0x24 if bits == "32" else 0x16
    patched(path, field, b"\x02\x00")
    assert ("superblock-irregular", field) in fields(path)
    run("fsck.vfat", "-n", path, ok=(1,))


@pytest.mark.parametrize(
    "options", [("-S", "4096"), ("-r", "1024"), ("-f", "1"), ("-R", "8"), ("-s", "128"), ("-a",), ()]
)
@pytest.mark.parametrize("size", [64 * KiB, 1440 * KiB, 5 * MiB, 33 * MiB, 300 * MiB])
def test_an_honest_fat_has_no_problem(tmp_path: Path, options: tuple[str, ...], size: int) -> None:
    path = tmp_path / "disk"
    if options and options[0] in ("-S", "-s", "-r") and size < 2 * MiB:
        return  # too few clusters, or a floppy's 224 entries, which do not fill their sectors of 4096 bytes
    make(path, *options, size=size)
    assert fields(path) == []


def fat_of(path: Path) -> tuple[int, int]:
    """Byte and width in bits of the first FAT."""
    sector = path.read_bytes()[:512]
    size, reserved = struct.unpack_from("<H", sector, 0x0B)[0], struct.unpack_from("<H", sector, 0x0E)[0]
    kind = {b"FAT12   ": 12, b"FAT16   ": 16}.get(sector[0x36:0x3E], 32)
    return size * reserved, kind


def with_file(path: Path, bits: str) -> Path:
    size = {"12": 2, "16": 16, "32": 64}[bits] * MiB
    make(path, "-F", bits, "-s", {"12": "8", "16": "4", "32": "1"}[bits], size=size)
    content = path.with_suffix(".content")
    content.write_bytes(b"content" * 4000)
    run("mcopy", "-i", path, content, "::/FILE")
    return path


def mtools_reads(path: Path) -> bool:
    return "content" in run("mtype", "-i", path, "::/FILE", ok=(0, 1))


@pytest.mark.parametrize("bits", ["12", "16", "32"])
@pytest.mark.parametrize("content", [bytes(512), b"no table, a text" * 32], ids=["zeros", "text"])
def test_a_table_that_is_none_is_told_as_by_mtools(tmp_path: Path, bits: str, content: bytes) -> None:
    path = with_file(tmp_path / "disk", bits)
    assert fields(path) == []
    assert mtools_reads(path)
    offset, width = fat_of(path)
    assert width == int(bits)
    patched(path, offset, content)
    assert fields(path) == [("superblock-invalid", offset)]
    assert not mtools_reads(path)
    run("fsck.vfat", "-n", path, ok=(1,))


@pytest.mark.parametrize(("bits", "media"), [("12", b"\0"), ("16", b"\0"), ("16", b"\xf7"), ("32", b"\0")])
def test_a_first_entry_without_the_media_type_is_told_without_calling_it_damaged(
    tmp_path: Path, bits: str, media: bytes
) -> None:
    path = with_file(tmp_path / "disk", bits)
    offset, _ = fat_of(path)
    patched(path, offset, media)
    assert fields(path) == [("superblock-irregular", offset)]
    assert not mtools_reads(path)


@pytest.mark.parametrize(("bits", "mark"), [("16", b"\xff\x3f"), ("32", b"\xff\xff\xff\x03"), ("32", bytes(4))])
def test_a_second_entry_of_a_mounted_volume_has_no_problem(tmp_path: Path, bits: str, mark: bytes) -> None:
    """Its upper bits tell of a volume that was not unmounted, or has errors; Linux looks at nothing else there."""
    path = with_file(tmp_path / "disk", bits)
    patched(path, fat_of(path)[0] + int(bits) // 8, mark)
    assert fields(path) == []
    assert bits == "16" or mtools_reads(path)


@pytest.mark.parametrize("entry", [0, 1, 2, 0x00FFFFF0, 0x0FFFFFF6])
def test_a_chain_of_the_root_directory_that_leads_nowhere_is_told(tmp_path: Path, entry: int) -> None:
    path = with_file(tmp_path / "disk", "32")
    offset, _ = fat_of(path)
    patched(path, offset + 8, struct.pack("<I", entry))
    assert fields(path) == [("superblock-invalid", offset + 8)]
    run("fsck.vfat", "-n", path, ok=(1,))


@pytest.mark.parametrize("entry", [0x0FFFFFF7, 0x0FFFFFF8, 0xFFFFFFFF])
def test_any_end_of_the_chain_of_the_root_directory_is_one(tmp_path: Path, entry: int) -> None:
    path = with_file(tmp_path / "disk", "32")
    patched(path, fat_of(path)[0] + 8, struct.pack("<I", entry))
    assert fields(path) == []


def test_a_root_directory_of_many_clusters_has_no_problem(tmp_path: Path) -> None:
    path = with_file(tmp_path / "disk", "32")
    content = path.with_suffix(".content")
    content.write_bytes(b"x")
    for number in range(40):
        run("mcopy", "-i", path, content, f"::/a file with a long name, number {number}")
    assert fields(path) == []
    run("fsck.vfat", "-n", path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (0x2A, b"\1\0"),  # BPB_FSVer
        (0x28, b"\x80\0"),  # BPB_ExtFlags: not mirrored
        (0x11, b"\x00\x02"),  # BPB_RootEntCnt
    ],
)
def test_what_the_firmware_does_not_take_is_told(tmp_path: Path, field: int, value: bytes) -> None:
    path = patched(with_file(tmp_path / "disk", "32"), field, value)
    assert fields(path)[0] == ("superblock-irregular", field)


@pytest.mark.parametrize(("sectors", "told"), [(65525, False), (65524, True)])
def test_a_fat32_has_at_least_65525_clusters(tmp_path: Path, sectors: int, told: bool) -> None:
    """One less is a FAT16 to Windows, and damaged to EDK II: FAT specification, section FAT Type Determination."""
    path = make(tmp_path / "disk", "-F", "32", "-s", "1", "-a", size=40 * MiB)
    sector = path.read_bytes()[:512]
    before = struct.unpack_from("<H", sector, 0x0E)[0] + 2 * struct.unpack_from("<I", sector, 0x24)[0]
    for place in (0, 6 * 512):  # the backup too
        patched(path, place + 0x13, bytes(2))
        patched(path, place + 0x20, struct.pack("<I", before + sectors))
    assert fields(path) == ([("superblock-irregular", 0x0D)] if told else [])


@pytest.mark.parametrize(
    ("field", "value"), [(0x0D, b"\2"), (0x0E, b"\x22\0"), (0x10, b"\1"), (0x20, b"\0\0\2\0"), (0x2C, b"\3\0\0\0")]
)
def test_a_boot_sector_that_contradicts_its_copy_is_told(tmp_path: Path, field: int, value: bytes) -> None:
    path = make(tmp_path / "disk", "-F", "32", "-s", "1", size=128 * MiB)
    assert fields(path) == []
    patched(path, field, value)
    assert fields(path)
    assert "differences" in run("fsck.vfat", "-n", path, ok=(0, 1))


def test_a_copy_without_the_label_or_of_another_partition_has_no_problem(tmp_path: Path) -> None:
    path = make(tmp_path / "disk", "-F", "32", "-s", "1", size=64 * MiB)
    patched(path, 0x1C, b"\0\x08\0\0")  # BPB_HiddSec: the partition was moved
    patched(path, 0x43, b"\1\2\3\4OTHER LABEL")
    assert fields(path) == []
    patched(path, 6 * 512, bytes(512))  # some formatters write none
    assert fields(path) == []


@pytest.mark.parametrize(
    ("options", "size"),
    [
        (("-F",), 64 * MiB),
        (("-c", "4"), 64 * MiB),
        (("-d", "1"), 64 * MiB),
        (("-m", "248"), 64 * MiB),
        (("-f", "1440"), 1440 * KiB),
        (("-f", "2880"), 2880 * KiB),
    ],
)
def test_a_fat_that_mformat_made_has_no_problem(tmp_path: Path, options: tuple[str, ...], size: int) -> None:
    path = sparse(tmp_path / "disk", size)
    geometry = ("-T", "131072", "-h", "64", "-s", "32", "-H", "2048") if size == 64 * MiB else ()
    run("mformat", "-i", path, *options, *geometry, "::")
    assert fields(path) == []
