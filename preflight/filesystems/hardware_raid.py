"""Members of the RAID sets of disk controllers and their BIOSes, by the metadata in the last sectors of the disk.

Specification: SNIA Common RAID Disk Data Format 2.0, section 4.4 "DDF Header"; the others are undocumented, their
layouts are those of dmraid, lib/format/ataraid, and what counts as a match is libblkid's (libblkid/src/superblocks of
util-linux).
"""

import struct
import zlib
from collections.abc import Callable
from typing import Any

from construct import Bytes, Int8ul, Int16ul, Int32ul, Int64ub, Int64ul, Padding, Struct

from preflight.binary import parse
from preflight.facts import Problem
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._fields import label
from preflight.filesystems._signatures import is_tiny, is_whole_disk
from preflight.source import BlockSource
from preflight.units import SECTOR, KiB

TAIL = 16 * KiB  # all but the second DDF header lie in it; one page that others read too
DDF_FIELDS = (
    ("signature", Bytes(4)),
    ("crc", Bytes(4)),
    ("guid", Bytes(24)),
    ("ddf_rev", Bytes(8)),
    ("unused", Bytes(56)),
)
DDF_HEADER_BE = Struct(*(name / layout for name, layout in DDF_FIELDS), "primary_lba" / Int64ub)
DDF_HEADER_LE = Struct(*(name / layout for name, layout in DDF_FIELDS), "primary_lba" / Int64ul)
DDF_MAGIC = bytes.fromhex("de11de11")
DDF_MIN_SIZE = 192 * KiB
DDF_SECONDARY = 257 * SECTOR  # before the end: behind a workspace of 128 KiB

ISW_SIGNATURE = b"Intel Raid ISM Cfg Sig. "
LSI_SIGNATURE = b"$XIDE$"
VIA_METADATA = Struct("signature" / Bytes(2), "version_number" / Int8ul, Padding(47), "checksum" / Int8ul)
VIA_SIGNATURE = b"\x55\xaa"
SILICON_METADATA = Struct(
    Padding(0x60), "magic" / Int32ul, Padding(0xB2), "disk_number" / Int8ul, Padding(0x27), "checksum1" / Int16ul
)
SILICON_MAGIC = 0x2F000000
NVIDIA_METADATA = Struct("vendor" / Bytes(8), "size" / Int32ul, "chksum" / Int32ul, "version" / Int16ul)
NVIDIA_SIGNATURE = b"NVIDIA"
NVIDIA_WORDS = 30  # the size that all of them state
HPT45X_MAGICS = (b"\xf3\x16\x78\x5a", b"\xfd\x16\x78\x5a")  # healthy, broken
HPT37X_MAGICS = (b"\xf0\x16\x78\x5a", b"\xfd\x16\x78\x5a")
HPT37X_OFFSET = 4640  # from the start: sector 9, byte 32
ADAPTEC_MAGIC = bytes.fromhex("37fc4d1e")  # b0idcode, first field
ADAPTEC_SIGNATURE = b"DPTM"  # smagic
ADAPTEC_SMAGIC = 256
JMICRON_METADATA = Struct("signature" / Bytes(2), "version" / Int16ul, Padding(44), "mode" / Int8ul)
JMICRON_SIZE = 128
JMICRON_MAX_MODE = 5


def read(source: BlockSource) -> Superblock | None:
    """The first of the formats that is there, in libblkid's order."""
    if is_tiny(source):
        return None
    end = source.size // SECTOR * SECTOR
    tail = source.read_at(end - TAIL, TAIL)
    found = _ddf(source, tail, end)
    if found or not is_whole_disk(source):  # libblkid: all but DDF on whole disks and image files only
        return found
    for probe in _PROBES:
        found = probe(tail, end)
        if found:
            return found
    if source.read_at(HPT37X_OFFSET, 4) in HPT37X_MAGICS:
        return Superblock("hpt37x_raid_member")
    return None


