"""HFS and HFS Plus, against hformat, xorriso and blkid."""

from pathlib import Path

import pytest
from hypothesis import given, settings

from preflight.filesystems._hfs import MASTER_DIRECTORY_BLOCK
from preflight.filesystems.hfs import FILESYSTEM as HFS
from preflight.filesystems.hfsplus import (
    CATALOG_KEY,
    HEADER_RECORD,
    NODE_DESCRIPTOR,
    VOLUME_HEADER,
)
from preflight.filesystems.hfsplus import FILESYSTEM as HFSPLUS
from preflight.units import MiB
from tests.filesystems.building import agreed_on, build, damage, found, hostile, join, read, stays_within_protocol
from tests.filesystems.reading import agreed
from tests.tools import require, run, sparse

SIZE = 4 * MiB
VOLUME_ID = bytes.fromhex("0123456789abcdef")
WRAPPER_START = 8 * 512 + 3 * 4096  # drAlBlSt, and drEmbedExtent.startBlock of drAlBlkSiz


def mdb(**fields: object) -> bytes:
    values: dict[str, object] = {
        "drSigWord": b"BD",
        "drNmAlBlks": 1000,
        "drAlBlkSiz": 4096,
        "drAlBlSt": 8,
        "drVN_length": 4,
        "drVN": b"Mac \xa5".ljust(27, b"!"),
        "volume_id": VOLUME_ID,
        "drEmbedSigWord": b"\0\0",
    }
    return build(MASTER_DIRECTORY_BLOCK, **{**values, **fields})


