"""Compressed files, archives, and what is no image at all, against the tools that make them."""

import bz2
import gzip
import io
import lzma
import struct
import subprocess
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.formats import _contents, _tar, index, plain
from preflight.formats._contents import MAX_INFLATED, contents, name_of
from preflight.source import Buffered, FileSource, Memory
from tests import tools
from tests.formats.recognising import (
    Mutated,
    claims,
    only_value_or_structure_error,
    opened,
    opened_unasked,
    plugin,
    problems,
)

MIB, GIB = 1 << 20, 1 << 30
INVALID = "container-header-invalid"
PACKED = ("compressed-file", "the file", None)
STREAMS = ("gzip", "xz", "zstd", "bzip2")
ARCHIVES = ("zip", "tar", "7z")
NAMES = (*STREAMS, *ARCHIVES, "lfs-pointer", "empty", "text")
DISK = bytes(510) + b"\x55\xaa" + bytes(200_000)  # a boot sector's signature, and nothing else
ONE_XZ = lzma.compress(DISK)

POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    b"size 12345\n"
)  # the example of the specification


def zstd(data: bytes, *options: str) -> bytes:
    tools.require("zstd")
    done = subprocess.run(["zstd", "-q", "-c", *options], input=data, stdout=subprocess.PIPE, check=True)
    return done.stdout


def compressed(tmp_path: Path, kind: str, data: bytes) -> Path:
    """A file compressed by the tool of that kind."""
    (tmp_path / "disk.raw").write_bytes(data)
    tools.run(kind, "-k", tmp_path / "disk.raw")
    (packed,) = [path for path in tmp_path.iterdir() if path.name != "disk.raw"]
    return packed


# Streams.


@pytest.mark.parametrize("kind", STREAMS)
def test_compressed_disk_is_named_with_what_it_holds(tmp_path: Path, kind: str) -> None:
    container = opened(kind, compressed(tmp_path, kind, DISK))
    assert problems(container) == [PACKED]
    assert (container.guest, container.virtual_size) == (None, None)
    assert container.format_details["contains"] == "raw"


@pytest.mark.parametrize("driver", ["qcow", "vdi", "vhdx", "vmdk", "qed"])
def test_compressed_container_is_named(tmp_path: Path, driver: str) -> None:
    path = tmp_path / "disk"
    tools.run("qemu-img", "create", "-q", "-f", driver, path, "10M")
    tools.run("gzip", path)
    assert opened("gzip", tmp_path / "disk.gz").format_details["contains"] == driver


def test_compressed_tar_is_named_and_not_entered(tmp_path: Path) -> None:
    (tmp_path / "disk.raw").write_bytes(DISK)
    tools.run("tar", "-C", tmp_path, "-cJf", tmp_path / "disk.tar.xz", "disk.raw")
    details = opened("xz", tmp_path / "disk.tar.xz").format_details
    assert details["contains"] == "tar"
    assert "members" not in details


def test_gzip_twice_is_gzip_in_gzip() -> None:
    assert opened("gzip", gzip.compress(gzip.compress(DISK))).format_details["contains"] == "gzip"


def test_sizes_that_the_tools_wrote(tmp_path: Path) -> None:
    (tmp_path / "z").mkdir()
    (tmp_path / "x").mkdir()
    (tmp_path / "g").mkdir()
    zstandard = opened("zstd", compressed(tmp_path / "z", "zstd", DISK)).format_details
    xz = opened("xz", compressed(tmp_path / "x", "xz", DISK)).format_details
    gz = opened("gzip", compressed(tmp_path / "g", "gzip", DISK)).format_details
    assert zstandard["frame_content_size"] == len(DISK)
    assert xz["uncompressed_size"] == len(DISK)
    assert gz["uncompressed_size_mod_4gib"] == len(DISK)
    assert gz["original_file_name"] == "disk.raw"


