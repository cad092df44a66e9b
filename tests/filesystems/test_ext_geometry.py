"""Superblocks whose numbers no kernel mounts, against dumpe2fs; and every honest geometry that mke2fs makes."""

import subprocess
from pathlib import Path

import pytest

from preflight.binary import crc32c
from preflight.filesystems.ext import FILESYSTEM, SUPERBLOCK
from preflight.units import KiB, MiB
from tests.filesystems.reading import ask_file
from tests.tools import find, require, run, sparse

REFUSED = {
    "s_rev_level": (2, 0xFFFF_FFFF),
    "s_inode_size": (0, 1, 127, 300, 2048, 0x8000),
    "s_first_ino": (0, 10),
    "s_desc_size": (0, 32, 63, 2048, 0x8000),
    "s_checksum_type": (0, 2, 255),
    "s_inodes_per_group": (0, 1, 8193, 0xFFFF_FFFF),
    "s_blocks_per_group": (0, 8193, 0xFFFF_FFFF),
    "s_first_data_block": (0, 16384, 0xFFFF_FFFF),
    "s_inodes_count": (0, 1, 0xFFFF_FFFF),
    "s_feature_incompat": (0x2C3, 0x12C2, 0x800002C2),  # compression, dirdata, one that nobody has
    "s_log_cluster_size": (1, 0xFFFF_FFFF),
    "s_clusters_per_group": (0, 4096),
    "s_reserved_gdt_blocks": (257, 0xFFFF),
    "s_min_extra_isize": (129, 0xFFFF),
    "s_want_extra_isize": (129,),
    "s_r_blocks_count_lo": (8193,),
    "s_def_hash_version": (6, 255),
    "s_log_groups_per_flex": (32, 255),
    "s_creator_os": (1,),
}
REFUSED["s_first_ino"] += (4097, 0x8000_000B)
REFUSED["s_first_data_block"] += (2,)
# Of these dumpe2fs thinks nothing; Linux refuses them (fs/ext4/super.c), or e2fsck does.
LINUX_ALONE = {
    ("s_first_data_block", 0), ("s_first_data_block", 2), ("s_feature_incompat", 0x2C3),
    *((field, value) for field in (
        "s_first_ino", "s_log_cluster_size", "s_clusters_per_group", "s_reserved_gdt_blocks", "s_min_extra_isize",
        "s_want_extra_isize", "s_r_blocks_count_lo", "s_def_hash_version", "s_log_groups_per_flex", "s_creator_os",
    ) for value in REFUSED[field]),
}  # fmt: skip


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """ext4 of 16 MiB in blocks of 1 KiB, with everything that mke2fs gives it by default."""
    path = sparse(tmp_path_factory.mktemp("ext") / "disk", 16 * MiB)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-b", "1024", "-I", "256", path)
    return path.read_bytes()


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in REFUSED for value in REFUSED[field]])
def test_a_number_that_no_kernel_takes_is_reported_at_its_byte(
    tmp_path: Path, sound: bytes, field: str, value: int
) -> None:
    require("dumpe2fs")
    superblock = SUPERBLOCK.parse(sound[1024:2048])
    superblock[field] = value
    built = bytearray(sound[1024:2048])
    at = 0
    for layout in SUPERBLOCK.subcons:
        if layout.name == field:
            built[at : at + layout.sizeof()] = value.to_bytes(layout.sizeof(), "little")
            break
        at += layout.sizeof()
    built[0x3FC:] = crc32c(bytes(built[:0x3FC])).to_bytes(4, "little")
    path = tmp_path / "disk"
    path.write_bytes(sound[:1024] + built + sound[2048:])
    found = ask_file(FILESYSTEM, path)
    assert found is not None
    assert ("superblock-invalid", 1024 + at) in [(problem.code, problem.offset) for problem in found.problems]
    if (field, value) not in LINUX_ALONE:
        asked = subprocess.run([find("dumpe2fs") or "", str(path)], capture_output=True, check=False)
        assert asked.returncode != 0


@pytest.mark.parametrize(
    "options",
    [
        ("-t", "ext2", "-r", "0"),
        ("-t", "ext2", "-b", "1024", "-g", "256"),
        ("-t", "ext2", "-I", "128", "-N", "16"),
        ("-t", "ext3", "-b", "4096", "-g", "32760"),
        ("-t", "ext4", "-O", "meta_bg,^resize_inode"),
        ("-t", "ext4", "-O", "^64bit,^metadata_csum"),
        ("-t", "ext4", "-O", "bigalloc", "-b", "1024", "-C", "4096"),
        ("-t", "ext4", "-O", "bigalloc", "-b", "4096", "-C", "65536"),
        ("-t", "ext4", "-O", "sparse_super2,^resize_inode"),
        ("-t", "ext4", "-b", "1024", "-I", "1024"),
        ("-t", "ext4", "-b", "65536"),
        ("-t", "ext4", "-E", "desc_size=128"),
        ("-t", "ext4", "-E", "packed_meta_blocks=1", "-G", "64"),
        ("-t", "ext4", "-O", "uninit_bg,^metadata_csum"),
        ("-t", "ext4", "-O", "uninit_bg,^metadata_csum,^64bit"),
        ("-t", "ext4", "-O", "^flex_bg"),
        ("-t", "ext4", "-O", "inline_data", "-I", "512"),
        ("-t", "ext4", "-O", "orphan_file,fast_commit,mmp"),
        ("-t", "ext4", "-O", "metadata_csum_seed,ea_inode,large_dir,encrypt,casefold,verity,project,quota"),
        ("-t", "ext4", "-O", "stable_inodes", "-m", "50"),
        ("-t", "ext4", "-E", "resize=100G"),
        ("-o", "hurd"),
    ],
    ids=" ".join,
)
def test_an_honest_geometry_has_no_problem(tmp_path: Path, options: tuple[str, ...]) -> None:
    path = sparse(tmp_path / "disk", 32 * MiB)
    run("mke2fs", "-q", "-F", *options, path)
    found = ask_file(FILESYSTEM, path)
    assert found is not None
    assert found.problems == ()


@pytest.mark.parametrize("size", [512 * KiB, 8193 * KiB, 8194 * KiB, 300 * MiB])
def test_an_honest_size_has_no_problem_before_and_after_it_changes(tmp_path: Path, size: int) -> None:
    path = sparse(tmp_path / "disk", size)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-b", "1024", path)
    for length in (size, size + 9 * MiB):
        with path.open("r+b") as file:
            file.truncate(length)
        run("resize2fs", "-f", path)
        found = ask_file(FILESYSTEM, path)
        assert found is not None
        assert found.problems == ()
