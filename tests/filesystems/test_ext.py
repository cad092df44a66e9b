"""ext2, ext3, ext4 and external journals, against mke2fs, dumpe2fs and blkid."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.binary import crc32c
from preflight.filesystems.ext import FILESYSTEM, SUPERBLOCK
from preflight.source import Memory
from preflight.units import KiB, MiB
from tests.filesystems.reading import agreed, ask, stays_within_protocol
from tests.tools import run, sparse

UUID = "1c6fc1a4-3a0e-4d0f-9d3c-5a8e0f6b7a11"


def make(path: Path, *options: str, size: int = 16 * MiB) -> Path:
    run("mke2fs", "-q", "-F", *options, sparse(path, size))
    return path


def dumpe2fs(path: Path, *options: str) -> dict[str, str]:
    printed = run("dumpe2fs", "-h", *options, path, ok=range(256) if options else (0,))
    pairs = (line.partition(":") for line in printed.splitlines())
    return {name: value.strip() for name, _, value in pairs}


@pytest.mark.parametrize(
    ("type_", "options"),
    [
        ("ext2", ["-t", "ext2"]),
        ("ext2", ["-t", "ext2", "-r", "0"]),
        ("ext2", ["-t", "ext2", "-L", "sixteen-letters!", "-b", "4096"]),
        ("ext3", ["-t", "ext3", "-L", "with space  ", "-b", "2048"]),
        ("ext4", ["-t", "ext4", "-L", "Größe €"]),
        ("ext4", ["-t", "ext4", "-L", "a\\b\"c'd$e`f"]),
        ("ext4", ["-t", "ext4", "-U", "clear"]),
        ("ext4", ["-t", "ext4", "-O", "^has_journal"]),
        ("ext4", ["-t", "ext4", "-O", "^metadata_csum,^64bit", "-b", "1024"]),
        ("ext4", ["-t", "ext4", "-O", "metadata_csum_seed,orphan_file,fast_commit,encrypt,verity,casefold,quota"]),
        ("ext4", ["-t", "ext4", "-O", "bigalloc", "-C", "65536"]),
        ("ext4dev", ["-t", "ext4", "-E", "test_fs"]),
        ("jbd", ["-O", "journal_dev", "-b", "4096", "-L", "outside"]),
    ],
)
def test_type_uuid_label_and_size_are_those_of_the_tools(tmp_path: Path, type_: str, options: list[str]) -> None:
    path = make(tmp_path / "disk", *([] if "-U" in options else ["-U", UUID]), *options)
    found = agreed(FILESYSTEM, path)
    listed = dumpe2fs(path)
    assert found.type == type_
    assert found.uuid == (None if "-U" in options else UUID)
    if type_ != "jbd":  # dumpe2fs shows the journal itself there
        assert found.size == int(listed["Block count"]) * int(listed["Block size"])
    else:
        assert found.size == 16 * MiB
    assert not found.problems


def test_64_bit_block_count_is_whole(tmp_path: Path) -> None:
    path = make(tmp_path / "disk", "-t", "ext4", "-O", "64bit", "-E", "lazy_itable_init=1", "-n", size=MiB)
    data = bytearray(2 * KiB)
    data[1024:] = superblock(s_feature_incompat=0xC0, s_blocks_count_lo=5, s_blocks_count_hi=3, s_log_block_size=2)
    path.write_bytes(bytes(data))
    found = agreed(FILESYSTEM, path)
    assert (found.type, found.size) == ("ext4", (3 * 2**32 + 5) * 4096)


def superblock(**fields: object) -> bytes:
    values: dict[str, object] = dict.fromkeys((field.name for field in SUPERBLOCK.subcons if field.name), 0)
    values |= {"s_magic": b"\x53\xef", "s_uuid": bytes(range(16)), "s_volume_name": bytes(16)}
    values |= {"s_last_mounted": bytes(64), "s_blocks_count_lo": 8192, "s_inodes_count": 2048, **fields}
    built: bytes = SUPERBLOCK.build(values)
    assert len(built) == 1024
    if fields.get("s_feature_ro_compat", 0) == 0x400 and "s_checksum" not in fields:
        return built[:-4] + crc32c(built[:-4]).to_bytes(4, "little")
    return built


def test_built_superblock_is_read() -> None:
    found = ask(FILESYSTEM, Memory(bytes(1024) + superblock(s_volume_name=b"root".ljust(16, b"\0"))))
    assert found is not None
    assert (found.type, found.label, found.size) == ("ext2", "root", 8192 * 1024)
    assert found.uuid == "00010203-0405-0607-0809-0a0b0c0d0e0f"


def test_wrong_checksum_names_the_file_system_and_tells(tmp_path: Path) -> None:
    path = make(tmp_path / "disk", "-t", "ext4", "-O", "metadata_csum", "-L", "torn")
    data = bytearray(path.read_bytes()[: 64 * KiB])
    data[1024 + 0xC] ^= 1  # s_free_blocks_count_lo
    found = ask(FILESYSTEM, Memory(bytes(data)))
    assert found is not None
    assert (found.type, found.label, found.size) == ("ext4", "torn", 16 * MiB)
    assert [(problem.code, problem.offset) for problem in found.problems] == [("superblock-invalid", 1024 + 0x3FC)]


@pytest.mark.parametrize(
    ("fields", "offset"),
    [
        ({"s_log_block_size": 7}, 1024 + 0x18),
        ({"s_log_block_size": 0xFFFFFFFF}, 1024 + 0x18),
        ({"s_blocks_count_lo": 0}, 1024 + 0x4),
        ({"s_blocks_count_hi": 0x80000000, "s_log_block_size": 6, "s_feature_incompat": 0x80}, 1024 + 0x4),
    ],
)
def test_impossible_size_is_a_problem(fields: dict[str, int], offset: int) -> None:
    found = ask(FILESYSTEM, Memory(bytes(1024) + superblock(**fields)))
    assert found is not None
    assert found.size is None
    assert [(problem.code, problem.offset) for problem in found.problems] == [("superblock-invalid", offset)]


def test_largest_block_size_is_allowed() -> None:
    found = ask(FILESYSTEM, Memory(bytes(1024) + superblock(s_log_block_size=6)))
    assert found is not None
    assert found.size == 8192 * 64 * KiB


def test_journal_to_replay_without_a_journal_is_none_of_them() -> None:
    assert ask(FILESYSTEM, Memory(bytes(1024) + superblock(s_feature_incompat=0x4))) is None


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 1023), st.integers(0, 255))
def test_any_changed_byte_stays_within_the_protocol(position: int, value: int) -> None:
    data = bytearray(bytes(1024) + superblock(s_feature_ro_compat=0x400, s_volume_name=b"label".ljust(16, b"\0")))
    data[1024 + position] = value
    stays_within_protocol(FILESYSTEM, bytes(data))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=1024))
def test_any_bytes_stay_within_the_protocol(data: bytes) -> None:
    stays_within_protocol(FILESYSTEM, bytes(1024) + data)
    stays_within_protocol(
        FILESYSTEM, bytes(1024) + data.ljust(1024, b"\0")[:56] + b"\x53\xef" + data.ljust(966, b"\0")[:966]
    )


@pytest.mark.parametrize("word", [0x5C, 0x60, 0x64])  # s_feature_compat, s_feature_incompat, s_feature_ro_compat
def test_features_have_the_names_that_dumpe2fs_prints(tmp_path: Path, word: int) -> None:
    path = make(tmp_path / "disk", "-t", "ext4", "-O", "^metadata_csum", size=MiB)
    sound = path.read_bytes()
    compared = 0
    for bit in range(32):
        data = bytearray(sound)
        old = int.from_bytes(data[1024 + word : 1028 + word], "little")
        data[1024 + word : 1028 + word] = (old ^ 1 << bit).to_bytes(4, "little")
        path.write_bytes(bytes(data))
        listed = dumpe2fs(path, "-f")
        if "Filesystem features" in listed:  # the tool shows a journal of its own, and does not take some bits
            found = FILESYSTEM.read(Memory(bytes(data)))
            assert found is not None
            assert " ".join(found.features) == listed["Filesystem features"]
            compared += 1
    assert compared >= 30
