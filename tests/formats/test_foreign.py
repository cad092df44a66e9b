"""The disk containers that are recognised and named, against qemu-img and the other tools that make them."""

import base64
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.formats import dmg, foreign, iso9660, luks, vmdk
from preflight.source import FileSource, Memory
from tests import tools
from tests.formats.recognising import (
    Mutated,
    claims,
    only_value_or_structure_error,
    opened,
    plugin,
    problems,
    virtual_size,
)

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
INVALID = "container-header-invalid"
NAMES = ("vdi", "qed", "qcow", "parallels", "vmdk", "vhdx", "dmg", "ewf", "iso9660", "luks")


def create(path: Path, driver: str, size: int, *options: str) -> Path:
    tools.run("qemu-img", "create", "-q", "-f", driver, *options, path, str(size))
    return path


# What each builder gives is a valid header with room behind it; a test spoils one field of it.


def vdi(**fields: Any) -> bytes:
    values: dict[str, Any] = {
        "text": b"<<< Oracle VM VirtualBox Disk Image >>>\n".ljust(64, b"\0"),
        "signature": 0xBEDA107F,
        "version": 0x00010001,
        "header_size": 400,
        "image_type": 1,
        "image_flags": 0,
        "comment": bytes(256),
        "offset_blocks": 1 * MIB,
        "offset_data": 2 * MIB,
        "geometry": bytes(12),
        "sector_size": 512,
        "unused": 0,
        "disk_size": 10 * MIB,
        "block_size": MIB,
        "block_extra_size": 0,
        "blocks": 10,
        "blocks_allocated": 0,
        "uuid_create": bytes(range(16)),
        "uuid_modify": bytes(16),
        "uuid_linkage": bytes(16),
        "uuid_parent_modify": bytes(16),
    }
    return bytes(foreign.VdiHeader.build({**values, **fields})) + bytes(512)


def qed(**fields: Any) -> bytes:
    values: dict[str, Any] = {
        "magic": b"QED\0",
        "cluster_size": 64 * KIB,
        "table_size": 4,
        "header_size": 1,
        "features": 0,
        "compat_features": 0,
        "autoclear_features": 0,
        "l1_table_offset": 64 * KIB,
        "image_size": 10 * MIB,
        "backing_filename_offset": 0,
        "backing_filename_size": 0,
    }
    return bytes(foreign.QedHeader.build({**values, **fields})).ljust(128, b"\0") + b"/etc/passwd".ljust(512, b"\0")


def qcow(**fields: Any) -> bytes:
    values: dict[str, Any] = {
        "magic": b"QFI\xfb",
        "version": 1,
        "backing_file_offset": 0,
        "backing_file_size": 0,
        "mtime": 0,
        "size": 10 * MIB,
        "cluster_bits": 12,
        "l2_bits": 9,
        "padding": 0,
        "crypt_method": 0,
        "l1_table_offset": 48,
    }
    return bytes(foreign.QcowHeader.build({**values, **fields})).ljust(128, b"\0") + b"/etc/passwd".ljust(512, b"\0")


def parallels(**fields: Any) -> bytes:
    values: dict[str, Any] = {
        "magic": b"WithouFreSpacExt",
        "version": 2,
        "heads": 16,
        "cylinders": 40,
        "tracks": 2048,
        "bat_entries": 10,
        "nb_sectors": 20480,
        "in_use": 0,
        "data_offset": 2048,
        "flags": 0,
        "ext_off": 0,
    }
    return bytes(foreign.ParallelsHeader.build({**values, **fields})) + bytes(512)


def sparse_extent(**fields: Any) -> bytes:
    values: dict[str, Any] = {
        "magic_number": b"KDMV",
        "version": 1,
        "flags": 3,
        "capacity": 20480,
        "grain_size": 128,
        "descriptor_offset": 0,
        "descriptor_size": 0,
        "num_gtes_per_gt": 512,
        "rgd_offset": 21,
        "gd_offset": 26,
        "over_head": 128,
        "unclean_shutdown": 0,
        "newline_test": b"\n \r\n",
        "compress_algorithm": 0,
    }
    return bytes(vmdk.SparseExtentHeader.build({**values, **fields})).ljust(512, b"\0")


def cowd(**fields: Any) -> bytes:
    values: dict[str, Any] = {
        "magic_number": b"COWD",
        "version": 1,
        "flags": 3,
        "num_sectors": 20480,
        "grain_size": 1,
        "gd_offset": 4,
        "num_gd_entries": 5,
        "free_sector": 9,
    }
    return bytes(vmdk.CowdHeader.build({**values, **fields})).ljust(512, b"\0")


