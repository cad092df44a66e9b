"""Sound images with one field changed, cut, or laid over each other: always an image, within time, memory and reads."""

import os
import random
import tempfile
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.inspection import inspect
from preflight.units import KiB, MiB
from tests.formats import qcow2_images
from tests.properties import images
from tests.properties.fields import fields
from tests.properties.images import RECIPES, Sound
from tests.properties.measuring import Change, measured, within_limits

EVERY = os.environ.get("PREFLIGHT_EVERY_MUTATION") == "1"  # as `make differential` has it; a twentieth of them else
Make = Callable[[str], Sound]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """The sound images, each made once."""
    kept: dict[str, Sound] = {}

    def make(name: str) -> Sound:
        if name not in kept:
            kept[name] = RECIPES[name](tmp_path_factory.mktemp(name.replace(" ", "-")))
        return kept[name]

    return make


def chosen(all_of_them: Sequence[tuple[str, Change]]) -> Sequence[tuple[str, Change]]:
    return all_of_them if EVERY else random.Random(len(all_of_them)).sample(all_of_them, max(1, len(all_of_them) // 20))


@pytest.mark.parametrize("name", RECIPES)
def test_any_field_at_any_limit_gives_an_image(made: Make, name: str) -> None:
    sound = made(name)
    rows = measured(sound.path, [("nothing", []), *chosen(list(images.mutations(sound)))])
    within_limits(rows)
    assert rows[0].codes in ([], ["qcow2-snapshots"])  # the image as it was made


@pytest.mark.parametrize("name", RECIPES)
def test_an_image_cut_anywhere_gives_an_image(made: Make, name: str, tmp_path: Path) -> None:
    sound = made(name)
    size = sound.path.stat().st_size
    inside = {
        place.offset + field.offset
        for place in sound.places
        for field in list(fields(place.layout))[:: 1 if EVERY else 8]
    }
    lengths = sorted({0, 1, 511, 512, 513, size // 2, size - 1, size - 512, size - 513, *inside})
    copy = tmp_path / sound.path.name
    for length in lengths:
        with sound.path.open("rb") as source, copy.open("wb") as target:
            target.write(source.read(min(length, MiB)))
            target.truncate(length)
        inspect(str(copy), guest=False)


@pytest.mark.parametrize("name", RECIPES)
def test_the_structures_of_another_image_over_it_give_an_image(made: Make, name: str) -> None:
    sound = made(name)
    size = sound.path.stat().st_size
    changes: list[tuple[str, Change]] = []
    others = [other for other in RECIPES if other != name]
    for other in others if EVERY else random.Random(name).sample(others, 5):
        path, places = made(other).path, made(other).places
        with path.open("rb") as file:
            data = file.read(128 * KiB)
        changes += [
            (f"the first {length} bytes of {other}", [(0, data[:length])]) for length in (512, 4 * KiB, len(data))
        ]
        for place in places[:2]:
            with path.open("rb") as file:
                file.seek(place.offset)
                structure = file.read(place.layout.sizeof())
            changes += [
                (f"{place.name} of {other} over {mine.name}", [(mine.offset, structure)])
                for mine in sound.places[:2]
                if mine.offset + len(structure) <= size
            ]
            changes.append((f"{place.name} of {other} at the end", [(size - len(structure), structure)]))
    within_limits(measured(sound.path, changes))


SIGNATURES = [
    b"QFI\xfb\0\0\0\3", b"QFI\xfb\0\0\0\2", b"conectix", b"cxsparse", b"EFI PART", b"LABELONE", b"LUKS\xba\xbe\0\1",
    b"LUKS\xba\xbe\0\2", b"XFSB", b"NTFS    ", b"_BHRfS_M", b"\x55\xaa", b"\x53\xef", b"\xfc\x4e\x2b\xa9", b"KDMV",
    b"vhdxfile", b"\x1f\x8b\x08", b"\xfd7zXZ\0", b"PK\3\4", b"7z\xbc\xaf\x27\x1c", b"koly", b"CD001",
]  # fmt: skip
PLACES = (0, 3, 0x36, 0x52, 510, 512, 1024, 1024 + 56, 2048, 4096, 32769, 65536, 65600)


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=2048),
    st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from(SIGNATURES), st.binary(max_size=256)), max_size=4),
    st.sampled_from((0, 512, 4096, 70_000, 1 << 20)),
)
def test_any_bytes_give_an_image(start: bytes, pieces: list[tuple[int, bytes, bytes]], size: int) -> None:
    data = bytearray(start.ljust(size, b"\0"))
    for place, signature, rest in pieces:
        piece = signature + rest
        if place + len(piece) > len(data):
            data.extend(bytes(place + len(piece) - len(data)))
        data[place : place + len(piece)] = piece
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        image = inspect(file.name, guest=False)
    assert image.file_size == len(data)
    assert all(problem.offset is None or problem.offset >= 0 for problem in image.problems)


def test_the_largest_l1_table_costs_no_more_memory_than_is_allowed(tmp_path: Path) -> None:
    """32 MiB, every entry in use and none like another, the tables in the holes of a file of 256 GiB."""
    count = 4 * MiB
    places = [5 + 512 + index for index in range(count)]
    random.Random(1).shuffle(places)
    path = tmp_path / "disk.qcow2"
    with path.open("wb") as file:
        file.write(qcow2_images.image(l1_size=count, l1_table_offset=5 * 64 * KiB, size=1 << 50))
        entries = array("Q", (1 << 63 | place * 64 * KiB for place in places))
        entries.byteswap()
        entries.tofile(file)
        file.truncate((5 + 512 + count) * 64 * KiB)
    within_limits(measured(path, [("as it is", [])]))