def test_xz_of_many_blocks_gives_the_sum(tmp_path: Path) -> None:
    (tmp_path / "disk.raw").write_bytes(DISK)
    tools.run("xz", "-k", "--block-size=4096", tmp_path / "disk.raw")
    assert opened("xz", tmp_path / "disk.raw.xz").format_details["uncompressed_size"] == len(DISK)


def test_xz_of_several_streams_has_no_size_that_is_told() -> None:
    one = lzma.compress(DISK)
    assert "uncompressed_size" not in opened("xz", one + one).format_details
    padded = opened("xz", one + bytes(8))
    assert padded.format_details["uncompressed_size"] == len(DISK)
    assert problems(padded) == [PACKED]


@pytest.mark.parametrize(
    ("size", "options"), [(100, ()), (300, ()), (70_000, ()), (100, ("--no-check",)), (300, ("-19",))]
)
def test_frame_content_size_of_every_width(size: int, options: tuple[str, ...]) -> None:
    data = zstd(bytes(size), f"--stream-size={size}", *options)
    assert opened("zstd", data).format_details["frame_content_size"] == size


def test_zstd_of_a_stream_has_a_window_and_no_size() -> None:
    details = opened("zstd", zstd(DISK)).format_details
    assert "frame_content_size" not in details
    assert details["window_size"] >= 1024


def test_empty_streams_hold_nothing() -> None:
    for kind, data in {"gzip": gzip.compress(b""), "xz": lzma.compress(b""), "bzip2": bz2.compress(b"")}.items():
        container = opened(kind, data)
        assert problems(container) == [PACKED]
        assert "contains" not in container.format_details
    assert opened("xz", lzma.compress(b"")).format_details["uncompressed_size"] == 0


def test_bomb_is_inflated_no_further_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(_contents, "name_of", lambda data: seen.append(len(data)))
    bomb = bytes(64 * MIB)
    for kind, data in {"gzip": gzip.compress(bomb), "bzip2": bz2.compress(bomb), "zstd": zstd(bomb)}.items():
        contents(kind, data, "stream", 0)
    contents("xz", lzma.compress(bomb), "stream", 0)
    assert len(seen) == 4
    assert max(seen) <= MAX_INFLATED


def test_stream_that_needs_too_much_memory_is_left_alone() -> None:
    packed = bytearray(ONE_XZ)
    # The dictionary size of LZMA2 is one byte of the block header (section 5.3.1): 38 is 2 GiB.
    assert packed[14:16] == b"\x21\x01"
    packed[16] = 38
    packed[20:24] = struct.pack("<I", zlib.crc32(packed[12:20]))
    container = opened("xz", bytes(packed))
    assert problems(container) == [PACKED]
    assert "contains" not in container.format_details
    huge_window = b"\x28\xb5\x2f\xfd" + bytes([0x00, 21 << 3]) + b"\x01\0\0" + bytes(8)  # 2 GiB
    container = opened("zstd", huge_window)
    assert container.format_details["window_size"] == 2 * GIB
    assert problems(container) == [PACKED]


@pytest.mark.parametrize(
    ("kind", "data", "where", "offset"),
    [
        ("gzip", b"\x1f\x8b\x08\0", "gzip header", 0),
        ("gzip", gzip.compress(DISK)[:10] + b"\xff" * 50, "gzip stream", 0),
        ("xz", b"\xfd7zXZ\0", "xz stream header", 8),
        ("xz", b"\xfd7zXZ\0" + bytes(50), "xz stream header", 8),
        ("xz", ONE_XZ[:-13], "xz stream footer", len(ONE_XZ) - 13 - 12),
        ("xz", ONE_XZ[:12] + bytes(40), "xz stream footer", 12),
        ("zstd", b"\x28\xb5\x2f\xfd", "zstd frame header", 0),
        ("zstd", b"\x28\xb5\x2f\xfd\x08" + bytes(20), "zstd frame header", 4),
        ("zstd", b"\x28\xb5\x2f\xfd\xc0" + bytes(5), "zstd frame header", 6),
        ("zstd", b"\x28\xb5\x2f\xfd\x20\x00" + b"\xff" * 20, "zstd stream", 0),
        ("bzip2", b"BZh9\x31\x41\x59\x26\x53\x59" + b"\xff" * 50, "bzip2 stream", 0),
    ],
)
def test_damaged_stream_is_named_with_its_byte(kind: str, data: bytes, where: str, offset: int) -> None:
    assert problems(opened(kind, data)) == [PACKED, (INVALID, where, offset)]