def catalog(name: bytes, node_size: int = 4096, **fields: object) -> bytes:
    """A header node and the first leaf."""
    header = {"leafRecords": 2, "firstLeafNode": 1, "nodeSize": node_size, **fields}
    return join(
        (14, build(HEADER_RECORD, **header)),
        (node_size, build(NODE_DESCRIPTOR, kind=0xFF, height=1, numRecords=2)),
        (node_size + 14, build(CATALOG_KEY, keyLength=6 + len(name), parentID=1, nodeName_length=len(name) // 2)),
        (node_size + 22, name),
    )


def header(**fields: object) -> bytes:
    extents = [{"startBlock": 0, "blockCount": 0}] * 8
    extents[0] = {"startBlock": 4, "blockCount": 1}
    extents[1] = {"startBlock": 9, "blockCount": 4}
    values: dict[str, object] = {
        "signature": b"H+",
        "version": 4,
        "blockSize": 4096,
        "totalBlocks": 512,
        "volume_id": VOLUME_ID,
        "catalogFile_extents": extents,
    }
    return build(VOLUME_HEADER, **{**values, **fields})


def plus(name: str = "Größe 😀", start: int = 0, **fields: object) -> bytes:
    """A volume whose catalog is in two extents: the header node in block 4, the first leaf in block 9."""
    nodes = catalog(name.encode("utf-16-be"))
    return join(
        (start + 1024, header(**fields)), (start + 4 * 4096, nodes[:4096]), (start + 9 * 4096, nodes[4096:].ljust(4096))
    )


def test_hfs_is_what_hformat_made(tmp_path: Path) -> None:
    require("hformat")
    run("hformat", "-l", "Macintosh HD", path := sparse(tmp_path / "disk", SIZE))
    superblock = agreed(HFS, path)
    assert (superblock.type, superblock.label, superblock.size) == ("hfs", "Macintosh HD", SIZE - 1024)
    assert read(HFSPLUS, path.read_bytes()) is None


def test_hfs_plus_is_what_xorriso_made(tmp_path: Path) -> None:
    source = tmp_path / "files"
    source.mkdir()
    (source / "file").write_text("content")
    run("xorriso", "-as", "mkisofs", "-quiet", "-hfsplus", "-V", "hfsplus volume", "-o", tmp_path / "iso", source)
    data = (tmp_path / "iso").read_bytes()
    volume = data[data.index(b"H+\0\4") - 1024 :]  # within an Apple partition map
    superblock = agreed_on(HFSPLUS, tmp_path / "disk", volume)
    assert (superblock.type, superblock.label, superblock.problems) == ("hfsplus", "hfsplus volume", ())


def test_built_hfs_is_read_as_blkid_reads_it(tmp_path: Path) -> None:
    superblock = agreed_on(HFS, tmp_path / "disk", join((1024, mdb())), SIZE)
    assert (superblock.label, superblock.size) == ("Mac", 8 * 512 + 1000 * 4096)
    assert superblock.uuid is not None
    assert superblock.uuid[14] == "3"  # a UUID by name


def test_built_hfs_plus_is_read_as_blkid_reads_it(tmp_path: Path) -> None:
    superblock = agreed_on(HFSPLUS, tmp_path / "plus", plus(), SIZE)
    assert (superblock.type, superblock.label, superblock.size) == ("hfsplus", "Größe 😀", 512 * 4096)
    superblock = agreed_on(HFSPLUS, tmp_path / "x", plus(signature=b"HX", volume_id=bytes(8)), SIZE)
    assert (superblock.type, superblock.uuid) == ("hfsplus", None)


def test_volume_wrapped_in_hfs_is_hfs_plus_and_nothing_else(tmp_path: Path) -> None:
    wrapper = mdb(drEmbedSigWord=b"H+", drEmbedExtent_startBlock=3, drEmbedExtent_blockCount=512)
    data = join((0, plus(start=WRAPPER_START)), (1024, wrapper))
    assert agreed_on(HFSPLUS, tmp_path / "disk", data, SIZE).label == "Größe 😀"
    assert read(HFS, data, SIZE) is None


def test_hfs_with_an_impossible_allocation_block_is_none() -> None:
    for size in (0, 513, 4095):
        assert read(HFS, join((1024, mdb(drAlBlkSiz=size))), SIZE) is None


def test_hfs_plus_with_impossible_blocks_or_another_signature_is_none() -> None:
    for size in (0, 256, 511, 4095, 4097):
        assert read(HFSPLUS, plus(blockSize=size), SIZE) is None
    wrapper = mdb(drEmbedSigWord=b"H+", drEmbedExtent_startBlock=3)
    assert read(HFSPLUS, join((1024, wrapper)), SIZE) is None


def test_leaf_in_the_middle_of_a_block_is_found() -> None:
    nodes = catalog("half".encode("utf-16-be"), node_size=2048)
    superblock = found(HFSPLUS, join((1024, header()), (4 * 4096, nodes)), SIZE)
    assert superblock.label == "half"


@pytest.mark.parametrize("nodes", [b"", catalog(b"\0a", nodeSize=512), catalog(b"\0a", leafRecords=0)])
def test_catalog_without_a_first_leaf_gives_no_name(tmp_path: Path, nodes: bytes) -> None:
    superblock = agreed_on(HFSPLUS, tmp_path / "disk", join((1024, header()), (4 * 4096, nodes)), SIZE)
    assert (superblock.type, superblock.label, superblock.problems) == ("hfsplus", None, ())


def test_catalog_beyond_its_extents_gives_no_name() -> None:
    nodes = catalog(b"\0a", firstLeafNode=0xFFFFFFFF)
    superblock = found(HFSPLUS, join((1024, header()), (4 * 4096, nodes)), SIZE)
    assert (superblock.label, superblock.problems) == (None, ())


def test_catalog_past_the_end_is_told() -> None:
    extents = [{"startBlock": 0xFFFFFFFF, "blockCount": 1}] * 8
    superblock = found(HFSPLUS, join((1024, header(catalogFile_extents=extents))), SIZE)
    assert superblock.label is None
    assert damage(superblock) == [("superblock-invalid", 0xFFFFFFFF * 4096 + 14)]


@settings(max_examples=150, deadline=None)
@given(hostile((1024, mdb())))
def test_any_bytes_of_hfs_stay_within_the_protocol(data: bytes) -> None:
    stays_within_protocol(HFS, data, SIZE)


@settings(max_examples=150, deadline=None)
@given(hostile((1024, header()), (4 * 4096, catalog(b"\0a"))))
def test_any_bytes_of_hfs_plus_stay_within_the_protocol(data: bytes) -> None:
    stays_within_protocol(HFSPLUS, data, SIZE)
