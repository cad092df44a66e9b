"""Sources put together in any way are the plain bytes put together in the same way."""

import random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, rule

from preflight.errors import OutOfBounds
from preflight.source import BlockSource, Buffered, Extent, Extents, Memory, Window, Zeros
from preflight.volumes._striped import Striped

Pair = tuple[BlockSource, bytes]
MAX_SIZE = 1 << 14


class Composition(RuleBasedStateMachine):
    """Each rule makes a source of earlier ones, and its bytes by slicing."""

    pairs: Bundle[Pair] = Bundle("pairs")

    @rule(target=pairs, data=st.binary(max_size=300))
    def memory(self, data: bytes) -> Pair:
        return Memory(data), data

    @rule(target=pairs, seed=st.integers(0, 99), size=st.integers(1, 3000))
    def noise(self, seed: int, size: int) -> Pair:
        data = random.Random(seed).randbytes(size)
        return Memory(data), data

    @rule(target=pairs, size=st.integers(0, 300))
    def zeros(self, size: int) -> Pair:
        return Zeros(size), bytes(size)

    @rule(target=pairs, pair=pairs, choice=st.data())
    def window(self, pair: Pair, choice: Any) -> Pair:
        source, data = pair
        start = choice.draw(st.integers(0, len(data)))
        size = choice.draw(st.integers(0, len(data) - start))
        return Window(source, start, size), data[start : start + size]

    @rule(target=pairs, pair=pairs, page=st.sampled_from((1, 7, 64, 512, 4096)), pages=st.integers(1, 4))
    def buffered(self, pair: Pair, page: int, pages: int) -> Pair:
        return Buffered(pair[0], page, pages), pair[1]

    @rule(target=pairs, parts=st.lists(st.tuples(pairs, st.integers(0, 300), st.integers(1, 300)), max_size=5))
    def extents(self, parts: list[tuple[Pair, int, int]]) -> Pair:
        runs, joined = [], b""
        for (source, data), start, size in parts:
            start = min(start, len(data))
            part = data[start : start + size]
            if part and len(joined) + len(part) <= MAX_SIZE:
                runs.append(Extent(len(joined), len(part), source, start))
                joined += part
        return Extents(runs), joined

    @rule(target=pairs, pair=pairs, stripe=st.sampled_from((1, 4, 16)), columns=st.integers(1, 3))
    def striped(self, pair: Pair, stripe: int, columns: int) -> Pair:
        source, data = pair
        size = len(data) // columns // stripe * stripe
        if not size:
            return pair
        parts = [Window(source, index * size, size) for index in range(columns)]
        joined = b"".join(
            data[index * size + at : index * size + at + stripe]
            for at in range(0, size, stripe)
            for index in range(columns)
        )
        return Striped(parts, stripe), joined

    @rule(pair=pairs, choice=st.data())
    def any_read_is_a_slice(self, pair: Pair, choice: Any) -> None:
        source, data = pair
        assert source.size == len(data)
        offset = choice.draw(st.integers(0, len(data)))
        size = choice.draw(st.integers(0, len(data) - offset))
        assert source.read_at(offset, size) == data[offset : offset + size]

    @rule(pair=pairs, offset=st.integers(-5, 5), size=st.integers(-5, 5))
    def nothing_is_read_past_the_ends(self, pair: Pair, offset: int, size: int) -> None:
        source, data = pair
        start = offset if offset < 0 else len(data) + offset
        if start < 0 or size < 0 or start + size > len(data):
            with pytest.raises(OutOfBounds):
                source.read_at(start, size)


TestCompositions = Composition.TestCase
TestCompositions.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
