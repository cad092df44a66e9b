"""One NTFS file system: the master file table, its records, and the attributes of a file in one or many of them.

Specification: NTFS documentation, files $Boot and $MFT, attribute $ATTRIBUTE_LIST,
https://flatcap.github.io/linux-ntfs/ntfs/
"""

import struct
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from preflight.binary import parse_at
from preflight.contents import ContentsError
from preflight.contents import _ntfs_layouts as layouts
from preflight.contents._ntfs_records import Attribute, Record, parse_record
from preflight.contents._ntfs_runs import Extents, RunMap, extents
from preflight.contents._ntfs_streams import Place, Stream
from preflight.errors import BudgetExhausted, StructureError
from preflight.filesystems.ntfs import BOOT_SECTOR, OEM_ID, cluster_size_of, record_size_of
from preflight.source import BlockSource
from preflight.units import KiB

MAX_ATTRIBUTE_LIST = 256 * KiB  # Windows' own limit
MAX_RUNS_OF_MFT = 65_536  # 10 MiB of memory; a table in some hundred pieces is a sorry one
RECORDS_KEPT = 256  # of 1 or 4 KiB
PIECES_KEPT = 128  # of attributes; one in a record of 4 KiB may have a thousand runs
WHERE = "ntfs boot sector"
LISTED = struct.Struct(layouts.ATTRIBUTE_LIST_ENTRY_FORMAT)


class Listed(NamedTuple):
    """An entry of an attribute list: where an attribute, or a piece of one, is."""

    type: int
    name: bytes
    lowest_vcn: int
    reference: layouts.Reference
    instance: int


class File(NamedTuple):
    """A file or directory, by its first record."""

    record: Record
    listed: tuple[Listed, ...] | None
    """Its attributes where it has a list of them: with more than one record."""

    @property
    def where(self) -> str:
        """What it is called in errors."""
        return self.record.where


