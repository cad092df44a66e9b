"""What a listing of a directory needs is read, and the first entry that lacks it is named; on every file system."""

from pathlib import Path

import pytest

from preflight.binary import crc32c
from preflight.contents import ContentsError, btrfs, fat, ntfs, xfs
from preflight.source import Buffered
from preflight.units import KiB, MiB
from tests.contents.sources import Changed, capture, unlimited
from tests.tools import run, sparse


@pytest.mark.parametrize("name", ["btrfs/layouts", "ntfs/windows", "xfs/kernel"])
def test_all_of_a_directory_that_its_system_made_is_listed(name: str) -> None:
    kind, _, _ = name.partition("/")
    reader = {"btrfs": btrfs, "ntfs": ntfs, "xfs": xfs}[kind].CONTENTS.open(Buffered(capture(name)))
    assert sorted(reader.listed(reader.root)) == sorted(reader.names(reader.root))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    (top / "first/second").mkdir(parents=True)
    (top / "file").write_text("text")
    (top / "first/deep").write_text("deep")
    return top


def xfs_image(tmp_path: Path) -> Path:
    """Version 4, which has no checksums, so that one word makes an inode bad."""
    (tmp_path / "proto").write_text(
        "boot\n0 0\nd--755 0 0\nfile ---644 0 0 /etc/hostname\nother ---644 0 0 /dev/null\n$\n$\n"
    )
    path = sparse(tmp_path / "xfs", 300 * MiB)
    run("mkfs.xfs", "-q", "-m", "crc=0", "-p", tmp_path / "proto", path)
    return path


def test_an_entry_of_xfs_whose_inode_is_none_is_named_unless_a_log_waits(tmp_path: Path) -> None:
    path = xfs_image(tmp_path)
    printed = run("xfs_db", "-r", "-c", "path /file", "-c", "addr", path)
    place = int(printed.split("byte offset ")[1].split(",")[0])
    log = int(run("xfs_db", "-r", "-c", "sb 0", "-c", "print logstart", path).split()[-1])
    log = int(run("xfs_db", "-r", "-c", f"fsblock {log}", "-c", "daddr", path).split()[-1]) * 512
    with unlimited(path) as source:
        reader = xfs.CONTENTS.open(source)
        assert set(reader.listed(reader.root)) == {"file", "other"}
        reader = xfs.CONTENTS.open(Changed(source, {place: b"XX"}))
        with pytest.raises(ContentsError, match="the entry 'file' cannot be listed: xfs inode "):
            list(reader.listed(reader.root))
        assert source.read_at(log + 512 + 9, 1) == b"\x20"  # XLOG_UNMOUNT_TRANS, which mkfs.xfs writes
        reader = xfs.CONTENTS.open(Changed(source, {place: b"XX", log + 512 + 9: b"\1"}))
        assert list(reader.listed(reader.root)) == []


def test_an_entry_of_btrfs_without_an_inode_is_named(tree: Path, tmp_path: Path) -> None:
    path = sparse(tmp_path / "btrfs", 128 * MiB)
    run("mkfs.btrfs", "-q", "--rootdir", tree, path)
    printed = run("btrfs", "inspect-internal", "dump-tree", "-t", "fs", path)
    number = int(printed.split("name: file\n")[0].rpartition("location key (")[2].split()[0])
    data = bytearray(path.read_bytes())
    key = number.to_bytes(8, "little") + b"\1" + bytes(8)
    node = next(
        start
        for start in range(MiB, len(data), 4 * KiB)
        if data[start + 0x58 : start + 0x60] == (5).to_bytes(8, "little") and key in data[start : start + 16 * KiB]
    )
    at = data.index(key, node) + 8
    changes = {}
    for start in range(MiB, len(data), 4 * KiB):  # both copies
        if data[start + 32 : start + 16 * KiB] == data[node + 32 : node + 16 * KiB]:
            copy = bytearray(data[start : start + 16 * KiB])
            copy[at - node] = 2  # a type that no item has
            copy[:4] = (crc32c(bytes(copy[32:])) ^ 0xFFFFFFFF).to_bytes(4, "little")
            changes[start] = bytes(copy)
    with unlimited(path) as source:
        reader = btrfs.CONTENTS.open(source)
        assert set(reader.listed(reader.root)) == {"first", "file"}
        reader = btrfs.CONTENTS.open(Changed(source, changes))
        with pytest.raises(ContentsError, match=rf"the entry 'file' cannot be listed: btrfs inode {number} of tree 5"):
            list(reader.listed(reader.root))