def sesparse(**fields: Any) -> bytes:
    values: dict[str, Any] = {
        "const_magic": 0xCAFEBABE,
        "version": 0x200000001,
        "capacity": 20480,
        "grain_size": 8,
        "grain_table_size": 64,
        "flags": 0,
    }
    return bytes(vmdk.SesparseHeader.build({**values, **fields})).ljust(512, b"\0")


def apple(**fields: Any) -> bytes:
    """A disk of 2048 sectors of zeros, as one run in the property list."""
    run = struct.pack(">4sIQQQII24s", b"mish", 1, 0, 2048, 0, 0, 0, b"") + struct.pack(">II128sI", 2, 32, b"", 2)
    run += struct.pack(">IIQQQQ", 2, 0, 0, 2048, 0, 0) + struct.pack(">IIQQQQ", 0xFFFFFFFF, 0, 2048, 0, 0, 0)
    plist = (
        b"<plist><dict><key>resource-fork</key><dict><key>blkx</key><array><dict><key>Data</key><data>"
        + base64.b64encode(run)
        + b"</data></dict></array></dict></dict></plist>"
    )
    values: dict[str, Any] = {
        "signature": b"koly",
        "version": 4,
        "header_size": 512,
        "flags": 1,
        "running_data_fork_offset": 0,
        "data_fork_offset": 0,
        "data_fork_length": 512,
        "rsrc_fork_offset": 0,
        "rsrc_fork_length": 0,
        "segment_number": 1,
        "segment_count": 1,
        "segment_id": bytes(16),
        "data_checksum": bytes(136),
        "xml_offset": 512,
        "xml_length": len(plist),
        "reserved1": bytes(120),
        "checksum": bytes(136),
        "image_variant": 1,
        "sector_count": 2048,
        "reserved2": bytes(12),
    }
    return bytes(512) + plist + bytes(dmg.Trailer.build({**values, **fields}))


def section(kind: bytes, next_offset: int, size: int) -> bytes:
    start = kind.ljust(16, b"\0") + struct.pack("<QQ", next_offset, size) + bytes(40)
    return start + struct.pack("<I", zlib.adler32(start))


def evidence(*, next_offset: int = 13 + 76 + 8, sector_count: int = 20480, volume_size: int = 1052) -> bytes:
    start = b"EVF\x09\x0d\x0a\xff\0" + struct.pack("<BHH", 1, 1, 0)
    first = section(b"header2", next_offset, 76 + 8) + bytes(8)
    volume = struct.pack("<IIIIQ", 1, 320, 64, 512, sector_count).ljust(volume_size, b"\0")
    return start + first + section(b"volume", 10**6, 76 + volume_size) + volume


def disc(identifier: bytes = b"CD001", **fields: Any) -> bytes:
    values: dict[str, Any] = {
        "type": 1,
        "identifier": identifier,
        "version": 1,
        "unused1": 0,
        "system_identifier": b"LINUX".ljust(32),
        "volume_identifier": b"DISC".ljust(32),
        "unused2": bytes(8),
        "volume_space_size": 18,
        "volume_space_size_be": 18,
        "escape_sequences": bytes(32),
        "volume_set_size": bytes(4),
        "volume_sequence_number": bytes(4),
        "logical_block_size": 2048,
        "logical_block_size_be": 2048,
    }
    primary = bytes(iso9660.PrimaryVolumeDescriptor.build({**values, **fields}))
    shift = bytes(8) if identifier == b"CDROM" else b""
    end = shift + b"\xff" + identifier + b"\x01"
    return bytes(32768) + (shift + primary).ljust(2048, b"\0") + end.ljust(2048, b"\0")


def luks1(*, version: int = 1, payload_offset: int = 4, size: int = 4096) -> bytes:
    start = luks.LuksPreamble.build({"magic": b"LUKS\xba\xbe", "version": version})
    rest = luks.Luks1Header.build(
        {
            "cipher_name": b"aes".ljust(32, b"\0"),
            "cipher_mode": b"xts-plain64".ljust(32, b"\0"),
            "hash_spec": b"sha256".ljust(32, b"\0"),
            "payload_offset": payload_offset,
            "key_bytes": 64,
        }
    )
    return bytes(start + rest).ljust(size, b"\0")


