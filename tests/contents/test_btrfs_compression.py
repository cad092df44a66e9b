"""The decompressors of btrfs on streams written by hand, and on bytes that are none.

What Linux has compressed is in the captures that `test_btrfs` reads.
"""

import random
import sys
import zlib
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from preflight.contents._btrfs_compression import decompress, lzo1x
from preflight.units import KiB, MiB

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ZLIB, LZO, ZSTD = 1, 2, 3
SECTOR = 4 * KiB
EXTENT = 128 * KiB
END = b"\x11\0\0"
NOISE = random.Random(1).randbytes(EXTENT)


def literals(data: bytes) -> bytes:
    """A stream's first instruction: more than 18 literals."""
    zeros, rest = divmod(len(data) - 19, 255)
    return bytes(1 + zeros) + bytes((rest + 1,)) + data


HUNDRED = literals(NOISE[:100])


# Expected is what "LZO stream format as understood by Linux's LZO decompressor" says of each instruction.
@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"\x15abcd", b"abcd"),  # first byte 21: 4 literals
        (HUNDRED, NOISE[:100]),
        (literals(NOISE[:1000]), NOISE[:1000]),
        (b"\x12a" + b"\x20\x01\x00\x00", b"a" * 35),  # 001LLLLL, L of 0: length 2 + 31 + 1, distance 1
        (HUNDRED + b"\x2e\x24\x00", NOISE[:100] + NOISE[90:100] + NOISE[90:96]),  # length 16, distance 10
        (HUNDRED + b"\x25\x25\x00z", NOISE[:100] + NOISE[90:97] + b"z"),  # S of 1: a literal follows
        (HUNDRED + b"\x44\x01", NOISE[:100] + NOISE[90:93]),  # 01LDDDSS: length 3, distance 8 + 1 + 1
        (HUNDRED + b"\x64\x01", NOISE[:100] + NOISE[90:94]),
        (HUNDRED + b"\xff\x01xyz", NOISE[:100] + NOISE[84:92] + b"xyz"),  # 1LLDDDSS: length 8, distance 8 + 7 + 1
        # 0000DDSS after one literal: length 2, distance 8 + 1 + 1
        (HUNDRED + b"\x25\x25\x00z\x04\x02", NOISE[:100] + NOISE[90:97] + b"z" + NOISE[98:100]),
        # 0000DDSS after many literals: length 3, distance 40 + 1 + 2049
        (literals(NOISE[:3000]) + b"\x04\x0a", NOISE[:3000] + NOISE[910:913]),
        # 0000LLLL after no literal: 4 literals
        (HUNDRED + b"\x44\x01\x01wxyz", NOISE[:100] + NOISE[90:93] + b"wxyz"),
        # 0001HLLL: length 5, distance 16384 + 5, then with H 32768 + 5
        (literals(NOISE[:40000]) + b"\x13\x14\x00", NOISE[:40000] + NOISE[23611:23616]),
        (literals(NOISE[:40000]) + b"\x1b\x14\x00", NOISE[:40000] + NOISE[7227:7232]),
    ],
)
def test_instructions_do_what_the_description_says(stream: bytes, expected: bytes) -> None:
    assert lzo1x(stream + END, len(expected)) == expected


def test_stream_that_is_cut_off_anywhere_is_refused() -> None:
    stream = HUNDRED + b"\x25\x25\x00z\x04\x02\xff\x01xyz" + END
    for size in range(len(stream)):
        with pytest.raises(ValueError, match="lzo"):
            lzo1x(stream[:size], SECTOR)


@pytest.mark.parametrize(
    "stream",
    [
        b"\x15abcd\x44\x01" + END,  # 10 bytes back, where 4 are
        b"\x12a" + b"\x20" + bytes(1000) + b"\x01\x00\x00" + END,  # 255 KiB of it
        literals(NOISE[:5000]) + END,
        b"",
    ],
)
def test_copies_from_before_the_start_or_past_the_limit_are_refused(stream: bytes) -> None:
    with pytest.raises(ValueError, match="lzo"):
        lzo1x(stream, SECTOR)


def frame(*segments: bytes, padded: bool = False) -> bytes:
    """What btrfs puts around LZO streams, as Linux writes it; `padded`: with what would come before one more."""
    data = bytearray(4)
    for segment in segments:
        data += len(segment).to_bytes(4, "little") + segment
        if (left := -len(data) % SECTOR) < 4 and (padded or segment is not segments[-1]):
            data += bytes(left)
    data[:4] = len(data).to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize("left", range(8))
@pytest.mark.parametrize("padded", [False, True])
def test_segments_that_end_near_the_end_of_a_sector_are_read(left: int, padded: bool) -> None:
    first = next(
        size for size in range(3000, SECTOR) if 8 + len(literals(NOISE[:size]) + END) == SECTOR - left
    )  # of which the sector of the frame that has it leaves so many bytes
    one = literals(NOISE[:first]) + END
    assert decompress(LZO, frame(one, padded=padded), SECTOR, SECTOR) == NOISE[:first].ljust(SECTOR, b"\0")
    whole = literals(NOISE[:SECTOR]) + END
    several = frame(whole, one, whole, padded=padded) + bytes(100)
    assert decompress(LZO, several, 3 * SECTOR, SECTOR) == (NOISE[:SECTOR] + NOISE[:first] + NOISE[:SECTOR]).ljust(
        3 * SECTOR, b"\0"
    )


