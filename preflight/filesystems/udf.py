"""UDF discs and disks, with sectors of 512 to 4096 bytes.

Specification: ECMA-167, part 2, section 9 "Volume structures" (recognition), and part 3, section 10 "Volume
structures" (descriptors); OSTA Universal Disk Format 2.60, section 2
"""

from collections.abc import Iterator

from construct import Bytes, Int16ul, Int32ul, Padding, Struct

from preflight.binary import parse
from preflight.errors import OutOfBounds
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._fields import label
from preflight.filesystems._signatures import stated
from preflight.source import BlockSource
from preflight.units import KiB

RECOGNITION_AREA = 32 * KiB
MAX_STRUCTURES = 64  # libblkid's own limit; a disc has three to six
NSR = (b"NSR02", b"NSR03")  # what makes a disc UDF, or at least ECMA-167
OTHER_STRUCTURES = (b"BEA01", b"BOOT2", b"CD001", b"CDW02", b"TEA01")
BLOCK_SIZES = (512, 1024, 2048, 4096)
STRUCTURE_SIZES = (2048, 4096)  # ECMA-167 2/8.4: one sector, but at least 2048 bytes
ANCHORS = (256, 512)  # sectors; the second on unclosed write-once media, UDF 2.60, 2.2.3
MAX_DESCRIPTORS = 64  # of a volume descriptor sequence; ECMA-167 3/8.4.2.1 asks for 16 sectors, writers use up to 32
DESCRIPTOR_SIZE = 512

TAG = Struct("tag_identifier" / Int16ul, Padding(10), "tag_location" / Int32ul)
ANCHOR = Struct(*TAG.subcons, "main_length" / Int32ul, "main_location" / Int32ul)  # bytes; sector
PRIMARY = Struct(Padding(72), "volume_set_identifier" / Bytes(128), "descriptor_character_set" / Bytes(64))
PARTITION = Struct(Padding(188), "partition_starting_location" / Int32ul, "partition_length" / Int32ul)  # sectors
LOGICAL_VOLUME = Struct(Padding(20), "descriptor_character_set" / Bytes(64), "logical_volume_identifier" / Bytes(128))
PRIMARY_ID, ANCHOR_ID, PARTITION_ID, LOGICAL_VOLUME_ID, TERMINATING_ID = 1, 2, 5, 6, 8
OSTA_CHARACTER_SET = b"\0OSTA Compressed Unicode\0"
ENCODINGS = {8: "latin-1", 16: "utf-16-be"}  # OSTA compression ID, UDF 2.60, 2.1.1

UUID_SIZE = 16


def read(source: BlockSource) -> Superblock | None:
    """The disc by its primary, partition and logical volume descriptors."""
    found = _anchor(source)
    if not found:
        return None
    block_size, location, count = found
    primary = partition = volume = None
    for kind, data in _descriptors(source, block_size, location, count):
        if kind == PRIMARY_ID and primary is None:
            primary = parse(PRIMARY, data, "udf primary volume descriptor", 0)
        elif kind == LOGICAL_VOLUME_ID and volume is None:
            volume = parse(LOGICAL_VOLUME, data, "udf logical volume descriptor", 0)
        elif kind == PARTITION_ID and partition is None:
            partition = parse(PARTITION, data, "udf partition descriptor", 0)
        if primary and partition and volume:
            break
    uuid = name = size = None
    if primary and primary.descriptor_character_set.startswith(OSTA_CHARACTER_SET):
        uuid = _uuid(_dstring(primary.volume_set_identifier))
    if volume and volume.descriptor_character_set.startswith(OSTA_CHARACTER_SET):
        name = label(_dstring(volume.logical_volume_identifier).encode("utf-8", "surrogatepass"))
    if partition:
        size = stated((partition.partition_starting_location + partition.partition_length) * block_size)
    return Superblock("udf", uuid, name, size)


def _anchor(source: BlockSource) -> tuple[int, int, int] | None:
    """Sector size, and where the main volume descriptor sequence lies: its first sector and their number."""
    recognised = {size: _is_recognised(source, size) for size in STRUCTURE_SIZES}
    for block_size in BLOCK_SIZES:
        if not recognised[max(block_size, STRUCTURE_SIZES[0])]:
            continue
        for sector in ANCHORS:
            offset = sector * block_size
            if offset + DESCRIPTOR_SIZE > source.size:
                break
            anchor = parse(ANCHOR, source.read_at(offset, ANCHOR.sizeof()), "udf anchor", offset)
            if anchor.tag_identifier == ANCHOR_ID and anchor.tag_location == sector:
                return block_size, anchor.main_location, anchor.main_length // block_size
    return None


def _is_recognised(source: BlockSource, structure_size: int) -> bool:
    """Whether the volume recognition sequence has an NSR descriptor before the first that is no descriptor.

    UDF 2.60, 2.1.7: up to revision 2.00 it may also come after TEA01.
    """
    for number in range(MAX_STRUCTURES):
        offset = RECOGNITION_AREA + number * structure_size
        if offset + 7 > source.size:
            return False
        identifier = source.read_at(offset + 1, 5)
        if identifier in NSR:
            return True
        if identifier not in OTHER_STRUCTURES:
            return False
    return False


def _descriptors(source: BlockSource, block_size: int, location: int, count: int) -> Iterator[tuple[int, bytes]]:
    """The descriptors of the sequence with their kinds, up to the terminating or the first invalid one."""
    for sector in range(location, location + min(count, MAX_DESCRIPTORS)):
        try:
            data = source.read_at(sector * block_size, DESCRIPTOR_SIZE)
        except OutOfBounds:
            return
        tag = parse(TAG, data, "udf descriptor tag", sector * block_size)
        if tag.tag_identifier in (0, TERMINATING_ID) or tag.tag_location != sector:
            return
        yield tag.tag_identifier, data


def _dstring(field: bytes) -> str:
    """The text of a dstring: compression ID, characters, and in the last byte the number of bytes used by both."""
    encoding = ENCODINGS.get(field[0])
    if encoding is None:
        return ""
    used = field[1 : max(field[-1], 1)][: len(field) - 2]
    if encoding == "utf-16-be":
        used = used[: len(used) // 2 * 2]
        return used.decode(encoding, "surrogatepass").partition("\0")[0]
    return used.decode(encoding).partition("\0")[0]


def _uuid(volume_set_identifier: str) -> str | None:
    """libblkid's: 16 characters out of the first 16 bytes of the identifier in UTF-8.

    UDF 2.60, 2.2.2.5: its first 16 characters are unique, the first 8 of them hexadecimal digits of a time. Bytes
    that are not such digits are written as two: 8 bytes where the time has one, else 4 after the time.
    """
    data = b""
    for character in volume_set_identifier:
        encoded = character.encode("utf-8", "surrogatepass")
        if len(data) + len(encoded) > UUID_SIZE:
            break
        data += encoded
    if len(data) < UUID_SIZE // 2:
        return None
    data = data.ljust(UUID_SIZE, b"\0")
    digits = next((at for at, byte in enumerate(data) if chr(byte) not in "0123456789abcdefABCDEF"), UUID_SIZE)
    if digits < UUID_SIZE // 2:
        return data[: UUID_SIZE // 2].hex()
    if digits < UUID_SIZE:
        return data[: UUID_SIZE // 2].decode("ascii").lower() + data[UUID_SIZE // 2 : UUID_SIZE * 3 // 4].hex()
    return data.decode("ascii").lower()


FILESYSTEM = FileSystemReader(read, before=("iso9660",))