def xz_footer(backward_size: int) -> bytes:
    fields = struct.pack("<I", backward_size) + b"\0\x04"
    return struct.pack("<I", zlib.crc32(fields)) + fields + b"YZ"


def test_hostile_index_of_xz() -> None:
    start = ONE_XZ[:12]
    far = opened("xz", start + bytes(40) + xz_footer(2**32 - 1))
    assert problems(far)[1:] == [(INVALID, "xz index", 12 + 40 + 4)]
    wrong = opened("xz", start + bytes(40) + xz_footer(9))
    assert problems(wrong)[1:] == [(INVALID, "xz index", 12)]
    # One block that unpacks to 2**62 bytes, three times.
    record = b"\x05" + b"\x80" * 8 + b"\x40"
    index = b"\0\x03" + record * 3
    index = index.ljust(-(-len(index) // 4) * 4, b"\0")
    index += struct.pack("<I", zlib.crc32(index))
    sums = opened("xz", start + index + xz_footer(len(index) // 4 - 1))
    assert problems(sums)[1:] == [(INVALID, "xz index", 12)]
    # 2**56 records, of which there is none.
    index = b"\0" + b"\x80" * 8 + b"\x01" + bytes(2)
    index += struct.pack("<I", zlib.crc32(index))
    endless = opened("xz", start + index + xz_footer(len(index) // 4 - 1))
    assert [code for code, _, _ in problems(endless)] == ["compressed-file", INVALID]


def test_details_survive_a_damaged_stream() -> None:
    packed = bytearray(gzip.compress(DISK))
    packed[10:40] = b"\xff" * 30
    assert opened("gzip", bytes(packed)).format_details["uncompressed_size_mod_4gib"] == len(DISK)


@pytest.mark.parametrize(
    "data",
    [
        b"\x1f\x8b\x08\xe0" + bytes(508),  # reserved flags
        b"\x1f\x8b\x07\0" + bytes(508),  # no method
        b"BZh9" + bytes(508),  # no block
        b"BZh0\x31\x41\x59\x26\x53\x59" + bytes(502),  # no level
        bytes(257) + b"ustar\x0000" + bytes(1000),  # no checksum
        b"PK" + bytes(510),
        bytes(512),
    ],
)
def test_weak_signature_is_not_claimed(data: bytes) -> None:
    assert claims(data) == ()


# Archives.


def test_zip_by_zip(tmp_path: Path) -> None:
    (tmp_path / "disk.raw").write_bytes(DISK)
    (tmp_path / "readme").write_text("read me")
    tools.run("zip", "-j", "-q", tmp_path / "all.zip", tmp_path / "readme", tmp_path / "disk.raw")
    container = opened("zip", tmp_path / "all.zip")
    assert problems(container) == [PACKED]
    assert container.format_details == {
        "entries": 2,
        "members": [{"name": "readme", "size": 7}, {"name": "disk.raw", "size": len(DISK)}],
        "contains": "raw",
    }


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
        archive.comment = comment
    return file.getvalue()


def test_zip_with_a_comment_stored_members_and_none() -> None:
    commented = opened("zip", zipped(("disk", DISK), comment=b"x" * 65535))
    assert commented.format_details["contains"] == "raw"
    assert opened("zip", zipped(("disk", DISK), method=zipfile.ZIP_STORED)).format_details["contains"] == "raw"
    assert opened("zip", zipped()).format_details == {"entries": 0, "members": []}
    lzma_zip = opened("zip", zipped(("disk", DISK), method=zipfile.ZIP_LZMA))
    assert "contains" not in lzma_zip.format_details
    many = opened("zip", zipped(*((f"{number}" * 200, b"") for number in range(1000))))
    assert many.format_details["entries"] == 1000
    assert len(many.format_details["members"]) == 16


def test_zip64_sizes_are_told() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive, archive.open("disk", "w", force_zip64=True) as member:
        member.write(DISK)
    data = file.getvalue()
    at = data.index(b"PK\x01\x02")
    # As an archiver writes a member of 5 GiB: the size is in the extra field.
    extra = struct.pack("<HHQ", 1, 8, 5 * GIB)
    central = bytearray(data[at : at + 46 + 4])
    central[24:28] = b"\xff" * 4
    central[30:32] = struct.pack("<H", len(extra))
    directory = bytes(central) + extra
    end64 = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, len(directory), at)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, at + len(directory), 1)
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 2**32 - 1, 2**32 - 1, 0)
    container = opened("zip", data[:at] + directory + end64 + locator + end)
    assert container.format_details["entries"] == 1
    assert container.format_details["members"] == [{"name": "disk", "size": 5 * GIB}]
    assert problems(container) == [PACKED]


def spoiled(data: bytes, offset: int, value: bytes) -> bytes:
    return data[:offset] + value + data[offset + len(value) :]


ONE_ZIP = zipped(("disk", DISK))
CENTRAL = ONE_ZIP.index(b"PK\x01\x02")


@pytest.mark.parametrize(
    ("data", "where", "offset"),
    [
        (ONE_ZIP[:100], "zip end of central directory record", 100),
        (b"PK\x03\x04", "zip end of central directory record", 4),
        (spoiled(ONE_ZIP, CENTRAL, b"XX"), "zip central directory", CENTRAL),
        (spoiled(ONE_ZIP, len(ONE_ZIP) - 6, b"\xff\xff\xff\xff"), "zip header", 2**32 - 1),
        (spoiled(ONE_ZIP, CENTRAL + 42, b"\x01\0\0\0"), "zip local file", 1),
        (spoiled(ONE_ZIP, CENTRAL + 42, b"\xff\xff\xff\x7f"), "zip local file header", 2**31 - 1),
        (spoiled(ONE_ZIP, 34, b"\xff" * 20), "zip local file", 34),
    ],
)
def test_damaged_zip_is_named_with_its_byte(data: bytes, where: str, offset: int) -> None:
    assert problems(opened("zip", data)) == [PACKED, (INVALID, where, offset)]


def test_7z_by_7z(tmp_path: Path) -> None:
    (tmp_path / "disk.raw").write_bytes(DISK)
    tools.run("7z", "a", tmp_path / "all.7z", tmp_path / "disk.raw")
    container = opened("7z", tmp_path / "all.7z")
    assert problems(container) == [PACKED]
    assert container.format_details["version"].startswith("0.")
    data = (tmp_path / "all.7z").read_bytes()
    assert problems(opened("7z", data[:-1])) == [PACKED, ("truncated-file", "7z signature header", 12)]
    assert problems(opened("7z", spoiled(data, 12, b"\xff"))) == [PACKED, (INVALID, "7z signature header", 8)]
    assert problems(opened("7z", data[:20])) == [PACKED, (INVALID, "7z signature header", 0)]


@pytest.mark.parametrize("kind", ["ustar", "gnu", "posix"])
def test_tar_by_tar_names_its_members(tmp_path: Path, kind: str) -> None:
    (tmp_path / "disk.raw").write_bytes(DISK)
    long = "long-" * 30
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / long[:90]).write_text("x")
    names = ["disk.raw", f"sub/{long[:90]}"]
    if kind != "ustar":
        (tmp_path / long).write_text("x")
        names.append(long)
    (tmp_path / "end").write_text("x")
    names.append("end")
    tools.run("tar", "-C", tmp_path, f"--format={kind}", "-cf", tmp_path / "all.tar", *names)
    container = opened("tar", tmp_path / "all.tar")
    assert container.format_details == {"ova": False, "members": names}
    assert problems(container) == [PACKED]


def tarred(*names: str, size: int = 10, format: int = tarfile.USTAR_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format) as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = size
            archive.addfile(info, io.BytesIO(bytes(size)))
    return file.getvalue()


def test_ova_is_a_tar_that_begins_with_its_descriptor() -> None:
    details = opened("tar", tarred("vm.OVF", "vm.mf", "vm-disk1.vmdk")).format_details
    assert details == {"ova": True, "members": ["vm.OVF", "vm.mf", "vm-disk1.vmdk"]}
    assert opened("tar", tarred("vm.mf", "vm.ovf")).format_details["ova"] is False


def test_only_the_first_members_are_told() -> None:
    assert len(opened("tar", tarred(*map(str, range(100)))).format_details["members"]) == _tar.MAX_MEMBERS


def header(**fields: Any) -> bytes:
    """A tar header with a right checksum."""
    values = {subcon.name: bytes(subcon.sizeof()) for subcon in _tar.Header.subcons}
    values |= {"name": b"disk".ljust(100, b"\0"), "magic": b"ustar\0", "version": b"00", "typeflag": b"0"}
    values |= {"size": b"00000000012\0", "chksum": b" " * 8, **fields}
    block = bytes(_tar.Header.build(values))
    return spoiled(block, 148, b"%06o\0 " % sum(block))


def test_size_in_base_256_is_followed_and_its_end_is_missing() -> None:
    container = opened("tar", header(size=b"\x80" + (20 * GIB).to_bytes(11, "big")) + bytes(1024))
    assert container.format_details["members"] == ["disk"]
    assert problems(container) == [PACKED, ("truncated-file", "tar header", 0)]


def test_size_in_an_extended_header_counts() -> None:
    record = b"20 size=30000000000\n"
    extended = header(typeflag=b"x", size=b"%011o\0" % len(record)) + record.ljust(512, b"\0")
    container = opened("tar", extended + header(size=b"0" * 11 + b"\0") + bytes(1024))
    assert problems(container) == [PACKED, ("truncated-file", "tar header", 1024)]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (header() + bytes(512) + b"x" * 512, (INVALID, "tar header", 1024)),
        (header() + bytes(512) + b"x", ("truncated-file", "tar header", 1024)),
        (header(size=b"99999999999\0") + bytes(512), (INVALID, "tar header", 124)),
        (header(size=b"\xff" * 12) + bytes(512), (INVALID, "tar header", 124)),
        (header(size=b"\x80" + b"\xff" * 11) + bytes(512), (INVALID, "tar header", 124)),
        (header(size=b"00000002000\0") + bytes(512), ("truncated-file", "tar header", 0)),
    ],
)
def test_damaged_tar_is_named_with_its_byte(data: bytes, problem: tuple[str, str, int]) -> None:
    assert problems(opened("tar", data)) == [PACKED, problem]