def crc32c(data: bytes) -> int:
    """CRC-32C bit by bit, from its polynomial."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


@pytest.fixture(scope="module")
def real_vhdx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return create(tmp_path_factory.mktemp("vhdx") / "disk.vhdx", "vhdx", 10 * MIB)


def patched(path: Path, copy: Path, changes: dict[int, bytes]) -> Path:
    data = bytearray(path.read_bytes())
    for offset, value in changes.items():
        data[offset : offset + len(value)] = value
    copy.write_bytes(data)
    return copy


def test_crc32c_here_is_that_of_the_catalogue() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32/ISCSI in the catalogue of CRCs


# Real ones.


@pytest.mark.parametrize("size", [10 * MIB, 5 * GIB + 512 * KIB])
@pytest.mark.parametrize("driver", ["vdi", "qed", "qcow", "parallels", "vhdx"])
def test_size_is_what_qemu_img_says(tmp_path: Path, driver: str, size: int) -> None:
    path = create(tmp_path / "disk", driver, size)
    container = opened(driver, path)
    assert container.virtual_size == virtual_size(path, driver)
    assert (container.guest, container.subformat, container.problems) == (None, None, ())


@pytest.mark.parametrize(
    "kind", ["monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "streamOptimized"]
)
def test_every_kind_of_vmdk_has_the_size_that_qemu_img_says(tmp_path: Path, kind: str) -> None:
    path = create(tmp_path / "disk.vmdk", "vmdk", 5 * GIB, "-o", f"subformat={kind}")
    container = opened("vmdk", path)
    assert container.virtual_size == virtual_size(path, "vmdk")
    assert container.format_details["create_type"] == kind
    assert container.format_details["extent_count"] == (3 if kind.startswith("two") else 1)
    assert (container.guest, container.problems) == (None, ())


def test_one_extent_of_a_split_vmdk_has_its_own_size(tmp_path: Path) -> None:
    create(tmp_path / "disk.vmdk", "vmdk", 5 * GIB, "-o", "subformat=twoGbMaxExtentSparse")
    extent = re.search(r'RW (\d+) SPARSE "disk-s003.vmdk"', (tmp_path / "disk.vmdk").read_text())
    assert extent is not None
    container = opened("vmdk", tmp_path / "disk-s003.vmdk")
    assert (container.virtual_size, container.problems) == (int(extent[1]) * 512, ())


def test_vmdk_that_is_based_on_another_names_it(tmp_path: Path) -> None:
    create(tmp_path / "base.vmdk", "vmdk", 10 * MIB)
    tools.run("qemu-img", "create", "-q", "-f", "vmdk", "-b", "base.vmdk", "-F", "vmdk", tmp_path / "top.vmdk")
    details = opened("vmdk", tmp_path / "top.vmdk").format_details
    assert str(details["parent_file_name_hint"]).endswith("base.vmdk")


def test_vhdx_says_what_kind_it_is(tmp_path: Path) -> None:
    fixed = opened("vhdx", create(tmp_path / "disk.vhdx", "vhdx", 10 * MIB, "-o", "subformat=fixed,block_size=2097152"))
    assert fixed.format_details["leave_block_allocated"] is True
    assert fixed.format_details["block_size"] == 2 * MIB
    assert str(fixed.format_details["creator"]).startswith("QEMU")


@pytest.mark.parametrize("driver", ["qed", "qcow"])
def test_backing_file_is_told_and_not_looked_at(tmp_path: Path, driver: str) -> None:
    path = tmp_path / "disk"
    tools.run("qemu-img", "create", "-q", "-u", "-f", driver, "-b", "/no/such/base", "-F", "raw", path, "10M")
    assert opened(driver, path).format_details["backing_file"] == "/no/such/base"


def test_expert_witness_has_the_media_size_that_ewfinfo_says(tmp_path: Path) -> None:
    disk = tools.sparse(tmp_path / "disk.raw", 10 * MIB)
    tools.run("ewfacquire", "-u", "-q", "-t", tmp_path / "disk", disk)
    said = re.search(r"Media size:.*\((\d+) bytes\)", tools.run("ewfinfo", tmp_path / "disk.E01"))
    assert said is not None
    container = opened("ewf", tmp_path / "disk.E01")
    assert container.virtual_size == int(said[1])
    assert container.problems == ()


def test_apple_image_has_the_size_that_qemu_img_says(tmp_path: Path) -> None:
    path = tmp_path / "disk.dmg"
    path.write_bytes(apple())
    assert opened("dmg", path).virtual_size == virtual_size(path, "dmg") == MIB


def test_disc_has_the_size_that_isosize_says(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_text("content")
    path = tmp_path / "disc.iso"
    tools.run("xorriso", "-as", "mkisofs", "-quiet", "-V", "LABEL", "-o", path, tmp_path / "tree")
    with FileSource(str(path)) as source:
        assert claims(source) == ("iso9660",)
        container = plugin("iso9660").open(source, "iso9660")
        assert container.guest is source
    assert container.virtual_size == int(tools.run("isosize", path))
    assert container.format_details["volume_identifier"] == "LABEL"
    assert container.problems == ()


def test_disc_with_partitions_is_its_own_guest(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_text("content")
    appended = tools.sparse(tmp_path / "esp", MIB)
    path = tmp_path / "disc.iso"
    tools.run(
        "xorriso", "-as", "mkisofs", "-quiet", "-append_partition", "2", "0xef", appended, "-o", path, tmp_path / "tree"
    )
    with FileSource(str(path)) as source:
        assert claims(source) == ("iso9660",)
        guest = plugin("iso9660").open(source, "iso9660").guest
        assert guest is not None
        assert guest.size == source.size
        assert guest.read_at(510, 2) == b"\x55\xaa"


@pytest.mark.parametrize("version", [1, 2])
def test_luks_by_cryptsetup_is_its_own_guest(tmp_path: Path, version: int) -> None:
    path = tools.sparse(tmp_path / "disk.luks", 20 * MIB)
    fast = ("--pbkdf-force-iterations", "1000") + (("--pbkdf", "pbkdf2") if version == 2 else ())
    tools.run("cryptsetup", "luksFormat", "-q", "--type", f"luks{version}", *fast, path, "-", stdin="secret")
    with FileSource(str(path)) as source:
        assert claims(source) == ("luks",)
        container = plugin("luks").open(source, "luks")
        assert container.guest is source
    assert container.virtual_size == (virtual_size(path, "luks") if version == 1 else None)
    assert container.format_details["version"] == version
    assert container.problems == ()


# Built from their layouts.


@pytest.mark.parametrize(
    ("name", "image", "size"),
    [
        ("vdi", vdi(), 10 * MIB),
        ("vdi", vdi(disk_size=10 * MIB - 511), 10 * MIB),
        ("qed", qed(), 10 * MIB),
        ("qcow", qcow(), 10 * MIB),
        ("parallels", parallels(), 10 * MIB),
        ("parallels", parallels(magic=b"WithoutFreeSpace", nb_sectors=(7 << 32) + 20480), 10 * MIB),
        ("vmdk", sparse_extent(), 10 * MIB),
        ("vmdk", sparse_extent(capacity=1, gd_offset=2**64 - 1) + bytes(4096) + sparse_extent() + bytes(512), 10 * MIB),
        ("vmdk", cowd(), 10 * MIB),
        ("vmdk", sesparse(), 10 * MIB),
        ("dmg", apple(), MIB),
        ("ewf", evidence(), 10 * MIB),
        ("ewf", evidence(volume_size=94, sector_count=(7 << 32) + 20480), 10 * MIB),
        ("iso9660", disc(), 18 * 2048),
        ("iso9660", disc(b"CDROM"), 18 * 2048),
        ("luks", luks1(), 2048),
    ],
)
def test_built_header_gives_its_size(name: str, image: bytes, size: int) -> None:
    container = opened(name, image)
    assert container.problems == ()
    assert container.virtual_size == size


def test_backing_files_of_built_headers_are_told() -> None:
    named_qed = opened("qed", qed(features=1, backing_filename_offset=128, backing_filename_size=11))
    named_qcow = opened("qcow", qcow(backing_file_offset=128, backing_file_size=11))
    assert named_qed.format_details["backing_file"] == "/etc/passwd"
    assert named_qcow.format_details["backing_file"] == "/etc/passwd"


@pytest.mark.parametrize("start", [b"EVF2\x0d\x0a\x81\0", b"LEF2\x0d\x0a\x81\0"])
def test_second_version_of_expert_witness_is_named_without_a_size(start: bytes) -> None:
    container = opened("ewf", start + struct.pack("<BBHI", 2, 1, 1, 1) + bytes(16))
    assert (container.virtual_size, container.problems) == (None, ())
    assert container.format_details["major_version"] == 2


def test_later_segment_of_expert_witness_has_no_size() -> None:
    container = opened("ewf", b"EVF\x09\x0d\x0a\xff\0" + struct.pack("<BHH", 1, 2, 0))
    assert (container.virtual_size, container.problems) == (None, ())


DESCRIPTOR = b"""# Disk DescriptorFile
version=1
CID=12345678
parentCID=ffffffff
createType="custom"

