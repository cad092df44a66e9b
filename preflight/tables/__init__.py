"""Partition tables.

A plugin is a module that ends in `TABLE`, a `Table`.
"""

from collections.abc import Callable

import msgspec

from preflight.facts import Partition, PartitionTable, Problem
from preflight.source import BlockSource


class Layout(msgspec.Struct, frozen=True):
    """What a partition table says of a disk."""

    table: PartitionTable
    partitions: tuple[Partition, ...]
    """In the order of their numbers."""
    problems: tuple[Problem, ...] = ()


class Table(msgspec.Struct, frozen=True):
    """A kind of partition table. The kinds exclude each other by specification: a protective MBR means GPT."""

    read: Callable[[BlockSource], Layout | None]
    """The table on this disk; None where the disk has none of this kind. Raises only what `read_at` raises."""
