"""What compresses files in NTFS: by the specification's example, by wimlib, and by hand what it never writes."""

import hashlib
import random
import struct
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.contents import _ntfs_lznt1, _ntfs_lzx, _ntfs_xpress
from preflight.units import KiB
from tests.windows.compact import ALGORITHMS, CHUNK_SIZES, compacted

DECOMPRESS = {"lzx": _ntfs_lzx.decompress} | dict.fromkeys(
    ("xpress4k", "xpress8k", "xpress16k"), _ntfs_xpress.decompress
)

# [MS-XCA] 3.3, LZNT1
TUNE = (
    b"F# F# G A A G F# E D D E F# F# E E F# F# G A A G F# E D D E F# E D D E E F# D E F# G F# D E F# G F# E D E A "
    b"F# F# G A A G F# E D D E F# E D D\0"
)
TUNE_COMPRESSED = bytes.fromhex(
    "38b08846232000204720410010a24701a045204400084501507900c045200524138805b4024a44ef0358028c091601484500be009e"
    "0004011890 00"
)


def code(size: int) -> bytes:
    """Bytes with calls of x86, to targets near and far, some across the end of a chunk."""
    rng = random.Random(size)
    parts: list[bytes] = []
    while sum(map(len, parts)) < size:
        target = rng.choice(
            (rng.randrange(-40_000, 40_000), rng.randrange(-(1 << 31), 1 << 31), 11_999_999, 12_000_000)
        )
        parts.append(b"\x55\x8b\xec" + b"\xe8" + struct.pack("<i", target) + b"\x83\xc4" * rng.randrange(4))
    return b"".join(parts)[:size]


CONTENTS = {
    "text": "".join(hashlib.sha256(b"%d" % number).hexdigest() for number in range(1500)).encode(),
    "one byte over and over": b"x" * 100_000,
    "calls": code(100_000),
    "few calls": b"\xe8\0\0\0\0" * 2 + code(70_001),
    "periods": b"".join(bytes([number % 251]) * (number % 300) for number in range(900)),
    "words": b" ".join(b"%d" % (number * number % 977) for number in range(30_000)),
    "half of it random": bytes(40_000) + random.Random(1).randbytes(70_000) + bytes(40_000),
    "almost random": bytes(byte & 0x7F for byte in random.Random(2).randbytes(70_000)),
}


def chunks(data: bytes, algorithm: str) -> list[tuple[bytes, bytes]]:
    """Each chunk that wimlib compressed, with what it is of."""
    stored = compacted(data, algorithm)
    size = CHUNK_SIZES[algorithm]
    count = -(-len(data) // size)
    table = 4 * (count - 1)
    places = [0, *struct.unpack(f"<{count - 1}I", stored[:table]), len(stored) - table]
    found = []
    for number in range(count):
        plain = data[number * size : (number + 1) * size]
        piece = stored[table + places[number] : table + places[number + 1]]
        if len(piece) < len(plain):
            found.append((piece, plain))
    assert found
    return found


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("name", CONTENTS)
def test_what_wimlib_compresses_is_decompressed(name: str, algorithm: str) -> None:
    for piece, plain in chunks(CONTENTS[name], algorithm):
        assert DECOMPRESS[algorithm](piece, len(plain)) == plain


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_chunk_that_is_cut_off_is_refused(algorithm: str) -> None:
    piece, plain = chunks(CONTENTS["text"], algorithm)[0]
    for length in (0, 1, 100, 255, 256, 260, len(piece) // 2, len(piece) - 30):
        with pytest.raises(ValueError, match=r"\w"):
            DECOMPRESS[algorithm](piece[:length], len(plain))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(list(ALGORITHMS)),
    st.sampled_from(["text", "calls", "periods", "one byte over and over"]),
    st.dictionaries(st.integers(0, 1), st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1),
)
def test_a_changed_chunk_gives_so_many_bytes_or_is_refused(
    algorithm: str, name: str, changes: dict[int, tuple[float, int]]
) -> None:
    piece, plain = chunks(CONTENTS[name], algorithm)[0]
    changed = bytearray(piece)
    for place, mask in changes.values():
        changed[int(place * len(piece))] ^= mask
    give_or_refuse(DECOMPRESS[algorithm], bytes(changed), len(plain))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(list(ALGORITHMS)), st.binary(max_size=2 * KiB), st.integers(1, 32 * KiB))
def test_any_bytes_give_so_many_bytes_or_are_refused(algorithm: str, data: bytes, size: int) -> None:
    give_or_refuse(DECOMPRESS[algorithm], data, size)


def give_or_refuse(decompress: Callable[[bytes, int], bytes], data: bytes, size: int) -> None:
    with suppress(ValueError):
        assert len(decompress(data, size)) == size


class Writer:
    """Bits as LZX has them: from the highest of each word on."""

    def __init__(self) -> None:
        self.bits = ""

    def put(self, value: int, count: int) -> None:
        self.bits += f"{value:0{count}b}" if count else ""

    def data(self) -> bytes:
        padded = self.bits + "0" * (-len(self.bits) % 16)
        return b"".join(int(padded[at : at + 16], 2).to_bytes(2, "little") for at in range(0, len(padded), 16))


