"""The checksums of btrfs, over superblocks and the nodes of trees.

Specification: btrfs documentation, Checksumming, https://btrfs.readthedocs.io/en/latest/Checksumming.html;
xxHash fast digest algorithm, XXH64, https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
"""

import struct

from preflight import binary

CSUM_SIZE = 32  # the field, of which crc32c fills 4 bytes and xxhash 8
CRC32C, XXHASH64, SHA256, BLAKE2B = range(4)  # csum_type


def checksum(csum_type: int, data: bytes) -> bytes | None:
    """The checksum of `data` as it is stored, without the zeros behind it; None for an unknown type."""
    if csum_type == CRC32C:
        return (binary.crc32c(data) ^ 0xFFFFFFFF).to_bytes(4, "little")
    if csum_type == XXHASH64:
        return xxhash64(data).to_bytes(8, "little")
    import hashlib  # here, as it is seldom needed

    if csum_type == SHA256:
        return hashlib.sha256(data).digest()
    if csum_type == BLAKE2B:
        return hashlib.blake2b(data, digest_size=32).digest()
    return None


MASK64 = (1 << 64) - 1
PRIME_1, PRIME_2, PRIME_3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
PRIME_4, PRIME_5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5


def xxhash64(data: bytes) -> int:
    """XXH64 with seed 0, of at least 32 bytes and a multiple of 4: 16 KiB take some milliseconds."""
    if len(data) < 32 or len(data) % 4:
        raise ValueError(f"{len(data)} bytes, expected are 32 or more, in fours")
    lanes = [(PRIME_1 + PRIME_2) & MASK64, PRIME_2, 0, -PRIME_1 & MASK64]
    blocks = len(data) // 32 * 32
    for stripe in struct.iter_unpack("<4Q", data[:blocks]):
        lanes = [_round(lane, word) for lane, word in zip(lanes, stripe, strict=True)]
    digest = sum(_rotate(lane, count) for lane, count in zip(lanes, (1, 7, 12, 18), strict=True))
    for lane in lanes:
        digest = ((digest ^ _round(0, lane)) * PRIME_1 + PRIME_4) & MASK64
    digest += len(data)
    words = blocks + (len(data) - blocks) // 8 * 8
    for (word,) in struct.iter_unpack("<Q", data[blocks:words]):
        digest = (_rotate((digest ^ _round(0, word)) & MASK64, 27) * PRIME_1 + PRIME_4) & MASK64
    if words < len(data):
        half = int.from_bytes(data[words:], "little")
        digest = (_rotate((digest ^ half * PRIME_1) & MASK64, 23) * PRIME_2 + PRIME_3) & MASK64
    digest = ((digest ^ (digest & MASK64) >> 33) * PRIME_2) & MASK64
    digest = ((digest ^ digest >> 29) * PRIME_3) & MASK64
    return digest ^ digest >> 32


def _round(lane: int, word: int) -> int:
    return _rotate((lane + word * PRIME_2) & MASK64, 31) * PRIME_1 & MASK64


def _rotate(value: int, count: int) -> int:
    return (value << count | value >> (64 - count)) & MASK64
