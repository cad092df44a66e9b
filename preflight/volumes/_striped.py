"""A source whose bytes go round over several others, a stripe on each."""

from collections.abc import Sequence

from preflight.source import BlockSource, check_bounds


class Striped:
    """What RAID 0 and striped LVM segments are: stripe 0 on the first column, and so on round."""

    def __init__(self, columns: Sequence[BlockSource], stripe_size: int) -> None:
        """`columns` of one size, which is a multiple of `stripe_size`; both in bytes."""
        if not columns or stripe_size <= 0 or {column.size % stripe_size for column in columns} != {0}:
            raise ValueError("the columns of a striped source are whole stripes")
        if len({column.size for column in columns}) > 1:
            raise ValueError("the columns of a striped source have one size")
        self._columns = tuple(columns)
        self._stripe_size = stripe_size

    @property
    def size(self) -> int:
        """In bytes, over all columns."""
        return self._columns[0].size * len(self._columns)

    def read_at(self, offset: int, size: int) -> bytes:
        """See `BlockSource.read_at`."""
        check_bounds("the volume", self.size, offset, size)
        parts = []
        while size:
            stripe, skip = divmod(offset, self._stripe_size)
            row, column = divmod(stripe, len(self._columns))
            count = min(size, self._stripe_size - skip)
            parts.append(self._columns[column].read_at(row * self._stripe_size + skip, count))
            offset += count
            size -= count
        return b"".join(parts)
