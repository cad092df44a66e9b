"""Files in FAT, from images that mkfs.vfat made and mtools filled."""

import os
import re
import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.contents import ContentsError, _fat_directories, _fat_filesystem, fat
from preflight.contents.tree import Tree
from preflight.errors import UnreachableBytes
from preflight.source import BlockSource, Buffered, Memory
from preflight.units import KiB, MiB
from tests.contents.sources import Changed, Counting, Unreachable, entry, snapshot, unlimited, walk, whole
from tests.tools import require, run, sparse

LONG_NAME = "A Long Näme-日本 with spaces.config.txt"
OPTIONS = {  # and the size of the image in MiB
    "FAT12": (40, "-F", "12", "-s", "32"),
    "FAT16": (40, "-F", "16", "-s", "2"),
    "FAT32": (40, "-F", "32", "-s", "1"),
    "FAT12 in sectors of 4096": (40, "-S", "4096", "-F", "12", "-s", "4"),
    "FAT16 in sectors of 4096": (40, "-S", "4096", "-F", "16", "-s", "1"),
    "FAT32 in sectors of 4096": (300, "-S", "4096", "-F", "32", "-s", "1"),
}
LOCALE = {"LC_ALL": "C.UTF-8"}  # in which mtools is told long names
KINDS = {"FAT12": 12, "FAT16": 16, "FAT32": 32}


@pytest.fixture(scope="module")
def files() -> dict[str, bytes | str]:
    """What is put into the images, as `snapshot` finds it."""
    found: dict[str, bytes | str] = {"/EFI": "directory", "/EFI/BOOT": "directory", "/EFI/vendor": "directory"}
    found["/EFI/BOOT/BOOTX64.EFI"] = os.urandom(MiB + 1)
    found[f"/EFI/vendor/{LONG_NAME}"] = b"long"
    found["/startup.nsh"] = b"lower"
    found["/EMPTY"] = b""
    found["/loader"] = "directory"
    for number in range(1, 41):
        found[f"/loader/conf{number}"] = os.urandom(number * 61)
    found["/many"] = "directory"
    for number in range(600):
        found[f"/many/a-file-with-the-number-{number}"] = b""
    return found


def make(folder: Path, files: dict[str, bytes | str], kind: str) -> Path:
    require("mkfs.vfat", "mcopy", "mmd", "mdel")
    top = folder / "files"
    for path, content in files.items():
        if isinstance(content, bytes):
            (top / path[1:]).write_bytes(content)
        else:
            (top / path[1:]).mkdir(parents=True)
    size, *options = OPTIONS[kind]
    image = sparse(folder / "image", int(size) * MiB)
    run("mkfs.vfat", *map(str, options), "-n", "ESP", image)
    run("mcopy", "-s", "-Q", "-i", image, *sorted(top.iterdir()), "::", env=LOCALE)
    (folder / "deleted.txt").write_bytes(b"deleted")
    run("mcopy", "-i", image, folder / "deleted.txt", "::")
    run("mdel", "-i", image, "::deleted.txt")
    return image


