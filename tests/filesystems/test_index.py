import preflight.filesystems
from preflight.filesystems import FileSystemReader, index
from preflight.plugins import collect
from preflight.source import Buffered, Memory, Window, Zeros
from preflight.units import GiB, KiB
from tests.filesystems.pieces import Pieces

READERS: tuple[FileSystemReader, ...] = collect(preflight.filesystems, "FILESYSTEM")


def test_every_module_with_a_reader_is_named_in_the_index() -> None:
    named = {name for place in index.PLACES for modules in place.magics.values() for name in modules.split()}
    assert {reader.read.__module__.rpartition(".")[2] for reader in READERS} == named


def test_magics_of_a_place_have_one_length() -> None:
    for place in index.PLACES:
        assert len({len(magic) for magic in place.magics}) == 1


def test_nothing_is_recognised_on_a_blank_place() -> None:
    assert index.recognise(Zeros(GiB), whole_disk=True) == ([], None)


def test_places_too_small_for_a_magic_are_passed_over() -> None:
    for size in range(0, 1100, 7):
        assert index.recognise(Memory(b"\x01" * size), whole_disk=True) == ([], None)


def test_magics_of_disk_controllers_count_on_whole_disks_only() -> None:
    disk = Pieces(GiB, {GiB - 512: b"$XIDE$"})
    assert index.recognise(disk, whole_disk=True) == (["hardware_raid"], None)
    assert index.recognise(disk, whole_disk=False) == ([], None)


def test_a_partition_is_recognised_with_few_reads() -> None:
    class Counted(Pieces):
        reads = 0

        def read_at(self, offset: int, size: int) -> bytes:
            self.reads += 1
            return super().read_at(offset, size)

    disk = Counted(GiB, {4 * KiB: b"not blank", 512: b"x"})
    index.recognise(Window(Buffered(disk), 0, GiB), whole_disk=False)
    assert disk.reads <= 8
