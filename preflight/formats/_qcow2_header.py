"""The header of a qcow2 image, and what can be wrong with its fields.

Specification: Qcow2 Image File Format, sections "Header" and "Additional fields",
https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.rst
"""

from collections.abc import Iterator

import msgspec
from construct import Bytes, Int8ub, Int32ub, Int64ub, Struct

from preflight.binary import parse_at
from preflight.errors import BudgetExhausted, OutOfBounds, ReadFailed, StructureError
from preflight.facts import Problem, ProblemCode
from preflight.source import BlockSource
from preflight.units import SECTOR, MiB, ceil_div, human_size

MAGIC = b"QFI\xfb"
WHERE = "qcow2 header"
EXTENSION_WHERE = "qcow2 header extension"

CLUSTER_BITS = range(9, 22)  # the specification's least, and QEMU's most: 2 MiB
EXTENDED_CLUSTER_BITS = 14  # least with extended L2 entries: 32 subclusters of 512 bytes
MAX_L1_BYTES = 32 * MiB  # QEMU's own limit
MAX_REFCOUNT_TABLE_BYTES = 8 * MiB  # QEMU's own limit
MAX_REFCOUNT_ORDER = 6  # 64 bits
MAX_SNAPSHOTS = 65536  # QEMU's own limit

V2_LENGTH = 72
V3_LENGTH = 104

PREFIX = Struct("magic" / Bytes(4), "version" / Int32ub)
HEADER = Struct(
    "magic" / Bytes(4),
    "version" / Int32ub,
    "backing_file_offset" / Int64ub,
    "backing_file_size" / Int32ub,
    "cluster_bits" / Int32ub,
    "size" / Int64ub,
    "crypt_method" / Int32ub,
    "l1_size" / Int32ub,  # entries
    "l1_table_offset" / Int64ub,
    "refcount_table_offset" / Int64ub,
    "refcount_table_clusters" / Int32ub,
    "nb_snapshots" / Int32ub,
    "snapshots_offset" / Int64ub,
)
HEADER_V3 = Struct(
    "incompatible_features" / Int64ub,
    "compatible_features" / Int64ub,
    "autoclear_features" / Int64ub,
    "refcount_order" / Int32ub,
    "header_length" / Int32ub,
)
COMPRESSION = Struct("compression_type" / Int8ub)

DIRTY, CORRUPT, EXTERNAL_DATA, COMPRESSION_TYPE, EXTENDED_L2 = 1, 2, 4, 8, 16  # incompatible features
KNOWN_INCOMPATIBLE = 0x1F
AUTOCLEAR_BITMAPS, AUTOCLEAR_RAW_EXTERNAL = 1, 2


class Header(msgspec.Struct, frozen=True):
    """The fields as they stand there; what a version 2 header lacks has the value that the specification implies."""

    version: int
    backing_file_offset: int
    backing_file_size: int
    cluster_bits: int
    size: int
    crypt_method: int
    l1_size: int
    """In entries."""
    l1_table_offset: int
    refcount_table_offset: int
    refcount_table_clusters: int
    nb_snapshots: int
    snapshots_offset: int
    incompatible_features: int = 0
    compatible_features: int = 0
    autoclear_features: int = 0
    refcount_order: int = 4
    header_length: int = V2_LENGTH
    compression_type: int = 0

    @property
    def cluster_size(self) -> int:
        """In bytes; of use only where `cluster_bits` is allowed."""
        return 1 << self.cluster_bits

    @property
    def entry_size(self) -> int:
        """Bytes of an L2 entry."""
        return 16 if self.incompatible_features & EXTENDED_L2 else 8

    @property
    def l1_reach(self) -> int:
        """Guest bytes that one L1 entry maps."""
        return self.cluster_size // self.entry_size * self.cluster_size

    @property
    def virtual_size(self) -> int | None:
        """The disk's size; None where no L1 table that QEMU allows could map it, or the cluster size is unknown."""
        if self.cluster_bits not in CLUSTER_BITS or self.size > MAX_L1_BYTES // 8 * self.l1_reach:
            return None
        return self.size