def test_archive_without_its_end_is_forgiven() -> None:
    assert problems(opened("tar", header() + bytes(512))) == [PACKED]


def test_endless_headers_without_a_member_are_left_after_some() -> None:
    container = opened("tar", header(typeflag=b"g", size=b"00000000000\0") * 1000)
    assert container.format_details["members"] == []


def test_hostile_extended_headers_end() -> None:
    for record in (b"0 x=y\n", b"999999 size=1\n", b"5 \xff\xff", b"-1 size=2\n", b"3 \n" * 100, b"12 size=-9\n"):
        extended = header(typeflag=b"x", size=b"%011o\0" % len(record)) + record.ljust(512, b"\0")
        assert opened("tar", extended + header() + bytes(512)).format_details["members"] == ["disk"]


# No images.


def test_empty_file_is_empty() -> None:
    container = opened("empty", b"")
    assert (container.guest, container.virtual_size, container.problems) == (None, None, ())


def test_pointer_of_git_lfs_is_not_the_file() -> None:
    container = opened("lfs-pointer", POINTER)
    assert container.virtual_size is None
    assert container.problems == ()
    assert container.format_details == {
        "version": "https://git-lfs.github.com/spec/v1",
        "oid": "sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393",
        "size": 12345,
    }


@pytest.mark.parametrize(
    "data",
    [POINTER.replace(b"size 12345\n", b""), POINTER.replace(b"12345", b"-1"), POINTER.replace(b"4d7a", b"")],
)
def test_incomplete_pointer_is_named(data: bytes) -> None:
    assert problems(opened("lfs-pointer", data)) == [(INVALID, "lfs pointer", 0)]


