"""Disk containers with one fixed header that are recognised and named, not read further: VDI, QED, QCOW, Parallels.

Specification: VirtualBox VDICore.h, https://www.virtualbox.org/browser/vbox/trunk/src/VBox/Storage/VDICore.h
Specification: QED Image File Format, https://wiki.qemu.org/Features/QED/Specification
Specification: The QCOW Image Format (version 1), https://people.gnome.org/~markmc/qcow-image-format-version-1.html
Specification: QEMU, docs/interop/parallels.txt, Parallels Expandable Image File Format
"""

from construct import Bytes, Int8ub, Int16ub, Int32ub, Int32ul, Int64ub, Int64ul, Struct

from preflight import binary
from preflight.formats import Container, Format
from preflight.formats._recognised import MAX_SIZE, head, not_closed, open_named, require
from preflight.source import BlockSource
from preflight.units import SECTOR, KiB, MiB, align_up, is_power_of_two

MAX_BACKING_FILE_NAME = 1023  # QEMU's limit for QED and QCOW alike

VDI_SIGNATURE = b"\x7f\x10\xda\xbe"  # 0xbeda107f, at byte 64
VDI_SIGNATURE_OFFSET = 64
VDI_VERSION = 0x0001_0001  # 1.1, which VirtualBox has written since 2007
VDI_IMAGE_TYPES = {1: "dynamic", 2: "fixed", 3: "undo", 4: "differencing"}

VdiHeader = Struct(
    "text" / Bytes(64),
    "signature" / Int32ul,
    "version" / Int32ul,
    "header_size" / Int32ul,
    "image_type" / Int32ul,
    "image_flags" / Int32ul,
    "comment" / Bytes(256),
    "offset_blocks" / Int32ul,
    "offset_data" / Int32ul,
    "geometry" / Bytes(12),
    "sector_size" / Int32ul,
    "unused" / Int32ul,
    "disk_size" / Int64ul,  # bytes
    "block_size" / Int32ul,
    "block_extra_size" / Int32ul,
    "blocks" / Int32ul,
    "blocks_allocated" / Int32ul,
    "uuid_create" / Bytes(16),
    "uuid_modify" / Bytes(16),
    "uuid_linkage" / Bytes(16),
    "uuid_parent_modify" / Bytes(16),
)

QED_MAGIC = b"QED\0"
QED_FEATURES = 0b111  # 0 backing file, 1 needs check, 2 backing file is raw
QED_NEED_CHECK = 0b10

QedHeader = Struct(
    "magic" / Bytes(4),
    "cluster_size" / Int32ul,
    "table_size" / Int32ul,  # clusters
    "header_size" / Int32ul,  # clusters
    "features" / Int64ul,
    "compat_features" / Int64ul,
    "autoclear_features" / Int64ul,
    "l1_table_offset" / Int64ul,
    "image_size" / Int64ul,  # bytes
    "backing_filename_offset" / Int32ul,
    "backing_filename_size" / Int32ul,
)

QCOW_MAGIC = b"QFI\xfb"
QCOW_MAGIC_V1 = QCOW_MAGIC + b"\0\0\0\x01"  # with the version: later ones are qcow2

QcowHeader = Struct(
    "magic" / Bytes(4),
    "version" / Int32ub,
    "backing_file_offset" / Int64ub,
    "backing_file_size" / Int32ub,
    "mtime" / Int32ub,
    "size" / Int64ub,  # bytes
    "cluster_bits" / Int8ub,
    "l2_bits" / Int8ub,
    "padding" / Int16ub,
    "crypt_method" / Int32ub,
    "l1_table_offset" / Int64ub,
)

PARALLELS_MAGIC = b"WithoutFreeSpace"
PARALLELS_MAGIC_EXT = b"WithouFreSpacExt"
PARALLELS_VERSION = 2
PARALLELS_IN_USE = 0x746F_6E59

ParallelsHeader = Struct(
    "magic" / Bytes(16),
    "version" / Int32ul,
    "heads" / Int32ul,
    "cylinders" / Int32ul,
    "tracks" / Int32ul,  # sectors in a cluster
    "bat_entries" / Int32ul,
    "nb_sectors" / Int64ul,
    "in_use" / Int32ul,
    "data_offset" / Int32ul,  # sectors
    "flags" / Int32ul,
    "ext_off" / Int64ul,
)


def _claims(source: BlockSource) -> tuple[str, ...]:
    data = head(source, 72)
    names = []
    # Four bytes in the middle of what may be boot code are weak, so the text or the version must fit as well.
    if data[64:68] == VDI_SIGNATURE and (data.startswith(b"<<<") or data[68:72] == b"\x01\0\x01\0"):
        names.append("vdi")
    if data.startswith(QED_MAGIC):
        names.append("qed")
    if data.startswith(QCOW_MAGIC_V1):
        names.append("qcow")
    if data.startswith((PARALLELS_MAGIC, PARALLELS_MAGIC_EXT)):
        names.append("parallels")
    return tuple(names)


def _vdi(source: BlockSource) -> Container:
    where = "vdi header"
    header = binary.parse_at(VdiHeader, source, 0, where)

    def check(condition: bool, field: str, reason: str) -> None:
        require(condition, where, VdiHeader, field, reason)

    check(header.version == VDI_VERSION, "version", f"is {header.version:#010x}, expected {VDI_VERSION:#010x}")
    check(header.image_type in VDI_IMAGE_TYPES, "image_type", f"is {header.image_type}, allowed are 1..4")
    check(header.sector_size == SECTOR, "sector_size", f"is {header.sector_size} bytes, expected {SECTOR}")
    check(header.disk_size <= MAX_SIZE, "disk_size", f"is {header.disk_size} bytes, more than a disk can have")
    reach = header.blocks * header.block_size
    check(reach >= header.disk_size, "blocks", f"cover {reach} bytes, fewer than the {header.disk_size} of the disk")
    details = {
        "image_type": VDI_IMAGE_TYPES[header.image_type],
        "block_size": header.block_size,
        "blocks": header.blocks,
        "blocks_allocated": header.blocks_allocated,
        "uuid_create": binary.guid_text(header.uuid_create),
    }
    # QEMU rounds up what older versions of itself wrote as a size that is not in sectors.
    return Container("vdi", None, align_up(header.disk_size, SECTOR), format_details=details)


