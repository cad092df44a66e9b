"""LZO1X decompression, as lzop, btrfs and squashfs use it.

Specification: Linux, Documentation/staging/lzo.rst, "LZO stream format as understood by Linux's LZO decompressor",
bitstream version 0. https://www.kernel.org/doc/html/latest/staging/lzo.html
"""

from preflight.errors import StructureError

_WHERE = "LZO1X stream"
_FIRST_LITERALS = 17  # a first byte above it is a run of that many literals less 17
_END_DISTANCE = 16384  # distance of an instruction 16…31 that ends the stream


def decompress(data: bytes, max_length: int) -> bytes:
    """The bytes that the whole stream `data` stands for, at most `max_length`.

    Raises `StructureError`, with the offset within `data`, where the stream is damaged, has no end mark, goes on
    behind it, or holds more than `max_length` bytes.
    """
    out = bytearray()
    try:
        end = _decode(data, out, max_length)
    except IndexError as error:
        raise StructureError(_WHERE, len(data), "ends before its end mark") from error
    if end != len(data):
        raise StructureError(_WHERE, end, f"{len(data) - end} bytes follow its end mark")
    return bytes(out)


def _decode(data: bytes, out: bytearray, max_length: int) -> int:
    """Append what `data` stands for to `out`; where the stream ends. `IndexError` where `data` is too short.

    One long loop, since a call per instruction would double the time. `state` is the specification's: how many
    literals the instruction before has copied, 4 for a long run.
    """
    position = 0
    state = 0
    if data[0] > _FIRST_LITERALS:
        state = data[0] - _FIRST_LITERALS
        position = 1 + state
        if position > len(data):
            raise IndexError
        out += data[1:position]
        state = min(state, 4)
    while True:
        instruction = data[position]
        position += 1
        if instruction >= 64:
            if instruction >= 128:
                length = 5 + (instruction >> 5 & 3)
            else:
                length = 3 + (instruction >> 5 & 1)
            distance = (data[position] << 3) + (instruction >> 2 & 7) + 1
            position += 1
            state = instruction & 3
        elif instruction >= 16:
            mask = 31 if instruction >= 32 else 7
            length = instruction & mask
            if not length:
                length = mask
                while not data[position]:
                    length += 255
                    position += 1
                length += data[position]
                position += 1
            length += 2
            low = data[position]
            distance = (data[position + 1] << 8 | low) >> 2
            position += 2
            state = low & 3
            if instruction >= 32:
                distance += 1
            else:
                distance += _END_DISTANCE + (instruction << 11 & 0x4000)
                if distance == _END_DISTANCE:
                    break
        elif state == 0:
            length = instruction
            if not length:
                length = 15
                while not data[position]:
                    length += 255
                    position += 1
                length += data[position]
                position += 1
            literals_end = position + length + 3
            if literals_end > len(data):
                raise IndexError
            out += data[position:literals_end]
            position = literals_end
            state = 4
            continue
        else:
            length = 2
            distance = (data[position] << 2) + (instruction >> 2) + 1
            position += 1
            if state == 4:
                length = 3
                distance += 2048
            state = instruction & 3
        size = len(out)
        start = size - distance
        if start < 0:
            raise StructureError(_WHERE, position, f"copies from {distance} bytes back, only {size} are there")
        if size + length > max_length:
            raise StructureError(_WHERE, position, f"holds more than {max_length} bytes")
        if length <= distance:
            out += out[start : start + length]
        else:  # the copy overlaps what it writes: its source repeats
            pattern = out[start:]
            out += (pattern * (length // distance + 1))[:length]
        if state:
            literals_end = position + state
            if literals_end > len(data):
                raise IndexError
            out += data[position:literals_end]
            position = literals_end
    if len(out) > max_length:  # by its literals, which are no more than `data` has
        raise StructureError(_WHERE, position, f"holds more than {max_length} bytes")
    return position