def test_long_pointer_is_text() -> None:
    assert claims(POINTER + b"x-key value\n" * 100) == ("text",)


@pytest.mark.parametrize(
    ("data", "first_line"),
    [
        (b"<?xml version='1.0'?>\n<Error><Code>AccessDenied</Code></Error>", "<?xml version='1.0'?>"),
        ("\ufeffGrüße\n".encode(), "Grüße"),
        ("\ufeffHello\r\n".encode("utf-16-le"), "Hello"),
        ("\ufeffHello\r\n".encode("utf-16-be"), "Hello"),
        ("\n\n€uro ".encode() * 3000, "€uro"),
        (b"x" * 100_000, "x" * plain.MAX_FIRST_LINE),
        (b"\x1b[31mred\n", "\x1b[31mred"),
    ],
)
def test_text_is_told_with_its_first_line(data: bytes, first_line: str) -> None:
    container = opened("text", data)
    assert problems(container) == [("text-file", "the file", 0)]
    assert container.format_details["first_line"].rstrip() == first_line
    assert (container.guest, container.virtual_size) == (None, None)


def test_character_cut_by_the_sample_is_no_defect() -> None:
    for shift in range(3):
        assert claims(b"x" * shift + "€".encode() * 5000) == ("text",)


@pytest.mark.parametrize(
    "data",
    [
        b"abc",
        b"text\0text",
        b"text\x01text",
        "text".encode("utf-16-le"),
        b"caf\xe9 latin-1",
        b"text" + "€".encode()[:2],
        b"\xef\xbb\xbf",
        b"\xff\xfe\0\xd8\0\0",
    ],
)
def test_other_bytes_are_not_text(data: bytes) -> None:
    assert claims(data) == ()