def problem_from(error: StructureError, where: str, code: ProblemCode) -> Problem:
    """The problem that `error` amounts to: `code`, where it does not tell of the file or the host instead."""
    if isinstance(error, OutOfBounds):
        return Problem("truncated-file", "it goes on past the end of the file", where, error.offset)
    if isinstance(error, ReadFailed):
        code = "read-error"
    elif isinstance(error, BudgetExhausted):
        code = "budget-exhausted"
    return Problem(code, error.reason, where, error.offset)


def read_header(source: BlockSource) -> Header:
    """The header at the start of `source`.

    Raises `StructureError` for a version that is neither 2 nor 3, `OutOfBounds` where the file is too short.
    """
    version = parse_at(PREFIX, source, 0, WHERE).version
    if version not in (2, 3):
        raise StructureError(WHERE, 4, f"version is {version}, known are 2 and 3")
    fields = parse_at(HEADER, source, 0, WHERE)
    if version == 3:  # a version 2 header ends at byte 72: what follows there is not a flag, whatever it looks like
        fields.update(parse_at(HEADER_V3, source, V2_LENGTH, WHERE))
        if fields.header_length > V3_LENGTH:
            fields.update(parse_at(COMPRESSION, source, V3_LENGTH, WHERE))
    return Header(**{name: fields[name] for name in Header.__struct_fields__ if name in fields})


def mapping_defects(header: Header, file_size: int) -> Iterator[Problem]:
    """What leaves it undefined where the guest's bytes are; offsets are those of the fields."""
    if header.cluster_bits not in CLUSTER_BITS:
        allowed = f"{CLUSTER_BITS[0]} to {CLUSTER_BITS[-1]}"
        yield Problem(
            "qcow2-header-invalid", f"cluster_bits is {header.cluster_bits}, allowed are {allowed}", WHERE, 20
        )
        return
    if header.version == 3 and not V3_LENGTH <= header.header_length <= header.cluster_size:
        reason = f"header_length is {header.header_length} bytes, allowed are {V3_LENGTH} to {header.cluster_size}"
        yield Problem("qcow2-header-invalid", reason, WHERE, 100)
    if header.incompatible_features & EXTENDED_L2 and header.cluster_bits < EXTENDED_CLUSTER_BITS:
        reason = f"cluster_bits is {header.cluster_bits}, extended L2 entries need at least {EXTENDED_CLUSTER_BITS}"
        yield Problem("qcow2-header-invalid", reason, WHERE, 20)
    if header.compression_type > 1:
        reason = f"compression_type is {header.compression_type}, known are 0 (zlib) and 1 (zstd)"
        yield Problem("qcow2-header-invalid", reason, WHERE, 104)
    elif bool(header.incompatible_features & COMPRESSION_TYPE) != bool(header.compression_type):
        reason = f"compression_type is {header.compression_type}, which contradicts incompatible feature bit 3"
        yield Problem("qcow2-header-invalid", reason, WHERE, 104 if header.header_length > V3_LENGTH else 72)
    yield from _l1_defects(header, file_size)