@pytest.mark.parametrize("sectorsize", [SECTOR, 64 * KiB])
def test_whole_extent_of_lzo_is_read(sectorsize: int) -> None:
    data = bytes(EXTENT // 2) + b"repeated" * (EXTENT // 16)
    sectors = [data[start : start + sectorsize] for start in range(0, EXTENT, sectorsize)]
    streams = [literals(sector[:19]) + _repeat(8, len(sector) - 19) + END for sector in sectors]
    # The repeated text does not begin anew in each sector, the copies reach back 8 bytes in all of them.
    joined = bytearray(4)
    for stream in streams:
        if (left := -len(joined) % sectorsize) < 4:
            joined += bytes(left)
        joined += len(stream).to_bytes(4, "little") + stream
    joined[:4] = len(joined).to_bytes(4, "little")
    assert decompress(LZO, bytes(joined), EXTENT, sectorsize) == data


def _repeat(distance: int, length: int) -> bytes:
    zeros, rest = divmod(length - 34, 255)
    return b"\x20" + bytes(zeros) + bytes((rest + 1,)) + ((distance - 1) << 2).to_bytes(2, "little")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the length is 0 bytes, the extent has 0"),
        (b"\x03\0\0\0", "the length is 3 bytes, the extent has 4"),
        (b"\xff\xff\xff\xff" + bytes(100), "the length is 4294967295 bytes, the extent has 104"),
        (b"\x10\0\0\0" + bytes(12), "a segment at 4 has 0 bytes"),
        (b"\x10\0\0\0\xff\0\0\0" + bytes(8), "a segment at 4 has 255 bytes, the frame ends at 16"),
        (bytes((0, 0x20, 0, 0, 0, 0x12, 0, 0)) + bytes(0x1FF8), "a segment at 4 has 4608 bytes"),
    ],
)
def test_frames_with_lengths_that_do_not_fit_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        decompress(LZO, data, EXTENT, SECTOR)


def zstd_stream(data: bytes, window_log: int) -> bytes:
    """A frame that states its window, as one of unknown length does."""
    compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: window_log})
    return bytes(
        compressor.compress(data[:1000], compressor.FLUSH_BLOCK) + compressor.compress(data[1000:]) + compressor.flush()
    )


def test_streams_give_what_went_in_and_zeros_behind() -> None:
    text = b"some text " * 5000
    for compression, data in ((ZLIB, zlib.compress(text)), (ZSTD, zstd_stream(text, 17))):
        assert decompress(compression, data + bytes(500), EXTENT, SECTOR) == text.ljust(EXTENT, b"\0")
        assert decompress(compression, data, 10_000, SECTOR) == text[:10_000]


def test_bombs_give_no_more_than_an_extent() -> None:
    bomb = bytes(64 * MiB)
    for compression, data in ((ZLIB, zlib.compress(bomb)), (ZSTD, zstd_stream(bomb, 17))):
        assert decompress(compression, data[:EXTENT], EXTENT, SECTOR) == bytes(EXTENT)


def test_a_window_larger_than_an_extent_is_refused() -> None:
    with pytest.raises(ValueError, match="zstd"):
        decompress(ZSTD, zstd_stream(b"some text" * 1000, 18), EXTENT, SECTOR)


@pytest.mark.parametrize("compression", [ZLIB, ZSTD])
def test_streams_that_are_cut_off_are_refused(compression: int) -> None:
    data = zlib.compress(NOISE[:5000]) if compression == ZLIB else zstd_stream(NOISE[:5000], 17)
    with pytest.raises(ValueError, match="the stream ends after"):
        decompress(compression, data[:3000], EXTENT, SECTOR)


def test_unknown_compression_and_sizes_that_no_extent_has_are_refused() -> None:
    with pytest.raises(ValueError, match="compression is 4, known are"):
        decompress(4, b"", EXTENT, SECTOR)
    with pytest.raises(ValueError, match="at most 131072"):
        decompress(ZLIB, b"", EXTENT + 1, SECTOR)
    with pytest.raises(ValueError, match="at most 131072"):
        decompress(ZLIB, bytes(EXTENT + 1), EXTENT, SECTOR)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([ZLIB, LZO, ZSTD]), st.binary(max_size=300), st.integers(0, 2 * SECTOR))
@example(LZO, frame(b"\x12a" + b"\x20\x01\x00\x00" + END), SECTOR)
def test_any_bytes_give_as_many_bytes_as_were_asked_for_or_a_refusal(compression: int, data: bytes, size: int) -> None:
    with suppress(ValueError):
        assert len(decompress(compression, data, size, SECTOR)) == size


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([b"", HUNDRED]), st.binary(max_size=200), st.integers(0, 1000))
def test_any_stream_gives_bytes_up_to_the_limit_or_a_refusal(start: bytes, data: bytes, limit: int) -> None:
    with suppress(ValueError):
        assert len(lzo1x(start + data, limit)) <= limit