def test_boot_sector_after_text_is_not_text() -> None:
    assert claims(b"GRUB loading ".ljust(510, b" ") + b"\x55\xaa") == ()


SIGNATURES = [
    (0, b"conectix"),
    (0, b"vhdxfile"),
    (0, b"KDMV"),
    (0, b"COWD"),
    (0, b"# Disk DescriptorFile\n"),
    (0, b"WithoutFreeSpace"),
    (0, b"BZh91AY&SY"),
    (0, b"version https://git-lfs.github.com/spec/v1\n"),
    (-512, b"conectix"),
    (-511, b"conectix"),
    (32769, b"CD001"),
    (32777, b"CDROM"),
    (257, b"ustar"),
]


@pytest.mark.parametrize(("offset", "value"), SIGNATURES)
def test_text_is_never_claimed_with_another(offset: int, value: bytes) -> None:
    for size in (600, 4096, 40_000):
        text = bytearray(b"text " * (size // 5))
        if offset + len(value) <= len(text):
            start = offset % len(text) if offset < 0 else offset
            text[start : start + len(value)] = value
            found = claims(bytes(text))
            assert "text" not in found or found == ("text",)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(SIGNATURES), max_size=3), st.text(min_size=1, max_size=20), st.integers(1, 40_000))
def test_text_with_any_signatures_is_never_claimed_with_another(
    signatures: list[tuple[int, bytes]], filling: str, size: int
) -> None:
    data = bytearray((filling.encode() * (size // len(filling.encode()) + 1))[:size])
    for offset, value in signatures:
        start = offset % size if offset < 0 else offset
        if start + len(value) <= size:
            data[start : start + len(value)] = value
    found = claims(bytes(data))
    assert "text" not in found or found == ("text",)


# What is inside.


def test_contents_are_named_by_the_formats_themselves() -> None:
    assert name_of(b"") is None
    assert name_of(bytes(4096)) is None
    assert name_of(DISK) == "raw"
    assert name_of(bytes(512) + b"EFI PART" + bytes(4096)) == "raw"
    assert name_of(b"LUKS\xba\xbe\0\x02" + bytes(4096)) == "luks"
    assert name_of(b"some text") == "text"
    assert name_of(b"LUKS\xba\xbe\0\x02" + bytes(40_000) + b"conectix" + bytes(504)) is None  # two claims


def test_missing_library_leaves_the_contents_untold(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(data: bytes) -> bytes:
        raise ImportError

    monkeypatch.setitem(_contents._INFLATE, "bzip2", absent)
    container = opened("bzip2", bz2.compress(DISK))
    assert problems(container) == [PACKED]
    assert "contains" not in container.format_details


# Any bytes.

IMAGES: dict[str, tuple[str, bytes]] = {
    "gzip": ("gzip", gzip.compress(DISK)),
    "xz": ("xz", ONE_XZ),
    "bzip2": ("bzip2", bz2.compress(DISK)),
    "zstd": ("zstd", b"\x28\xb5\x2f\xfd\x04\x00\x01\0\0\x99\xe9\xd8\x51"),  # an empty frame with its checksum
    "zip": ("zip", ONE_ZIP),
    "tar": ("tar", tarred("vm.ovf", "x" * 150, "end", format=tarfile.GNU_FORMAT)),
    "pax": ("tar", tarred("vm.ovf", "x" * 150, "end", format=tarfile.PAX_FORMAT)),
    "pointer": ("lfs-pointer", POINTER),
    "text": ("text", b"text\n" * 10),
}


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(NAMES), st.binary(max_size=2048))
def test_any_bytes_give_a_value_or_a_structure_error(name: str, data: bytes) -> None:
    if plugin(name).claims(Memory(data)):
        only_value_or_structure_error(name, Memory(data))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(IMAGES)), st.integers(min_value=0), st.integers(0, 255))
def test_any_changed_byte_gives_a_value_or_a_structure_error(image: str, position: int, value: int) -> None:
    name, data = IMAGES[image]
    only_value_or_structure_error(name, Mutated(Memory(data), position % len(data), value))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(IMAGES)), st.integers(min_value=0), st.binary(max_size=600))
def test_any_cut_and_any_tail_give_a_value_or_a_structure_error(image: str, length: int, tail: bytes) -> None:
    name, data = IMAGES[image]
    only_value_or_structure_error(name, Memory(data[: length % len(data)] + tail))


def test_an_image_is_recognised_with_few_reads(tmp_path: Path) -> None:
    path = tools.sparse(tmp_path / "disk.raw", 10 * MIB)
    with FileSource(str(path)) as source:
        assert index.claims(Buffered(source)) == []
        assert source.reads == 3  # the first sector, the last, and where discs have their descriptors


def test_details_of_a_compressed_file_take_few_reads(tmp_path: Path) -> None:
    path = tmp_path / "all.zip"
    path.write_bytes(ONE_ZIP)
    with FileSource(str(path)) as source:
        opened_unasked("zip", source)
        assert source.reads <= 8