def _ddf(source: BlockSource, tail: bytes, end: int) -> Superblock | None:
    if source.size < DDF_MIN_SIZE:
        return None
    offset, data = end - SECTOR, tail[-SECTOR:]
    if data[:4] not in (DDF_MAGIC, DDF_MAGIC[::-1]):
        if not is_whole_disk(source):  # a page for a header that DDF has on whole disks only
            return None
        offset = end - DDF_SECONDARY
        data = source.read_at(offset, SECTOR)
        if data[:4] not in (DDF_MAGIC, DDF_MAGIC[::-1]):
            return None
    big = data[:4] == DDF_MAGIC
    header = parse(DDF_HEADER_BE if big else DDF_HEADER_LE, data, "ddf header", offset)
    primary = header.primary_lba * SECTOR
    if primary and (primary + 4 > source.size or source.read_at(primary, 4) != data[:4]):
        return None
    covered = data[:4] + b"\xff" * 4 + data[8:]
    # mdadm writes the CRC without the inversions of ISO 3309; one with them is taken too.
    registers = (zlib.crc32(covered), zlib.crc32(covered, 0xFFFFFFFF) ^ 0xFFFFFFFF)
    crcs = [register.to_bytes(4, "big" if big else "little") for register in registers]
    problems: tuple[Problem, ...] = ()
    if header.crc not in crcs:  # libblkid does not look at it, the controllers and mdadm refuse the disk
        message = f"the header's CRC is {header.crc.hex()}, its content gives {' or '.join(crc.hex() for crc in crcs)}"
        problems = (Problem("superblock-invalid", message, "ddf header", offset + 4),)
    return Superblock("ddf_raid_member", label(header.guid), problems=problems)


def _isw(tail: bytes, end: int) -> Superblock | None:
    return Superblock("isw_raid_member") if tail[-2 * SECTOR :].startswith(ISW_SIGNATURE) else None


def _lsi(tail: bytes, end: int) -> Superblock | None:
    return Superblock("lsi_mega_raid_member") if tail[-SECTOR:].startswith(LSI_SIGNATURE) else None


# Three of the formats have magics so short that only the checksum tells them from chance: where it is wrong,
# nothing is there.


def _via(tail: bytes, end: int) -> Superblock | None:
    metadata = parse(VIA_METADATA, tail[-SECTOR:], "via metadata", end - SECTOR)
    if metadata.signature != VIA_SIGNATURE or metadata.version_number > 2:
        return None
    return Superblock("via_raid_member") if sum(tail[-SECTOR:][:50]) & 0xFF == metadata.checksum else None


def _silicon(tail: bytes, end: int) -> Superblock | None:
    metadata = parse(SILICON_METADATA, tail[-SECTOR:], "silicon image metadata", end - SECTOR)
    if metadata.magic != SILICON_MAGIC or metadata.disk_number >= 8:
        return None
    total = -sum(struct.unpack_from("<159H", tail[-SECTOR:])) & 0xFFFF
    return Superblock("silicon_medley_raid_member") if total == metadata.checksum1 else None


def _nvidia(tail: bytes, end: int) -> Superblock | None:
    offset = end - 2 * SECTOR
    data = tail[-2 * SECTOR :]
    metadata = parse(NVIDIA_METADATA, data, "nvidia metadata", offset)
    if not metadata.vendor.startswith(NVIDIA_SIGNATURE):
        return None
    return Superblock("nvidia_raid_member", problems=_nvidia_problems(metadata, data, offset))


def _nvidia_problems(metadata: Any, data: bytes, offset: int) -> tuple[Problem, ...]:
    """The checksum, which older libblkid ignores and newer demands: all words together give zero."""
    if metadata.size != NVIDIA_WORDS:
        message = f"size is {metadata.size} words, expected {NVIDIA_WORDS}"
        return (Problem("superblock-invalid", message, "nvidia metadata", offset + 8),)
    if sum(struct.unpack_from(f"<{NVIDIA_WORDS}I", data)) & 0xFFFFFFFF:
        message = f"chksum {metadata.chksum:#010x} does not make the sum of all words zero"
        return (Problem("superblock-invalid", message, "nvidia metadata", offset + 12),)
    return ()


def _highpoint_45x(tail: bytes, end: int) -> Superblock | None:
    return Superblock("hpt45x_raid_member") if tail[-11 * SECTOR :].startswith(HPT45X_MAGICS) else None


def _adaptec(tail: bytes, end: int) -> Superblock | None:
    last = tail[-SECTOR:]
    if not last.startswith(ADAPTEC_MAGIC) or last[ADAPTEC_SMAGIC : ADAPTEC_SMAGIC + 4] != ADAPTEC_SIGNATURE:
        return None
    return Superblock("adaptec_raid_member")


def _jmicron(tail: bytes, end: int) -> Superblock | None:
    metadata = parse(JMICRON_METADATA, tail[-SECTOR:], "jmicron metadata", end - SECTOR)
    if metadata.signature != b"JM" or metadata.mode > JMICRON_MAX_MODE:
        return None
    total = sum(struct.unpack_from(f"<{JMICRON_SIZE // 2}H", tail[-SECTOR:])) & 0xFFFF
    return Superblock("jmicron_raid_member") if total in (0, 1) else None


_PROBES: tuple[Callable[[bytes, int], Superblock | None], ...] = (
    _isw,
    _lsi,
    _via,
    _silicon,
    _nvidia,
    _highpoint_45x,
    _adaptec,
    _jmicron,
)

FILESYSTEM = FileSystemReader(read, owner=True)
