"""qcow2 images of a few clusters, built field by field."""

from collections.abc import Sequence

from preflight.formats._qcow2_header import HEADER, HEADER_V3, MAGIC

CLUSTER = 65536
COPIED, COMPRESSED, ZERO = 1 << 63, 1 << 62, 1
VIRTUAL_SIZE = 8 * CLUSTER * 2


def l2_entry(start: int, *, compressed: bool = False, sectors: int = 1, cluster_bits: int = 16) -> int:
    """The L2 entry of guest data at `start`."""
    if compressed:
        return COMPRESSED | (sectors - 1) << (62 - (cluster_bits - 8)) | start
    return COPIED | start


def numbers(values: Sequence[int]) -> bytes:
    return b"".join(value.to_bytes(8) for value in values)


def image(
    *,
    l1: Sequence[int] = (4 * CLUSTER | COPIED,),
    l2: Sequence[int] = (),
    refcount_table: Sequence[int] = (2 * CLUSTER,),
    extensions: bytes = b"",
    extra: bytes = b"",
    refcount_blocks: bytes = b"",
    version: int = 3,
    **fields: int,
) -> bytes:
    """Header, refcount table, refcount block, L1 table, L2 table, each in a cluster of 64 KiB; then `extra`.

    `fields` replace those of the header. The refcounts, unless given, count every cluster that the file has.
    """
    header = {
        "magic": MAGIC,
        "version": version,
        "backing_file_offset": 0,
        "backing_file_size": 0,
        "cluster_bits": 16,
        "size": VIRTUAL_SIZE,
        "crypt_method": 0,
        "l1_size": len(l1),
        "l1_table_offset": 3 * CLUSTER,
        "refcount_table_offset": CLUSTER,
        "refcount_table_clusters": 1,
        "nb_snapshots": 0,
        "snapshots_offset": 0,
        "incompatible_features": 0,
        "compatible_features": 0,
        "autoclear_features": 0,
        "refcount_order": 4,
        "header_length": 104,
    } | fields
    start = HEADER.build(header)
    if version == 3:
        start += HEADER_V3.build(header)
    clusters = 5 + -(-len(extra) // CLUSTER)
    counts = refcount_blocks or b"\0\1" * clusters
    parts = (start + extensions, numbers(refcount_table), counts, numbers(l1), numbers(l2))
    return b"".join(part.ljust(CLUSTER, b"\0") for part in parts) + extra