class Filesystem:
    """Where the records of files are, and what they say."""

    def __init__(self, source: BlockSource) -> None:
        """Read the boot sector and find the master file table; `ContentsError` or `StructureError` where it is none."""
        boot = parse_at(BOOT_SECTOR, source, 0, WHERE)
        cluster_size, record_size = cluster_size_of(boot), record_size_of(boot)
        if boot.oem_id != OEM_ID:
            raise ContentsError(f"{WHERE}: oem_id is {boot.oem_id!r}, expected is {OEM_ID!r}")
        if cluster_size is None or record_size is None:
            raise ContentsError(
                f"{WHERE}: bytes_per_sector {boot.bytes_per_sector}, sectors_per_cluster {boot.sectors_per_cluster} and"
                f" clusters_per_mft_record {boot.clusters_per_mft_record} contradict each other"
            )
        self.cluster_size = cluster_size
        self.clusters: int = boot.number_of_sectors * boot.bytes_per_sector // cluster_size
        if boot.mft_lcn >= self.clusters:
            raise ContentsError(f"{WHERE}: mft_lcn is {boot.mft_lcn}, the volume has {self.clusters} clusters")
        self._place = Place(source, cluster_size)
        self._record_size = record_size
        self._extents = lru_cache(PIECES_KEPT)(lambda attribute: extents(attribute, self.clusters))
        first = self._first_record(boot.mft_lcn * cluster_size, boot.mftmirr_lcn * cluster_size)
        self._mft = self._open_mft(first)
        self._record = lru_cache(RECORDS_KEPT)(self._read_record)

    def file(self, reference: layouts.Reference) -> File:
        """The file of this reference; `ContentsError` where it is no longer there, or was never one."""
        record = self._record(reference.number)
        if record.base:
            raise ContentsError(f"{record.where}: it is a part of record {record.base.number}, no file")
        _check_sequence(record, reference)
        return File(record, self._attribute_list(record))

    def attributes(self, file: File, type_: int, name: bytes = b"") -> Iterator[Attribute]:
        """All attributes, and pieces of them, of this type and name."""
        if file.listed is None:
            yield from (one for one in file.record.attributes if one.type == type_ and one.name == name)
            return
        for entry in file.listed:
            if entry.type == type_ and entry.name == name:
                yield self._listed(file.record, entry)

    def stream(self, file: File, type_: int, name: bytes = b"") -> Stream | None:
        """The bytes of the attribute of this type and name, None where the file has none."""
        if file.listed is None:
            pieces = list(self.attributes(file, type_, name))
            if len(pieces) > 1:
                raise ContentsError(f"{file.where}: it has {len(pieces)} attributes {type_:#x} of one name")
            return self._stream(pieces[0]) if pieces else None
        entries = [entry for entry in file.listed if entry.type == type_ and entry.name == name]
        if not entries:
            return None
        first = self._listed(file.record, entries[0])
        if first.is_resident:
            if len(entries) > 1:
                raise ContentsError(f"{first.where}: it is resident, and yet in {len(entries)} pieces")
            return self._stream(first)
        starts = [entry.lowest_vcn for entry in entries]
        if starts[0] or any(second <= one for one, second in pairwise(starts)):
            raise ContentsError(f"{first.where}: its pieces are not in order")

        def load(index: int) -> Extents:
            return self._extents(self._listed(file.record, entries[index]))

        return Stream(first, self._place, RunMap(starts, load, first.where), self._extents(first))

    def _stream(self, attribute: Attribute) -> Stream:
        """The bytes of an attribute that is all in one record."""
        if attribute.is_resident:
            return Stream(attribute, self._place, None, None)
        first = self._extents(attribute)
        return Stream(attribute, self._place, RunMap([0], lambda _: self._extents(attribute), attribute.where), first)

    def _listed(self, base: Record, entry: Listed) -> Attribute:
        """What an entry of the attribute list of the file at `base` names."""
        return _found(
            base, base if entry.reference.number == base.number else self._record(entry.reference.number), entry
        )

    def _attribute_list(self, record: Record) -> tuple[Listed, ...] | None:
        found = next((one for one in record.attributes if one.type == layouts.AT_ATTRIBUTE_LIST), None)
        if found is None:
            return None
        stream = self._stream(found)
        if stream.size > MAX_ATTRIBUTE_LIST:
            raise ContentsError(f"{found.where}: the list has {stream.size} bytes, at most are {MAX_ATTRIBUTE_LIST}")
        return tuple(_entries(stream.read(0, stream.size), found.where))

    def _read_record(self, number: int) -> Record:
        offset = number * self._record_size
        if offset + self._record_size > self._mft.size:
            raise ContentsError(f"ntfs file record {number}: there are {self._mft.size // self._record_size}")
        return parse_record(self._mft.read(offset, self._record_size), number, self._mft.place_of(offset))

    def _first_record(self, offset: int, mirror: int) -> Record:
        """The record of the table itself or, where it is damaged, the copy of it, as Windows does it."""
        try:
            return self._record_at(offset)
        except BudgetExhausted:
            raise
        except (ContentsError, StructureError):
            with suppress(ContentsError, StructureError):
                return self._record_at(mirror)
            raise

    def _record_at(self, offset: int) -> Record:
        return parse_record(self._place.source.read_at(offset, self._record_size), layouts.FILE_MFT, offset)

    def _open_mft(self, record: Record) -> Stream:
        """The table itself: its first record tells where it is, or where the records are that tell the rest."""
        listed = self._attribute_list(record)
        if listed is None:
            found = self.stream(File(record, None), layouts.AT_DATA)
            if found is None:
                raise ContentsError(f"{record.where}: it has no data")
            return found
        entries = [entry for entry in listed if entry.type == layouts.AT_DATA and not entry.name]
        starts: list[int] = []
        pieces: list[Extents] = []
        stream: Stream | None = None
        count = 0
        for entry in entries:
            # What is known so far must tell where the record is that tells more; so there is no circle.
            if entry.reference.number == record.number:
                holder = record
            elif stream is None:
                raise ContentsError(f"{record.where}: the first piece of the table is not told of by itself")
            else:
                at = stream.place_of(entry.reference.number * self._record_size)
                data = stream.read(entry.reference.number * self._record_size, self._record_size)
                holder = parse_record(data, entry.reference.number, at)
            attribute = _found(record, holder, entry)
            piece = extents(attribute, self.clusters)
            if entry.lowest_vcn != (pieces[-1].end if pieces else 0):
                raise ContentsError(f"{attribute.where}: its pieces are not in order")
            count += len(piece.runs)
            if count > MAX_RUNS_OF_MFT:
                raise ContentsError(f"{attribute.where}: it is in over {MAX_RUNS_OF_MFT} runs, no more are read")
            starts.append(entry.lowest_vcn)
            pieces.append(piece)
            stream = stream or Stream(
                attribute, self._place, RunMap(starts, pieces.__getitem__, attribute.where), piece
            )
        if stream is None:
            raise ContentsError(f"{record.where}: it has no data")
        return stream


def _found(base: Record, holder: Record, entry: Listed) -> Attribute:
    """The attribute that a list names, in the record that holds it."""
    _check_sequence(holder, entry.reference)
    if holder is not base:
        owner = holder.base
        if owner is None or owner.number != base.number or owner.sequence_number not in (0, base.sequence_number):
            raise ContentsError(f"{holder.where}: it is no part of record {base.number}, whose list names it")
    for attribute in holder.attributes:
        if (attribute.type, attribute.instance, attribute.name) == (entry.type, entry.instance, entry.name):
            return attribute
    raise ContentsError(
        f"{holder.where}: it lacks an attribute {entry.type:#x} that the list of record {base.number} names"
    )


def _check_sequence(record: Record, reference: layouts.Reference) -> None:
    if reference.sequence_number not in (0, record.sequence_number):
        raise ContentsError(
            f"{record.where}: its sequence number is {record.sequence_number}, sought is {reference.sequence_number}:"
            f" it is another file's now"
        )


def _entries(data: bytes, where: str) -> Iterator[Listed]:
    """What an attribute list has; each entry is as long as it says."""
    position = 0
    while position < len(data):
        rest = len(data) - position
        if rest < LISTED.size:
            raise ContentsError(f"{where}: the list has {rest} bytes more, too few for an entry")
        type_, length, name_length, name_offset, lowest_vcn, reference, instance = LISTED.unpack_from(data, position)
        end = name_offset + 2 * name_length if name_length else LISTED.size
        if not LISTED.size <= length <= rest or end > length:
            raise ContentsError(f"{where}: the entry at byte {position:#x} of the list has {length} bytes of {rest}")
        name = data[position + name_offset : position + end] if name_length else b""
        yield Listed(type_, name, lowest_vcn, layouts.Reference.of(reference), instance)
        position += length