@pytest.fixture(scope="module", params=OPTIONS)
def image(
    request: pytest.FixtureRequest, files: dict[str, bytes | str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return make(tmp_path_factory.mktemp("image"), files, request.param)


@pytest.fixture(scope="module")
def fat16(files: dict[str, bytes | str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("image"), files, "FAT16")


@pytest.fixture(scope="module")
def fat32(files: dict[str, bytes | str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("image"), files, "FAT32")


def test_all_files_are_those_that_were_put_in(image: Path, files: dict[str, bytes | str]) -> None:
    with unlimited(image) as source:
        assert snapshot(fat.FatReader(source)) == files


def test_files_are_found_without_case(image: Path, files: dict[str, bytes | str]) -> None:
    with unlimited(image) as source:
        reader = fat.FatReader(source)
        assert whole(reader, "efi/boot/bootx64.efi") == files["/EFI/BOOT/BOOTX64.EFI"]
        assert whole(reader, "Efi/VENDOR/a LONG NÄME-日本 WITH SPACES.CONFIG.TXT") == b"long"
        assert whole(reader, "STARTUP.NSH") == b"lower"
        assert whole(reader, "MANY/A-File-With-The-Number-599") == b""


@pytest.mark.parametrize(
    "name", ["", ".", "..", "ESP", "deleted.txt", "EFI\\BOOT", "EFI/BOOT", "EF", "EFI\0", "x" * 300]
)
def test_what_is_no_name_here_is_not_found(name: str, fat16: Path) -> None:
    with unlimited(fat16) as source:
        reader = fat.FatReader(source)
        assert reader.lookup(reader.root, name) is None
        assert reader.lookup(entry(reader, "EFI"), name) is None or name == "BOOT"


def test_kinds_and_sizes_are_told(fat16: Path) -> None:
    with unlimited(fat16) as source:
        reader = fat.FatReader(source)
        node = entry(reader, "EFI/BOOT/BOOTX64.EFI")
        assert (node.kind, node.size, node.mode) == ("file", MiB + 1, None)
        assert (reader.root.kind, reader.root.mode) == ("directory", None)
        with pytest.raises(ContentsError, match="is needed here"):
            reader.target(node)
        with pytest.raises(ContentsError, match="is needed here"):
            reader.lookup(node, "x")
        with pytest.raises(ContentsError, match="is needed here"):
            reader.read(reader.root, 0, 1)


def test_bytes_are_read_from_anywhere(fat16: Path, files: dict[str, bytes | str]) -> None:
    content = files["/EFI/BOOT/BOOTX64.EFI"]
    with unlimited(fat16) as source:
        reader = fat.FatReader(source)
        node = entry(reader, "EFI/BOOT/BOOTX64.EFI")
        for offset, size in ((0, 1), (511, 2), (5000, 600_000), (MiB, 1), (MiB, 50)):
            assert reader.read(node, offset, size) == content[offset : offset + size]
        assert reader.read(node, MiB + 1, 10) == b""


def test_reading_what_a_guest_is_known_by_takes_few_reads(image: Path) -> None:
    with unlimited(image) as source:
        counting = Counting(source)
        guest = Tree(fat.FatReader(Buffered(counting)))
        assert counting.reads == 1
        assert all(guest.read(f"/loader/conf{number}") for number in range(1, 41))
        assert counting.reads <= 50


def test_mtools_lists_the_same_names_and_reads_the_same_bytes(
    fat16: Path, files: dict[str, bytes | str], tmp_path: Path
) -> None:
    listed = run("mdir", "-b", "-/", "-i", fat16, "::", env=LOCALE).split("\n")
    with unlimited(fat16) as source:
        reader = fat.FatReader(source)
        found = [f"::{path}{'/' if node.kind == 'directory' else ''}" for path, node in walk(reader)]
        assert sorted(found) == sorted(filter(None, listed))
        run("mcopy", "-i", fat16, "::/EFI/BOOT/BOOTX64.EFI", tmp_path / "out")
        assert whole(reader, "efi/boot/bootx64.efi") == (tmp_path / "out").read_bytes()


def test_a_file_with_a_long_name_is_found_by_its_short_one(image: Path) -> None:
    names = [f"/EFI/vendor/{LONG_NAME}", "/many/a-file-with-the-number-0", "/many/a-file-with-the-number-599"]
    with unlimited(image) as source:
        reader = fat.FatReader(source)
        for name in names:
            short = run("mshortname", "-i", image, f"::{name}", env=LOCALE).strip().removeprefix("::")
            assert short != name
            directory = entry(reader, name.rpartition("/")[0])
            found = reader.lookup(directory, short.rpartition("/")[2].lower())
            assert found is not None
            assert found == entry(reader, name)


def test_dots_at_the_end_of_a_name_do_not_count(fat16: Path) -> None:
    with unlimited(fat16) as source:
        assert whole(fat.FatReader(source), "startup.nsh.") == b"lower"


@pytest.mark.parametrize("name", ["...", ". ", "startup.nsh.x", "startup"])
def test_dots_and_what_is_like_a_name_are_none(name: str, fat16: Path) -> None:
    with unlimited(fat16) as source:
        reader = fat.FatReader(source)
        assert reader.lookup(reader.root, name) is None


def place_of(image: Path, short: bytes) -> int:
    """The byte of the directory entry with this DIR_Name."""
    with image.open("rb") as file:
        data = file.read(12 * MiB)
    at = data.find(short)
    assert at % 32 == 0
    assert data.find(short, at + 1) < 0
    return at


@pytest.mark.parametrize(
    ("name", "case", "text"),
    [
        (b"FILE    TXT", 0x00, "FILE.TXT"),
        (b"FILE    TXT", 0x08, "file.TXT"),
        (b"FILE    TXT", 0x10, "FILE.txt"),
        (b"FILE    TXT", 0x18, "file.txt"),
        (b"FILE       ", 0x18, "file"),
        (b"A B     C D", 0x00, "A B.C D"),
        (b"\x8e\x99\xe1     TXT", 0x18, "ÄÖß.txt"),  # as Unicode's CP437.TXT has them
        (b"\x05ABC    TXT", 0x00, "σABC.TXT"),  # 0x05 stands for 0xE5, which would be a deleted one
    ],
)
def test_short_names_are_told_in_their_case_and_code_page(name: bytes, case: int, text: str) -> None:
    reader = fat.FatReader(Memory(made(short_entry(name, case))))
    assert list(reader.names(reader.root)) == [text]
    assert reader.lookup(reader.root, text.swapcase() if text.isascii() else text) is not None


def long_entries(name: str, short: bytes) -> list[bytes]:
    """The entries of a long name, as the specification lays them out."""
    checksum = 0
    for byte in short:
        checksum = (((checksum & 1) << 7) | (checksum >> 1)) + byte & 0xFF
    units = name.encode("utf-16-le")
    if len(units) % 26:
        units = (units + b"\0\0").ljust(-(-(len(units) + 2) // 26) * 26, b"\xff")
    count = len(units) // 26
    found = []
    for number in range(count, 0, -1):
        part = units[(number - 1) * 26 : number * 26]
        order = number | (0x40 if number == count else 0)
        found.append(bytes([order]) + part[:10] + b"\x0f\0" + bytes([checksum]) + part[10:22] + bytes(2) + part[22:])
    return found


def short_entry(short: bytes, case: int = 0, attributes: int = 0x20, cluster: int = 0, size: int = 0) -> bytes:
    high, low = divmod(cluster, 1 << 16)
    return short + bytes([attributes, case]) + struct.pack("<7xH4xHI", high, low, size)


def made(root: bytes, *, table: bytes = b"", data: bytes = b"") -> bytes:
    """A FAT12 of 100 clusters of 512 bytes with this root directory of 1024 entries, FAT and data area."""
    boot = b"\xeb\x3c\x90made    " + struct.pack("<HBHBHHBHHHII", 512, 1, 1, 1, 1024, 166, 0xF8, 1, 1, 1, 0, 0)
    boot = boot.ljust(510, b"\0") + b"\x55\xaa"
    area = root.ljust(32 * KiB, b"\0") + data.ljust(100 * 512, b"\0")
    return boot + (b"\xf8\xff\xff" + table).ljust(512, b"\0") + area


SHORT = b"LONGNA~1TXT"
LONG = long_entries("A long name of 26 and more.txt", SHORT)


@pytest.mark.parametrize(
    ("entries", "names"),
    [
        ([*LONG, short_entry(SHORT)], ["A long name of 26 and more.txt"]),
        ([*LONG, short_entry(b"OTHER   TXT")], ["OTHER.TXT"]),  # the checksum is of another
        ([*LONG[1:], short_entry(SHORT)], ["LONGNA~1.TXT"]),  # its last part is missing
        ([*LONG[:-1], short_entry(SHORT)], ["LONGNA~1.TXT"]),  # its first
        ([LONG[1], LONG[0], LONG[2], short_entry(SHORT)], ["LONGNA~1.TXT"]),
        ([*LONG, b"\xe5" + bytes(31), short_entry(SHORT)], ["LONGNA~1.TXT"]),
        ([LONG[0], *LONG, short_entry(SHORT)], ["A long name of 26 and more.txt"]),
        ([*LONG, short_entry(SHORT), short_entry(SHORT)], ["A long name of 26 and more.txt", "LONGNA~1.TXT"]),
        ([*LONG, short_entry(b"LABEL      ", attributes=8), short_entry(SHORT)], ["LONGNA~1.TXT"]),
        ([*long_entries("..", SHORT), short_entry(SHORT)], ["LONGNA~1.TXT"]),
        ([*long_entries("a/b", SHORT), short_entry(SHORT)], ["LONGNA~1.TXT"]),
        ([*long_entries("", SHORT), short_entry(SHORT)], ["LONGNA~1.TXT"]),
        ([b"\x40" + LONG[0][1:], short_entry(SHORT)], ["LONGNA~1.TXT"]),  # of no parts
        ([b"\x7f" + LONG[0][1:], short_entry(SHORT)], ["LONGNA~1.TXT"]),  # of 63
        ([short_entry(b".          ", 0, 0x10), short_entry(b"..         ", 0, 0x10)], []),
        ([short_entry(b"           "), short_entry(b"A/B     TXT"), short_entry(b"NEXT       ")], ["NEXT"]),
        ([b"\xe5" + short_entry(SHORT)[1:], short_entry(b"NEXT       ")], ["NEXT"]),
        ([short_entry(SHORT), bytes(32), short_entry(b"NEXT       ")], ["LONGNA~1.TXT"]),  # behind the end
    ],
)
def test_a_long_name_counts_where_it_is_whole(entries: list[bytes], names: list[str]) -> None:
    reader = fat.FatReader(Memory(made(b"".join(entries))))
    assert list(reader.names(reader.root)) == names


def test_half_a_surrogate_pair_is_no_text() -> None:
    units = long_entries("x\u1234", SHORT)[0].replace(b"\x34\x12", b"\x00\xd8")
    reader = fat.FatReader(Memory(made(units + short_entry(SHORT))))
    assert list(reader.names(reader.root)) == ["x\ufffd"]


@pytest.mark.parametrize(
    ("name", "asked", "found"),
    [("größe", "GRÖßE", True), ("größe", "GRÖSSE", False), ("ı", "i", False), ("\u212a", "k", False), ("ω", "Ω", True)],
)
def test_case_is_told_letter_by_letter(name: str, asked: str, found: bool) -> None:
    reader = fat.FatReader(Memory(made(b"".join(long_entries(name, SHORT)) + short_entry(SHORT))))
    assert (reader.lookup(reader.root, asked) is not None) == found


NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='"*/:<>?\\|'), min_size=1, max_size=100
).filter(lambda name: not name.endswith((".", " ")) and len(name.encode("utf-16-le")) <= 510)


@settings(max_examples=150, deadline=None)
@given(names=st.lists(NAMES, max_size=12, unique_by=str.casefold))
def test_any_names_are_listed_and_found(names: list[str]) -> None:
    root = b""
    for number, name in enumerate(names):
        short = b"FILE%02d~XTXT" % number
        root += b"".join(long_entries(name, short)) + short_entry(short, size=number)
    reader = fat.FatReader(Memory(made(root)))
    assert list(reader.names(reader.root)) == names
    for number, name in enumerate(names):
        found = [reader.lookup(reader.root, spelling) for spelling in (name, f"file{number:02}~x.txt")]
        assert [node and node.size for node in found] == [number, number]


def clusters_of(image: Path, path: str) -> list[int]:
    """The clusters of a file, as mtools tells them."""
    shown = run("mshowfat", "-i", image, f"::{path}").rpartition(" ")[2]
    found: list[int] = []
    for part in re.findall(r"<([0-9-]+)>", shown):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


class Table:
    """The FAT of an image, to be changed."""

    def __init__(self, image: Path, bits: int) -> None:
        with image.open("rb") as file:
            boot = file.read(512)
            sector, cluster_sectors, reserved, fats, root, size16 = (
                *struct.unpack_from("<HBHBH", boot, 11),
                int.from_bytes(boot[22:24], "little"),
            )
            self.size = (size16 or int.from_bytes(boot[36:40], "little")) * sector
            self.start = reserved * sector
            self.cluster_size = sector * cluster_sectors
            self.data_start = self.start + fats * self.size + root * 32
            file.seek(self.start)
            self._value = int.from_bytes(file.read(self.size), "little")
        self._bits = bits

    def set(self, cluster: int, value: int) -> None:
        shift = cluster * self._bits
        self._value &= ~((1 << self._bits) - 1 << shift)
        self._value |= value << shift

    def changes(self) -> dict[int, bytes]:
        return {self.start: self._value.to_bytes(self.size, "little")}


@pytest.fixture(scope="module", params=KINDS)
def kind(
    request: pytest.FixtureRequest, files: dict[str, bytes | str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, int]:
    return make(tmp_path_factory.mktemp("image"), files, request.param), KINDS[request.param]


FILE = "EFI/BOOT/BOOTX64.EFI"


def test_the_pieces_of_a_file_are_put_together(kind: tuple[Path, int], files: dict[str, bytes | str]) -> None:
    image, bits = kind
    content = files[f"/{FILE}"]
    assert isinstance(content, bytes)
    table, clusters = Table(image, bits), clusters_of(image, FILE)
    size = table.cluster_size
    # All clusters but the first and the last one, backwards: each is a piece of its own.
    order = [clusters[0], *clusters[-2:0:-1], clusters[-1]]
    for cluster, following in pairwise(order):
        table.set(cluster, following)
    parts = [content[start : start + size] for start in range(0, len(content), size)]
    expected = b"".join([parts[0], *parts[-2:0:-1], parts[-1]])
    with unlimited(image) as source:
        reader = fat.FatReader(Changed(source, table.changes()))
        node = entry(reader, FILE)
        assert reader.read(node, 0, node.size) == expected
        assert reader.read(node, 700_001, 100_000) == expected[700_001:800_001]
        assert b"".join(reader.read(node, offset, 50_000) for offset in range(0, node.size, 50_000)) == expected


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (lambda bits, top: 0, "in a chain of clusters there is one that is free"),
        (lambda bits, top: 1, "one that is reserved"),
        (lambda bits, top: top - 8, "one that is bad"),
        (lambda bits, top: top - 9, r"it is \d+, clusters are 2 to"),
        (lambda bits, top: top - 7, "it ends after 8 clusters of"),
        (lambda bits, top: top, "it ends after 8 clusters of"),
    ],
    ids=["free", "reserved", "bad", "out of range", "end", "last end"],
)  # fmt: skip
def test_a_damaged_chain_is_refused_behind_what_is_sound(
    value: Callable[[int, int], int], reason: str, kind: tuple[Path, int], files: dict[str, bytes | str]
) -> None:
    image, bits = kind
    table, clusters = Table(image, bits), clusters_of(image, FILE)
    table.set(clusters[7], value(bits, (1 << min(bits, 28)) - 1))
    content = files[f"/{FILE}"]
    with unlimited(image) as source:
        reader = fat.FatReader(Changed(source, table.changes()))
        node = entry(reader, FILE)
        for _ in range(2):  # what is known of the chain does no harm
            with pytest.raises(ContentsError, match=reason) as caught:
                reader.read(node, 0, node.size)
        assert reader.read(node, 0, table.cluster_size * 8) == content[: table.cluster_size * 8]
    place = table.start + clusters[7] * bits // 8
    assert f"at byte {place:#x}" in str(caught.value) or "ends after" in str(caught.value)


@pytest.mark.parametrize("back_to", [0, 3, 7])
def test_a_chain_that_comes_back_to_itself_is_refused(back_to: int, kind: tuple[Path, int]) -> None:
    image, bits = kind
    table, clusters = Table(image, bits), clusters_of(image, FILE)
    table.set(clusters[7], clusters[back_to])
    with unlimited(image) as source:
        reader = fat.FatReader(Changed(source, table.changes()))
        for _ in range(2):
            with pytest.raises(ContentsError, match=f"it comes back to cluster {clusters[back_to]}$"):
                whole(reader, FILE)


def test_a_chain_that_runs_into_its_beginning_is_refused(kind: tuple[Path, int]) -> None:
    """Which adjoins, so that nothing but what was visited tells it."""
    image, bits = kind
    table, clusters = Table(image, bits), clusters_of(image, FILE)
    table.set(clusters[0], clusters[5])
    table.set(clusters[6], clusters[1])
    table.set(clusters[4], clusters[5])
    with unlimited(image) as source, pytest.raises(ContentsError, match=f"it comes back to cluster {clusters[5]}$"):
        whole(fat.FatReader(Changed(source, table.changes())), FILE)


def test_a_file_in_too_many_pieces_is_refused(kind: tuple[Path, int], monkeypatch: pytest.MonkeyPatch) -> None:
    image, bits = kind
    table, clusters = Table(image, bits), clusters_of(image, FILE)
    for cluster, following in ((clusters[1], clusters[3]), (clusters[3], clusters[5])):
        table.set(cluster, following)
    with unlimited(image) as source:
        monkeypatch.setattr(_fat_filesystem, "MAX_RUNS", 3)
        whole_file = fat.FatReader(Changed(source, table.changes()))
        assert whole_file.read(entry(whole_file, FILE), 0, table.cluster_size * 5)
        monkeypatch.setattr(_fat_filesystem, "MAX_RUNS", 2)
        with pytest.raises(ContentsError, match="it is in over 2 pieces, no more are followed"):
            whole(fat.FatReader(Changed(source, table.changes())), FILE)


@pytest.mark.parametrize("cluster", [0, 1, 0xFFFF])
def test_a_first_cluster_that_is_none_is_refused(cluster: int, fat16: Path) -> None:
    low = {26: cluster.to_bytes(2, "little")}
    for short, path in ((b"BOOTX64 EFI", FILE), (b"VENDOR     ", "EFI/vendor")):
        place = place_of(fat16, short)
        with unlimited(fat16) as source:
            reader = fat.FatReader(Changed(source, {place + at: change for at, change in low.items()}))
            node = entry(reader, path)
            with pytest.raises(ContentsError, match=f"fat chain of cluster {cluster}: there is none, clusters are 2"):
                _ = reader.read(node, 0, 1) if node.kind == "file" else list(reader.entries(node))


@pytest.mark.parametrize("cluster", [0, 1, 5, 0xFFFF])
def test_an_empty_file_has_no_clusters_whatever_its_entry_says(cluster: int, fat16: Path) -> None:
    place = place_of(fat16, b"EMPTY      ")
    with unlimited(fat16) as source:
        reader = fat.FatReader(Changed(source, {place + 26: cluster.to_bytes(2, "little")}))
        assert whole(reader, "EMPTY") == b""


def test_the_upper_half_of_a_cluster_counts_in_fat32_alone(
    kind: tuple[Path, int], files: dict[str, bytes | str]
) -> None:
    image, bits = kind
    place = place_of(image, b"BOOTX64 EFI")
    with unlimited(image) as source:
        reader = fat.FatReader(Changed(source, {place + 20: b"\x01\x02"}))
        if bits == 32:
            with pytest.raises(ContentsError, match="there is none, clusters are 2 to"):
                whole(reader, FILE)
        else:
            assert whole(reader, FILE) == files[f"/{FILE}"]


def test_the_upper_bits_of_an_entry_of_fat32_mean_nothing(fat32: Path) -> None:
    table, clusters = Table(fat32, 32), clusters_of(fat32, FILE)
    table.set(clusters[0], 0xF0000000 | clusters[1])
    with unlimited(fat32) as source:
        before = whole(fat.FatReader(source), FILE)
        assert whole(fat.FatReader(Changed(source, table.changes())), FILE) == before


def test_the_table_that_is_in_use_is_read(fat32: Path, files: dict[str, bytes | str], tmp_path: Path) -> None:
    table = Table(fat32, 32)
    copy = tmp_path / "image"
    run("cp", "--sparse=always", fat32, copy)
    with copy.open("r+b") as file:
        file.seek(table.start + 8)
        file.write(b"\xff" * (table.size - 8))
        file.seek(40)
        file.write(b"\x81\0")  # BPB_ExtFlags: not mirrored, the second one is in use
    run("mcopy", "-i", copy, f"::/{FILE}", tmp_path / "out")  # mtools reads it as well
    with unlimited(copy) as source:
        assert whole(fat.FatReader(source), FILE) == files[f"/{FILE}"] == (tmp_path / "out").read_bytes()


def test_a_root_directory_that_comes_back_to_itself_is_refused(fat32: Path) -> None:
    table = Table(fat32, 32)
    table.set(2, 2)
    filled = {table.data_start: b"\xe5" * table.cluster_size}
    with unlimited(fat32) as source:
        reader = fat.FatReader(Changed(source, table.changes() | filled))
        with pytest.raises(ContentsError, match="fat chain of cluster 2: it comes back to cluster 2"):
            list(reader.entries(reader.root))


def test_a_directory_of_impossible_size_is_not_gone_through(kind: tuple[Path, int]) -> None:
    image, _ = kind
    with unlimited(image) as source, pytest.MonkeyPatch.context() as patch:
        reader = fat.FatReader(source)
        many = entry(reader, "many")
        assert len(list(reader.entries(many))) == 600
        patch.setattr(_fat_directories, "MAX_DIRECTORY_BYTES", 32 * KiB)  # it has 600 times 4 entries
        with pytest.raises(ContentsError, match="it has over 32768 bytes, no more are read"):
            list(reader.entries(many))


def test_what_is_wrong_behind_the_last_entry_does_no_harm(kind: tuple[Path, int]) -> None:
    image, bits = kind
    table = Table(image, bits)
    table.set(clusters_of(image, "EFI")[-1], 0)
    with unlimited(image) as source:
        reader = fat.FatReader(Changed(source, table.changes()))
        assert set(reader.names(entry(reader, "EFI"))) == {"BOOT", "vendor"}


@pytest.mark.parametrize(
    "changes", [{11: bytes(2)}, {11: b"\xff\xff"}, {13: bytes(1)}, {14: bytes(2)}, {16: b"\0"}, {22: b"\xff\xff"}],
    ids=["BPB_BytsPerSec 0", "BPB_BytsPerSec", "BPB_SecPerClus", "BPB_RsvdSecCnt", "BPB_NumFATs", "BPB_FATSz16"],
)  # fmt: skip
def test_a_damaged_boot_sector_is_refused(changes: dict[int, bytes], fat16: Path) -> None:
    with unlimited(fat16) as source, pytest.raises(ContentsError, match=r"^fat boot sector: its fields"):
        fat.FatReader(Changed(source, changes))


def test_a_boot_sector_without_its_signature_is_read(fat16: Path) -> None:
    """As Linux does, which does not look at it; libblkid names the file system by BS_FilSysType."""
    with unlimited(fat16) as source:
        assert whole(fat.FatReader(Changed(source, {510: bytes(2)})), "startup.nsh") == b"lower"


def test_why_bytes_are_not_there_is_told(fat16: Path) -> None:
    with unlimited(fat16) as source:
        with pytest.raises(ContentsError, match=r"the disk at byte 0x.*: they are in a backing file") as caught:
            list(walk(fat.FatReader(Unreachable(source, 64 * KiB))))
        assert isinstance(caught.value.__cause__, UnreachableBytes)


def explore(source: BlockSource) -> None:
    """Use a reader; whatever it finds, it raises nothing but `ContentsError`."""
    try:
        reader = fat.FatReader(source)
        for _, (_, node) in zip(range(40), walk(reader), strict=False):
            if node.kind == "file":
                reader.read(node, max(0, node.size - 100), 100)
        entry(reader, "EFI/BOOT/BOOTX64.EFI")
    except (ContentsError, pytest.fail.Exception):
        pass


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=8 * KiB))
def test_any_bytes_are_a_file_system_or_refused(data: bytes) -> None:
    explore(Memory(data))


@settings(max_examples=150, deadline=None)
@given(changes=st.dictionaries(st.integers(0, 256 * KiB), st.binary(min_size=1, max_size=4), min_size=1, max_size=3))
def test_any_changed_byte_leaves_a_file_system_or_is_refused(changes: dict[int, bytes], start: bytes) -> None:
    explore(Changed(Memory(start), changes))


SMALL = made(
    b"".join(LONG) + short_entry(SHORT, cluster=2, size=1500) + short_entry(b"EFI        ", 0, 0x10, 5),
    table=b"\x03\x40\x00\xff\xff\xff\xff\x0f\x00",
    data=b"x" * 1536 + short_entry(b"BOOT       ", 0, 0x10, 5) + short_entry(b"A       TXT", cluster=2, size=700),
)


def test_the_small_one_is_sound() -> None:
    reader = fat.FatReader(Memory(SMALL))
    assert whole(reader, "A long name of 26 and more.txt") == b"x" * 1500
    assert whole(reader, "efi/boot/boot/a.txt") == b"x" * 700


@settings(max_examples=200, deadline=None)
@given(changes=st.dictionaries(st.integers(0, 2 * KiB), st.binary(min_size=1, max_size=4), min_size=1, max_size=4))
def test_any_changed_byte_of_a_small_one_leaves_a_file_system_or_is_refused(changes: dict[int, bytes]) -> None:
    explore(Changed(Memory(SMALL), changes))


@pytest.fixture(scope="module")
def start(fat16: Path) -> bytes:
    """The boot sector, the tables, the root and some files of the image."""
    return fat16.read_bytes()[: 2 * MiB]