# Extent description
RW 4192256 SPARSE "/etc/passwd"
RW 1000 FLAT "a b.vmdk" 0
RDONLY 24 ZERO

ddb.adapterType = "lsilogic"
"""


def test_extents_of_a_descriptor_are_added_up_and_none_is_opened() -> None:
    container = opened("vmdk", DESCRIPTOR)
    assert container.virtual_size == (4192256 + 1000 + 24) * 512
    assert container.format_details["create_type"] == "custom"
    assert [extent["file_name"] for extent in container.format_details["extents"]] == ["/etc/passwd", "a b.vmdk", None]


def test_only_the_first_extents_are_told_and_all_are_counted() -> None:
    container = opened("vmdk", b"# Disk DescriptorFile\n" + b'RW 2 FLAT "x" 0\n' * 100)
    assert container.format_details["extent_count"] == 100
    assert len(container.format_details["extents"]) == 16
    assert container.virtual_size == 100 * 2 * 512


# Hostile and damaged ones.


@pytest.mark.parametrize(
    ("name", "image", "where", "offset"),
    [
        ("vdi", vdi(version=0x00020001), "vdi header", 68),
        ("vdi", vdi(image_type=5), "vdi header", 76),
        ("vdi", vdi(sector_size=4096), "vdi header", 360),
        ("vdi", vdi(disk_size=2**63), "vdi header", 368),
        ("vdi", vdi(blocks=9), "vdi header", 384),
        ("vdi", vdi()[:100], "vdi header", 0),
        ("qed", qed(cluster_size=0), "qed header", 4),
        ("qed", qed(cluster_size=2**27), "qed header", 4),
        ("qed", qed(table_size=32), "qed header", 8),
        ("qed", qed(features=8), "qed header", 16),
        ("qed", qed(image_size=10 * MIB + 1), "qed header", 48),
        ("qed", qed(cluster_size=4096, table_size=1, image_size=2**31), "qed header", 48),
        ("qed", qed(features=1, backing_filename_size=2**32 - 1), "qed header", 60),
        ("qed", qed(features=1, backing_filename_offset=2**32 - 1, backing_filename_size=9), "qed header", 56),
        ("qed", qed(features=1, backing_filename_offset=60000, backing_filename_size=9), "qed header", 60000),
        ("qcow", qcow(cluster_bits=63), "qcow header", 32),
        ("qcow", qcow(l2_bits=0), "qcow header", 33),
        ("qcow", qcow(crypt_method=2), "qcow header", 36),
        ("qcow", qcow(size=2**64 - 1), "qcow header", 24),
        ("qcow", qcow(backing_file_offset=128, backing_file_size=2**32 - 1), "qcow header", 16),
        ("qcow", qcow(backing_file_offset=2**64 - 1, backing_file_size=9), "qcow header", None),
        ("parallels", parallels(version=3), "parallels header", 16),
        ("parallels", parallels(tracks=0), "parallels header", 28),
        ("parallels", parallels(nb_sectors=2**64 - 1), "parallels header", 36),
        ("parallels", parallels(bat_entries=9), "parallels header", 32),
        ("vmdk", sparse_extent(version=4), "vmdk sparse extent header", 4),
        ("vmdk", sparse_extent(capacity=2**64 - 1), "vmdk sparse extent header", 12),
        ("vmdk", sparse_extent(grain_size=7), "vmdk sparse extent header", 20),
        ("vmdk", sparse_extent(newline_test=b"\n \n\n"), "vmdk sparse extent header", 73),
        ("vmdk", sparse_extent(gd_offset=2**64 - 1) + bytes(2048), "vmdk footer", 512 + 2048 - 1024),
        ("vmdk", sparse_extent(gd_offset=2**64 - 1), "vmdk footer", 512),
        ("vmdk", b"KDMV", "vmdk header", 0),
        ("vmdk", cowd(version=2), "vmdk COWD header", 4),
        ("vmdk", cowd(grain_size=0), "vmdk COWD header", 16),
        ("vmdk", sesparse(version=1), "vmdk SESparse header", 8),
        ("vmdk", sesparse(capacity=2**63), "vmdk SESparse header", 16),
        ("vmdk", sesparse(grain_size=2**63), "vmdk SESparse header", 24),
        ("vmdk", sparse_extent(grain_size=2**63), "vmdk sparse extent header", 20),
        ("vmdk", b"# Disk DescriptorFile\n", "vmdk descriptor", 22),
        ("vmdk", b"# Disk DescriptorFile\nRW x FLAT y\n", "vmdk descriptor", 22),
        ("vmdk", b"# Disk DescriptorFile\nRW 99999999999999999999 FLAT y\n", "vmdk descriptor", 22),
        ("vmdk", b"# Disk DescriptorFile\n" + b"#" * MIB, "vmdk descriptor", 0),
        ("vhdx", b"vhdxfile" + bytes(600), "vhdx header", 65536),
        ("vhdx", b"vhdxfile" + bytes(MIB), "vhdx header 1", 65536),
        ("dmg", apple(version=5), "dmg trailer", len(apple()) - 512 + 4),
        ("dmg", apple(xml_length=2**64 - 1), "dmg trailer", len(apple()) - 512 + 216),
        ("dmg", apple(sector_count=2**60), "dmg trailer", len(apple()) - 512 + 492),
        ("ewf", evidence()[:50], "ewf header", 13),
        ("ewf", evidence(next_offset=13), "ewf section", 13 + 16),
        ("ewf", evidence(next_offset=14), "ewf section", 13 + 16),
        ("ewf", evidence(next_offset=2**64 - 1), "ewf header", None),
        ("ewf", evidence(sector_count=2**64 - 1), "ewf volume section", 13 + 76 + 8 + 76 + 16),
        ("iso9660", disc(volume_space_size_be=19), "iso9660 primary volume descriptor", 32768 + 80),
        ("iso9660", disc(b"CDROM", logical_block_size=0), "iso9660 primary volume descriptor", 32768 + 8 + 128),
        ("iso9660", disc(type=255), "iso9660 volume descriptor", 32768),
        ("iso9660", disc(type=0)[: 32768 + 2048] + bytes(2048), "iso9660 volume descriptor", 32768 + 2048),
        ("iso9660", disc()[: 32768 + 20], "iso9660 header", 32768),
        ("luks", luks1(version=3), "luks header", 6),
        ("luks", luks1(payload_offset=9), "luks header", 104),
        ("luks", luks1()[:50], "luks header", 8),
    ],
)
def test_damaged_header_is_named_with_its_byte(name: str, image: bytes, where: str, offset: int | None) -> None:
    container = opened(name, image)
    assert container.virtual_size is None
    assert problems(container) == [(INVALID, where, offset)]


def test_disc_larger_than_its_file_is_truncated() -> None:
    container = opened("iso9660", disc(volume_space_size=100, volume_space_size_be=100))
    assert container.virtual_size == 100 * 2048
    assert problems(container) == [("truncated-file", "iso9660 primary volume descriptor", 32768 + 80)]


def test_ring_of_discs_without_end_is_left_after_some_descriptors() -> None:
    boot = disc(type=0)[32768 : 32768 + 2048]
    container = opened("iso9660", bytes(32768) + boot * 1000)
    assert problems(container) == [(INVALID, "iso9660 volume descriptor", 32768)]


def test_endless_sections_of_expert_witness_are_left_after_some() -> None:
    start = b"EVF\x09\x0d\x0a\xff\0" + struct.pack("<BHH", 1, 1, 0)
    image = start + b"".join(section(b"header", 13 + 76 * (number + 1), 76) for number in range(1000))
    container = opened("ewf", image)
    assert (container.virtual_size, container.problems) == (None, ())


def test_wrong_checksum_of_an_expert_witness_section_is_told() -> None:
    image = bytearray(evidence())
    image[14] ^= 1
    assert problems(opened("ewf", bytes(image))) == [(INVALID, "ewf section", 13 + 72)]


def test_damaged_descriptor_inside_a_vmdk_leaves_the_size() -> None:
    container = opened("vmdk", sparse_extent(descriptor_offset=1, descriptor_size=1) + b"RW -".ljust(512, b"\0"))
    assert container.virtual_size == 10 * MIB
    assert problems(container) == [(INVALID, "vmdk descriptor", 512)]
    beyond = opened("vmdk", sparse_extent(descriptor_offset=2**64 - 1, descriptor_size=2**64 - 1))
    assert beyond.virtual_size == 10 * MIB
    assert problems(beyond) == [(INVALID, "vmdk descriptor", None)]


def test_one_damaged_header_of_a_vhdx_is_told_and_the_other_used(tmp_path: Path, real_vhdx: Path) -> None:
    for offset, number in ((64 * KIB, 1), (128 * KIB, 2)):
        path = patched(real_vhdx, tmp_path / "disk.vhdx", {offset + 100: b"\xff"})
        container = opened("vhdx", path)
        assert container.virtual_size == 10 * MIB
        assert problems(container) == [(INVALID, f"vhdx header {number}", offset + 4)]


def test_one_damaged_region_table_of_a_vhdx_is_told_and_the_other_used(tmp_path: Path, real_vhdx: Path) -> None:
    container = opened("vhdx", patched(real_vhdx, tmp_path / "disk.vhdx", {192 * KIB + 500: b"\xff"}))
    assert container.virtual_size == 10 * MIB
    assert problems(container) == [(INVALID, "vhdx region table 1", 192 * KIB + 4)]
    both = {192 * KIB + 500: b"\xff", 256 * KIB: b"lost"}
    container = opened("vhdx", patched(real_vhdx, tmp_path / "disk.vhdx", both))
    assert container.virtual_size is None
    assert problems(container) == [(INVALID, "vhdx region table 1", 192 * KIB)]


def region_table(count: int, metadata_offset: int, metadata_size: int) -> bytes:
    guid = bytes.fromhex("06a27c8b90479a4bb8fe575f050f886e")  # 8b7ca206-4790-4b9a-b8fe-575f050f886e
    table = b"regi" + struct.pack("<III", 0, count, 0) + guid + struct.pack("<QII", metadata_offset, metadata_size, 1)
    table = table.ljust(64 * KIB, b"\0")
    return table[:4] + struct.pack("<I", crc32c(table)) + table[8:]


@pytest.mark.parametrize(
    ("table", "where", "offset"),
    [
        (region_table(2048, 2 * MIB, MIB), "vhdx region table 1", 192 * KIB + 8),
        (region_table(0, 2 * MIB, MIB), "vhdx region table 1", 192 * KIB),
        (region_table(1, 2**64 - 1, 2**32 - 1), "vhdx region table 1", 192 * KIB + 16 + 16),
        (region_table(1, 2 * MIB, 16), "vhdx metadata region", 2 * MIB),
        (region_table(1, 5 * MIB, MIB), "vhdx metadata table", 5 * MIB),
    ],
)
def test_hostile_region_table_of_a_vhdx(tmp_path: Path, real_vhdx: Path, table: bytes, where: str, offset: int) -> None:
    container = opened("vhdx", patched(real_vhdx, tmp_path / "disk.vhdx", {192 * KIB: table}))
    assert container.virtual_size is None
    assert problems(container) == [(INVALID, where, offset)]


def metadata_at(path: Path) -> tuple[int, dict[str, tuple[int, int]]]:
    """Where the metadata region begins, and of each item by its id the entry and the bytes, all in the file."""
    data = path.read_bytes()
    guid = bytes.fromhex("06a27c8b90479a4bb8fe575f050f886e")
    (base,) = struct.unpack_from("<Q", data, data.index(guid, 192 * KIB) + 16)
    (count,) = struct.unpack_from("<H", data, base + 10)
    items = {}
    for entry in range(base + 32, base + 32 + 32 * count, 32):
        (offset,) = struct.unpack_from("<I", data, entry + 16)
        items[data[entry : entry + 4].hex()] = (entry, base + offset)
    return base, items


PARAMETERS, DISK_SIZE, SECTOR_SIZE = "3767a1ca", "2442a52f", "1dbf4181"  # the first bytes of their ids on disk


@pytest.mark.parametrize(
    ("item", "value"),
    [
        (DISK_SIZE, struct.pack("<Q", 10 * MIB + 1)),
        (DISK_SIZE, struct.pack("<Q", 2**64 - 512)),
        (SECTOR_SIZE, struct.pack("<I", 0)),
        (PARAMETERS, struct.pack("<I", 3 * MIB)),
        (PARAMETERS, struct.pack("<I", 0)),
    ],
)
def test_hostile_metadata_item_of_a_vhdx(tmp_path: Path, real_vhdx: Path, item: str, value: bytes) -> None:
    base, items = metadata_at(real_vhdx)
    container = opened("vhdx", patched(real_vhdx, tmp_path / "disk.vhdx", {items[item][1]: value}))
    assert container.virtual_size is None
    assert problems(container) == [(INVALID, "vhdx metadata region", base)]


@pytest.mark.parametrize("value", [struct.pack("<II", 65536, 9), struct.pack("<II", 0, 8)])
def test_hostile_metadata_entry_of_a_vhdx(tmp_path: Path, real_vhdx: Path, value: bytes) -> None:
    _, items = metadata_at(real_vhdx)
    entry = items[DISK_SIZE][0]
    container = opened("vhdx", patched(real_vhdx, tmp_path / "disk.vhdx", {entry + 16: value}))
    assert problems(container) == [(INVALID, "vhdx metadata table", entry + 16)]


def test_missing_metadata_item_of_a_vhdx(tmp_path: Path, real_vhdx: Path) -> None:
    base, items = metadata_at(real_vhdx)
    container = opened("vhdx", patched(real_vhdx, tmp_path / "disk.vhdx", {items[DISK_SIZE][0]: bytes(16)}))
    assert problems(container) == [(INVALID, "vhdx metadata table", base)]


# What must not be claimed.


@pytest.mark.parametrize(
    "image",
    [
        bytes(64) + b"\x7f\x10\xda\xbe" + bytes(442) + b"\x55\xaa",  # four bytes in boot code
        b"QFI\xfb\0\0\0\0" + bytes(504),  # no version of either qcow
        bytes(2048) + b"koly" + bytes(508),  # no header size
        bytes(32768) + b"\x09CD001\x01" + bytes(2041),  # no type of a volume descriptor
        bytes(32768) + b"\x01CD00",
    ],
)
def test_weak_signature_is_not_claimed(image: bytes) -> None:
    assert not set(claims(image)) & set(NAMES)


def test_disk_that_holds_a_disc_and_a_trailer_is_claimed_twice() -> None:
    assert set(claims(disc() + apple())) == {"iso9660", "dmg"}


# Any bytes.

BUILDERS: list[tuple[str, Callable[[], bytes]]] = [
    ("vdi", vdi),
    ("qed", qed),
    ("qcow", qcow),
    ("parallels", parallels),
    ("vmdk", sparse_extent),
    ("vmdk", cowd),
    ("vmdk", sesparse),
    ("vmdk", lambda: DESCRIPTOR),
    ("dmg", apple),
    ("ewf", evidence),
    ("iso9660", disc),
    ("iso9660", lambda: disc(b"CDROM")),
    ("luks", luks1),
]
IMAGES = [(name, build()) for name, build in BUILDERS]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(NAMES), st.binary(max_size=2048))
def test_any_bytes_give_a_value_or_a_structure_error(name: str, data: bytes) -> None:
    only_value_or_structure_error(name, Memory(data))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(IMAGES), st.integers(min_value=0), st.integers(0, 255), st.booleans())
def test_any_changed_byte_gives_a_value_or_a_structure_error(
    image: tuple[str, bytes], position: int, value: int, at_end: bool
) -> None:
    name, data = image
    used = data.rstrip(b"\0")
    start = 32768 if name == "iso9660" else 0
    offset = start + position % (len(used) - start)
    only_value_or_structure_error(
        name, Mutated(Memory(data), len(used) - 1 - offset + start if at_end else offset, value)
    )


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(IMAGES), st.integers(min_value=0))
def test_any_cut_gives_a_value_or_a_structure_error(image: tuple[str, bytes], length: int) -> None:
    name, data = image
    only_value_or_structure_error(name, Memory(data[: length % len(data)]))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_changed_byte_of_a_vhdx_gives_a_value_or_a_structure_error(real_vhdx: Path, data: st.DataObject) -> None:
    base, items = metadata_at(real_vhdx)
    places = [
        *((start, 80) for start in (0, 64 * KIB, 128 * KIB, 192 * KIB)),
        (base, 32 + 32 * len(items)),
        *((offset, 8) for _, offset in items.values()),
    ]
    start, size = data.draw(st.sampled_from(places))
    offset = start + data.draw(st.integers(0, size - 1))
    with FileSource(str(real_vhdx)) as source:
        only_value_or_structure_error("vhdx", Mutated(source, offset, data.draw(st.integers(0, 255))))
