"""A compressed loop image (cloop 2) of old live systems: recognised and named.

Its first bytes are a shell script, so it would else be raw here and cloop to QEMU.

Specification: cloop.h of cloop-utils, "struct cloop_head"; the limits are QEMU's, block/cloop.c
"""

from construct import Bytes, Int32ub, Struct

from preflight import binary
from preflight.formats import Container, Format
from preflight.formats._recognised import head, open_named, require
from preflight.source import BlockSource
from preflight.units import SECTOR, MiB

MAGIC = b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop"
MAX_BLOCK_SIZE = 64 * MiB
MAX_OFFSETS_BYTES = 512 * MiB
WHERE = "cloop header"

Head = Struct("preamble" / Bytes(128), "block_size" / Int32ub, "num_blocks" / Int32ub)


def _claims(source: BlockSource) -> tuple[str, ...]:
    return ("cloop",) if head(source, len(MAGIC)) == MAGIC else ()


def _read(source: BlockSource) -> Container:
    header = binary.parse_at(Head, source, 0, WHERE)

    def check(condition: bool, field: str, reason: str) -> None:
        require(condition, WHERE, Head, field, reason)

    size, blocks = header.block_size, header.num_blocks
    fits = 0 < size <= MAX_BLOCK_SIZE and size % SECTOR == 0
    check(fits, "block_size", f"is {size} bytes, allowed are multiples of {SECTOR} up to {MAX_BLOCK_SIZE}")
    most = MAX_OFFSETS_BYTES // 8 - 1
    check(blocks <= most, "num_blocks", f"is {blocks}, at most {most} are read")
    return Container("cloop", None, size * blocks, format_details={"block_size": size, "num_blocks": blocks})


def _open(source: BlockSource, name: str) -> Container:
    return open_named(name, source, _read)


FORMAT = Format(("cloop",), _claims, _open, own_first_sector=("cloop",))