def _l1_defects(header: Header, file_size: int) -> Iterator[Problem]:
    needed = ceil_div(header.size, header.l1_reach)
    if header.virtual_size is None:
        most = human_size(MAX_L1_BYTES // 8 * header.l1_reach)
        reason = f"size is {header.size} bytes, an L1 table of {human_size(MAX_L1_BYTES)} reaches {most} at most"
        yield Problem("qcow2-header-invalid", reason, WHERE, 24)
    elif header.l1_size < needed:
        reason = f"l1_size is {header.l1_size} entries, the virtual size needs {needed}"
        yield Problem("qcow2-table-invalid", reason, WHERE, 36)
    if header.l1_size * 8 > MAX_L1_BYTES:
        reason = f"l1_size is {header.l1_size} entries, allowed are {MAX_L1_BYTES // 8} ({human_size(MAX_L1_BYTES)})"
        yield Problem("qcow2-table-invalid", reason, WHERE, 36)
    yield from _place_defects(header, file_size, "l1_table_offset", header.l1_table_offset, header.l1_size * 8, 40)


def _place_defects(header: Header, file_size: int, field: str, start: int, size: int, at: int) -> Iterator[Problem]:
    """What is wrong with a table of `size` bytes at `start`, as the field at byte `at` of the header says."""
    if start % header.cluster_size:
        reason = f"{field} is {start:#x}, not a multiple of the cluster size {header.cluster_size}"
        yield Problem("qcow2-table-invalid", reason, WHERE, at)
    elif start + size >= 1 << 63:  # offsets are signed in QEMU, even that of an empty table
        yield Problem("qcow2-table-invalid", f"{field} is {start:#x}, which no file reaches", WHERE, at)
    elif size and start == 0:
        yield Problem("qcow2-table-invalid", f"{field} is 0, which is the header's own cluster", WHERE, at)
    elif size and not well_placed(header, start, size, file_size):  # an empty table may be said to lie anywhere
        reason = f"{field} is {start:#x} and the table has {size} bytes, but the file ends at byte {file_size:#x}"
        yield Problem("truncated-file", reason, WHERE, at)


def well_placed(header: Header, start: int, size: int, file_size: int) -> bool:
    """Whether a table of `size` bytes can be at `start`: on whole clusters, not on the header, inside the file."""
    return start % header.cluster_size == 0 and start > 0 and start + size <= file_size


def defects(header: Header, file_size: int) -> Iterator[Problem]:
    """What else is wrong or worth telling where `cluster_bits` is allowed; offsets are those of the fields."""
    features = header.incompatible_features
    if header.size % SECTOR:
        yield Problem("size-not-in-sectors", f"size is {header.size}, not a multiple of {SECTOR} bytes", WHERE, 24)
    if header.crypt_method in (1, 2):
        method = "AES" if header.crypt_method == 1 else "LUKS"
        yield Problem("qcow2-encrypted", f"the guest's data is encrypted: {method}", WHERE, 32)
    elif header.crypt_method:
        reason = f"crypt_method is {header.crypt_method}, known are 0 (none), 1 (AES) and 2 (LUKS)"
        yield Problem("qcow2-header-invalid", reason, WHERE, 32)
    if features & DIRTY:
        yield Problem("qcow2-dirty", "the dirty bit is set: reference counts may be wrong until a repair", WHERE, 72)
    if features & CORRUPT:
        yield Problem("qcow2-corrupt", "the corrupt bit is set: any structure may be damaged", WHERE, 72)
    if header.autoclear_features & AUTOCLEAR_RAW_EXTERNAL and not features & EXTERNAL_DATA:
        reason = "autoclear feature bit 1 (raw external data) is set without an external data file"
        yield Problem("qcow2-header-invalid", reason, WHERE, 88)
    if header.refcount_order > MAX_REFCOUNT_ORDER:
        reason = f"refcount_order is {header.refcount_order}, allowed are 0 to {MAX_REFCOUNT_ORDER}"
        yield Problem("qcow2-header-invalid", reason, WHERE, 96)
    if header.header_length % 8:  # QEMU accepts it; by specification it must not be
        reason = f"header_length is {header.header_length} bytes, not a multiple of 8"
        yield Problem("qcow2-header-invalid", reason, WHERE, 100)
    yield from _refcount_table_defects(header, file_size)
    if header.nb_snapshots > MAX_SNAPSHOTS:
        reason = f"nb_snapshots is {header.nb_snapshots}, allowed are {MAX_SNAPSHOTS}"
        yield Problem("qcow2-table-invalid", reason, WHERE, 60)
    least = header.nb_snapshots * 40  # bytes of an entry without its texts
    yield from _place_defects(header, file_size, "snapshots_offset", header.snapshots_offset, least, 64)


def _refcount_table_defects(header: Header, file_size: int) -> Iterator[Problem]:
    size = header.refcount_table_clusters * header.cluster_size
    if not size:
        yield Problem("qcow2-table-invalid", "refcount_table_clusters is 0, at least 1 is needed", WHERE, 56)
    elif size > MAX_REFCOUNT_TABLE_BYTES:
        most = MAX_REFCOUNT_TABLE_BYTES // header.cluster_size
        reason = f"refcount_table_clusters is {header.refcount_table_clusters}, allowed are {most}"
        yield Problem("qcow2-table-invalid", reason, WHERE, 56)
    start = header.refcount_table_offset
    yield from _place_defects(header, file_size, "refcount_table_offset", start, size, 48)
    if size and start < header.l1_table_offset + header.l1_size * 8 and header.l1_table_offset < start + size:
        yield Problem("qcow2-table-invalid", "the refcount table and the L1 table overlap", WHERE, 48)