def restart(lsn: int, client: int, flags: int) -> bytes:
    """A restart page of $LogFile: magic, the offset of the area, and in it current_lsn, client_in_use_list, flags."""
    area = lsn.to_bytes(8, "little") + bytes(4) + client.to_bytes(2, "little") + flags.to_bytes(2, "little")
    return b"RSTR" + bytes(20) + (0x30).to_bytes(2, "little") + bytes(0x30 - 26) + area


@pytest.mark.parametrize(
    ("pages", "is_told"),
    [
        ((b"\xff\xff\xff\xff",), True),  # as mkntfs leaves it: empty
        ((restart(5, 0, 2), restart(4, 0, 0)), True),  # RESTART_VOLUME_IS_CLEAN in the newer one
        ((restart(5, 0xFFFF, 0), restart(4, 0, 0)), True),  # no client
        ((restart(5, 0, 0), restart(4, 0, 2)), False),
        ((restart(4, 0, 2), restart(5, 0, 0)), False),
        ((b"CHKD", b"CHKD"), False),
    ],
)
def test_an_entry_of_ntfs_without_a_record_is_named_unless_a_log_waits(
    pages: tuple[bytes, ...], is_told: bool, tree: Path, tmp_path: Path
) -> None:
    path = sparse(tmp_path / "ntfs", 8 * MiB)
    run("mkntfs", "-q", "-Q", "-F", "-s", "512", "-c", "4096", path)
    run("ntfscp", path, tree / "file", "file")
    with unlimited(path) as source:
        boot = source.read_at(0, 512)
        mft = int.from_bytes(boot[48:56], "little") * 4096
        record = next(n for n in range(24, 80) if "file".encode("utf-16le") in source.read_at(mft + n * KiB, KiB))
        reader = ntfs.NtfsReader(source)
        assert "file" in set(reader.listed(reader.root))
        log = reader._filesystem.stream(reader._filesystem.file(ntfs.LOG_FILE), 0x80)
        assert log is not None
        start = source.read_at(0, source.size).index(log.read(0, 64 * KiB))
        changes = {mft + record * KiB: b"BAAD"} | {start + 4096 * n: page for n, page in enumerate(pages)}
        reader = ntfs.NtfsReader(Changed(source, changes))
        if is_told:
            with pytest.raises(ContentsError, match=f"the entry 'file' cannot be listed: ntfs file record {record}"):
                list(reader.listed(reader.root))
        else:
            assert "file" not in set(reader.listed(reader.root))


@pytest.mark.parametrize("bits", [12, 16, 32])
def test_a_directory_of_fat_that_is_nowhere_is_named(bits: int, tree: Path, tmp_path: Path) -> None:
    path = sparse(tmp_path / "fat", {12: 2, 16: 16, 32: 64}[bits] * MiB)
    run("mkfs.vfat", "-F", str(bits), "-s", "1", path)
    run("mcopy", "-s", "-i", path, tree / "first", tree / "file", "::/")
    data = path.read_bytes()
    at = data.index(b"FIRST      ")
    with unlimited(path) as source:
        reader = fat.CONTENTS.open(source)
        assert set(reader.listed(reader.root)) == {"first", "file"}
        reader = fat.CONTENTS.open(Changed(source, {at + 26: b"\xf0\xff"}))
        with pytest.raises(ContentsError, match=r"the entry 'first' cannot be listed: fat (chain|entry) of cluster"):
            list(reader.listed(reader.root))