def _qed(source: BlockSource) -> Container:
    where = "qed header"
    header = binary.parse_at(QedHeader, source, 0, where)

    def check(condition: bool, field: str, reason: str) -> None:
        require(condition, where, QedHeader, field, reason)

    cluster, table = header.cluster_size, header.table_size
    check(
        is_power_of_two(cluster) and 4 * KiB <= cluster <= 64 * MiB,
        "cluster_size",
        f"is {cluster}, allowed are powers of two from 4 KiB to 64 MiB",
    )
    check(is_power_of_two(table) and table <= 16, "table_size", f"is {table} clusters, allowed are 1, 2, 4, 8, 16")
    check(not header.features & ~QED_FEATURES, "features", f"are {header.features:#x}, known are {QED_FEATURES:#x}")
    entries = table * cluster // 8
    reach = min(entries * entries * cluster, MAX_SIZE)
    check(header.image_size <= reach, "image_size", f"is {header.image_size} bytes, its tables reach {reach}")
    check(header.image_size % SECTOR == 0, "image_size", f"is {header.image_size}, not a multiple of {SECTOR}")
    details = {
        "cluster_size": cluster,
        "table_size": table,
        "header_size": header.header_size,
        "features": header.features,
    }
    if header.features & 1:
        offset, size = header.backing_filename_offset, header.backing_filename_size
        check(size <= MAX_BACKING_FILE_NAME, "backing_filename_size", f"is {size}, at most {MAX_BACKING_FILE_NAME}")
        reach = header.header_size * cluster
        check(offset + size <= reach, "backing_filename_offset", f"is {offset}, past the header of {reach} bytes")
        details["backing_file"] = binary.text(source.read_at(offset, size))
    problems = (not_closed(where, 16, "features has the bit NEED_CHECK"),) if header.features & QED_NEED_CHECK else ()
    return Container("qed", None, header.image_size, format_details=details, problems=problems)


def _qcow(source: BlockSource) -> Container:
    where = "qcow header"
    header = binary.parse_at(QcowHeader, source, 0, where)

    def check(condition: bool, field: str, reason: str) -> None:
        require(condition, where, QcowHeader, field, reason)

    # The limits are QEMU's: block/qcow.c, qcow_open().
    check(9 <= header.cluster_bits <= 16, "cluster_bits", f"is {header.cluster_bits}, allowed are 9..16")
    check(6 <= header.l2_bits <= 13, "l2_bits", f"is {header.l2_bits}, allowed are 6..13")
    check(header.crypt_method <= 1, "crypt_method", f"is {header.crypt_method}, allowed are 0 and 1")
    check(header.size <= MAX_SIZE, "size", f"is {header.size} bytes, more than a disk can have")
    details = {
        "cluster_size": 1 << header.cluster_bits,
        "l2_bits": header.l2_bits,
        "encryption": {0: None, 1: "aes"}[header.crypt_method],
    }
    if header.backing_file_offset:
        offset, size = header.backing_file_offset, header.backing_file_size
        check(size <= MAX_BACKING_FILE_NAME, "backing_file_size", f"is {size}, at most {MAX_BACKING_FILE_NAME}")
        details["backing_file"] = binary.text(source.read_at(offset, size))
    return Container("qcow", None, header.size, format_details=details)


def _parallels(source: BlockSource) -> Container:
    where = "parallels header"
    header = binary.parse_at(ParallelsHeader, source, 0, where)

    def check(condition: bool, field: str, reason: str) -> None:
        require(condition, where, ParallelsHeader, field, reason)

    sectors = header.nb_sectors
    if header.magic == PARALLELS_MAGIC:
        sectors &= 0xFFFF_FFFF  # the older kind leaves the upper half undefined
    check(header.version == PARALLELS_VERSION, "version", f"is {header.version}, expected {PARALLELS_VERSION}")
    check(header.tracks > 0, "tracks", "is 0, a cluster has at least one sector")
    check(sectors <= MAX_SIZE // SECTOR, "nb_sectors", f"is {sectors}, more than a disk can have")
    reach = header.bat_entries * header.tracks
    check(reach >= sectors, "bat_entries", f"cover {reach} sectors, fewer than the {sectors} of the disk")
    details = {
        "cluster_size": header.tracks * SECTOR,
        "bat_entries": header.bat_entries,
        "heads": header.heads,
        "cylinders": header.cylinders,
        "extended": header.magic == PARALLELS_MAGIC_EXT,
    }
    in_use = header.in_use == PARALLELS_IN_USE
    problems = (not_closed(where, 44, "in_use says that a program has it open"),) if in_use else ()
    return Container("parallels", None, sectors * SECTOR, format_details=details, problems=problems)


_READERS = {"vdi": _vdi, "qed": _qed, "qcow": _qcow, "parallels": _parallels}


def _open(source: BlockSource, name: str) -> Container:
    return open_named(name, source, _READERS[name])


FORMAT = Format(
    ("vdi", "qed", "qcow", "parallels"), _claims, _open, own_first_sector=("vdi", "qed", "qcow", "parallels")
)
