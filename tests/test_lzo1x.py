import contextlib
import random
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.errors import StructureError
from preflight.lzo1x import decompress
from tests import tools

END = b"\x11\0\0"


def lzop_blocks(tmp_path: Path, data: bytes, *options: str) -> list[tuple[int, bytes, int]]:
    """Uncompressed length, stream and Adler-32 of every block that lzop makes of `data`."""
    plain, packed = tmp_path / "plain", tmp_path / "plain.lzo"
    plain.write_bytes(data)
    tools.run("lzop", "-f", *options, "-o", packed, plain)
    file = packed.read_bytes()
    flags = int.from_bytes(file[17:21], "big")
    assert flags & 0x1 and not flags & 0xF42, "an lzop that writes other checksums than it is known for"
    position = 34 + file[33] + 4
    blocks = []
    while length := int.from_bytes(file[position : position + 4], "big"):
        _, packed_length, adler = struct.unpack_from(">3I", file, position)
        position += 12
        blocks.append((length, file[position : position + packed_length], adler))
        position += packed_length
    return blocks


def samples() -> dict[str, bytes]:
    chance = random.Random(3)
    words = [bytes(chance.choices(b"abcdefghijklmnopqrstuvwxyz", k=chance.randint(1, 9))) for _ in range(800)]
    far = bytes(chance.randbytes(60_000))
    return {
        "words": b" ".join(chance.choices(words, k=40_000)),
        "repetition": b"abc" * 50_000,
        "zeros": bytes(300_000),
        "far matches": far + b"-" + far[:50_000] + far[100:900] * 3,
        "sparse changes": b"".join(
            bytes(chance.randint(0, 40)) + chance.randbytes(chance.randint(1, 5)) for _ in range(9000)
        ),
        "long literals": chance.randbytes(5000) + bytes(2000) + chance.randbytes(700),
    }


@pytest.mark.parametrize("level", ["-1", "-3", "-9"])
@pytest.mark.parametrize("name", samples())
def test_what_lzop_packed_is_unpacked(tmp_path: Path, name: str, level: str) -> None:
    data = samples()[name]
    unpacked = b""
    for length, stream, adler in lzop_blocks(tmp_path, data, level):
        block = stream if len(stream) == length else decompress(stream, length)
        assert len(block) == length
        assert zlib.adler32(block) == adler
        unpacked += block
    assert unpacked == data


def test_the_empty_stream_is_empty() -> None:
    assert decompress(END, 0) == b""


def test_a_first_byte_above_17_is_a_run_of_literals() -> None:
    assert decompress(b"\x15abcd" + END, 4) == b"abcd"


def test_each_kind_of_instruction_as_the_specification_has_it() -> None:
    # 4 literals; 0 1 L DDD SS: 4 bytes from 1 back, 1 literal; 0000DDSS in state 1: 2 bytes from 5 back, none;
    # 0000LLLL in state 0: 4 literals; 0000DDSS in state 4: 3 bytes from 2049 back is too far here, hence 001LLLLL.
    stream = b"\x15abcd" + b"\x61\0e" + b"\x00\x01" + b"\x01wxyz" + b"\x23\x0c\0" + END
    assert decompress(stream, 100) == b"abcd" + b"dddd" + b"e" + b"dd" + b"wxyz" + b"wxyzw"


def test_state_4_copies_3_bytes_from_2049_back() -> None:
    # A literal run of 2052 bytes: 3 + 15 + 7 * 255 + 249.
    run = bytes(index % 251 for index in range(2052))
    stream = b"\x00" + bytes(7) + bytes([249]) + run + b"\x00\x00" + END
    assert decompress(stream, 4096) == run + run[3:6]


@pytest.mark.parametrize(
    ("stream", "limit", "offset", "words"),
    [
        (b"", 10, 0, "ends before its end mark"),
        (b"\x15ab", 10, 3, "ends before its end mark"),
        (b"\x15abcd", 10, 5, "ends before its end mark"),
        (b"\x15abcd\x20\0\0\0", 10, 9, "ends before its end mark"),
        (END + b"!", 10, 3, "1 bytes follow its end mark"),
        (b"\x15abcd" + END, 3, 8, "holds more than 3 bytes"),
        (b"\x15abcd\x60\0" + END, 7, 7, "holds more than 7 bytes"),
        (b"\x15abcd\x60\x01" + END, 100, 7, "copies from 9 bytes back, only 4 are there"),
    ],
)
def test_a_damaged_stream_is_refused(stream: bytes, limit: int, offset: int, words: str) -> None:
    with pytest.raises(StructureError) as caught:
        decompress(stream, limit)
    assert (caught.value.where, caught.value.offset) == ("LZO1X stream", offset)
    assert words in caught.value.reason


def test_a_bomb_ends_at_its_limit() -> None:
    # 1 MiB of zero bytes after an instruction is a copy of 255 MiB.
    with pytest.raises(StructureError, match="holds more than 65536 bytes"):
        decompress(b"\x12a\x20" + bytes(1 << 20) + b"\x01\0\0" + END, 65536)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_give_bytes_or_a_structure_error(data: bytes) -> None:
    with contextlib.suppress(StructureError):
        assert len(decompress(data, 4096)) <= 4096


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 60), st.integers(0, 255))
def test_any_changed_byte_gives_bytes_or_a_structure_error(position: int, value: int) -> None:
    stream = bytearray(b"\x15abcd" + b"\x61\0e" + b"\x00\x01" + b"\x01wxyz" + b"\x23\x0c\0" + END)
    stream[position % len(stream)] = value
    with contextlib.suppress(StructureError):
        assert len(decompress(bytes(stream), 4096)) <= 4096