def verbatim(writer: Writer, text: bytes) -> None:
    """A block of the letters a and b, whose codes have one bit each; no match, and no code for lengths."""

    def runs(*lengths: int | str) -> None:
        for symbol in range(20):  # 0, 16, 17 and 18 have two bits each: 00, 01, 10, 11
            writer.put(2 if symbol in (0, 16, 17, 18) else 0, 4)
        for length in lengths:
            if length == "one":
                writer.put(1, 2)  # 16: the length before, 0, less 16 modulo 17 is 1
            elif isinstance(length, int) and length >= 20:
                writer.put(3, 2)
                writer.put(length - 20, 5)
            elif isinstance(length, int):
                writer.put(2, 2)
                writer.put(length - 4, 4)

    writer.put(1, 3)
    writer.put(0, 1)
    writer.put(len(text), 16)
    runs(51, 46, "one", "one", 51, 51, 51, 4)  # 97 bytes without a code, a and b, 157 without one
    runs(51, 51, 51, 51, 36)
    runs(51, 51, 51, 51, 45)
    for letter in text:
        writer.put(letter - ord("a"), 1)


@pytest.mark.parametrize("count", range(1, 18))
@pytest.mark.parametrize("stored", [1, 2, 1001])
def test_a_block_of_lzx_that_is_not_compressed_begins_with_the_next_word(count: int, stored: int) -> None:
    """Behind 1 to 16 bits of padding, wherever the block before it ends."""
    text = (b"abba" * 5)[:count]
    writer = Writer()
    verbatim(writer, text)
    writer.put(3, 3)
    writer.put(0, 1)
    writer.put(stored, 16)
    writer.put(0, 16 - len(writer.bits) % 16)
    plain = bytes(number % 250 for number in range(stored))
    data = writer.data() + struct.pack("<3I", 1, 2, 3) + plain
    assert _ntfs_lzx.decompress(data, count + stored) == text + plain
    second = Writer()  # behind an odd number of bytes there is one of padding
    second.put(3, 3)
    second.put(0, 1)
    second.put(5, 16)
    data += bytes(stored % 2) + second.data() + struct.pack("<3I", 1, 2, 3) + b"12345"
    assert _ntfs_lzx.decompress(data, count + stored + 5) == text + plain + b"12345"


def test_a_recent_distance_of_zero_is_refused() -> None:
    writer = Writer()
    writer.put(3, 3)
    writer.put(1, 1)
    data = writer.data() + struct.pack("<3I", 1, 0, 1) + bytes(32 * KiB)
    with pytest.raises(ValueError, match="a recent distance is 0"):
        _ntfs_lzx.decompress(data, 32 * KiB)


@pytest.mark.parametrize(
    ("bits", "reason"),
    [
        ("000" + "1", "a block is of type 0"),
        ("111" + "1", "a block is of type 7"),
        ("001" + "0" + "0" * 16, "a block goes from byte 0 to 0"),
        ("001" + "0" + "1" * 16, "a block goes from byte 0 to 65535"),
        ("001" + "1" + "0" * 80, "no symbol has a code"),
        ("001" + "1" + "0001" * 20, "no complete code"),
    ],
)
def test_a_damaged_block_of_lzx_is_refused(bits: str, reason: str) -> None:
    writer = Writer()
    writer.bits = bits
    with pytest.raises(ValueError, match=reason):
        _ntfs_lzx.decompress(writer.data(), 32 * KiB)


def test_lzx_in_no_order_is_no_loop() -> None:
    """A length that says to repeat what repeats, symbol 19 after 19, is refused."""
    writer = Writer()
    writer.put(0b0011, 4)
    for symbol in range(20):
        writer.put(1 if symbol in (18, 19) else 0, 4)
    writer.put(0b1, 1)
    writer.put(0, 1)
    writer.put(0b1, 1)
    with pytest.raises(ValueError, match="symbol 19 repeats no length"):
        _ntfs_lzx.decompress(writer.data(), 32 * KiB)


def lznt1(data: bytes) -> bytes:
    return b"".join(map(_ntfs_lznt1.decompress, _ntfs_lznt1.chunks(data, 16)))


def test_lznt1_of_the_specification_is_decompressed() -> None:
    assert lznt1(TUNE_COMPRESSED) == TUNE.ljust(4 * KiB, b"\0")


def test_a_chunk_that_is_not_compressed_is_taken_as_it_is() -> None:
    plain = random.Random(3).randbytes(4 * KiB)
    assert lznt1(b"\xff\x3f" + plain + b"\x02\x30abc") == plain + b"abc".ljust(4 * KiB, b"\0")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x05\xb0\0abc", "has the header 0xb005, 6 bytes are there"),
        (b"\x03\xc0\0abc", "has the header 0xc003"),
        (b"\x02\xb0\1\0\0", "a match of 3 bytes from 1 before, where 0 of 4096 bytes are"),
        (b"\x04\xb0\2a\xff\xff\0", "from 16 before, where 1 of 4096 bytes are"),
        (b"\x02\xb0\2a\0", "a chunk ends within a match, after 1 bytes"),
        (b"\x03\xb0\2a\xff\x0f", "a match of 4098 bytes from 1 before, where 1 of 4096 bytes are"),
    ],
)
def test_damaged_lznt1_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        lznt1(data)


def test_lznt1_ends_with_a_header_of_zero_or_with_its_data() -> None:
    assert _ntfs_lznt1.chunks(b"\0\0" + TUNE_COMPRESSED, 16) == []
    assert _ntfs_lznt1.chunks(TUNE_COMPRESSED + bytes(9), 16) == [TUNE_COMPRESSED]
    assert _ntfs_lznt1.chunks(TUNE_COMPRESSED + b"x", 16) == [TUNE_COMPRESSED]
    assert len(_ntfs_lznt1.chunks(b"\x00\x30a" * 40, 16)) == 16


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=5 * KiB), st.booleans())
def test_any_chunk_of_lznt1_gives_4_kib_or_is_refused(data: bytes, headed: bool) -> None:
    if headed and data:
        data = (0xB000 | min(len(data), 4096) - 1).to_bytes(2, "little") + data
    with suppress(ValueError):
        assert len(lznt1(data)) % (4 * KiB) == 0
