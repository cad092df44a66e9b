"""Recipes of file systems and signatures: what each tool is told, and where the result is put."""

from pathlib import Path
from typing import NamedTuple

from preflight.units import GiB, KiB, MiB
from tests.differential.placing import place
from tests.tools import run, sparse

UUID = "deadbeef-0123-4567-89ab-cdef01234567"
_LAYOUTS = (
    # Kind of table, sector that the partition begins at, its number.
    ("gpt", 2048, 1),
    ("dos", 63, 1),
    ("gpt", 34, 128),
    ("dos", 4099, 5),
)


class Recipe(NamedTuple):
    """One file system."""

    id: str
    type: str
    """As blkid names it."""
    call: tuple[str, ...]
    """A tool with its arguments; the file comes last, or where `FILE` stands. `TREE` is a folder with a file in it."""
    size: int
    """Of the file; 0 where the tool makes it."""
    stdin: str = ""
    problems: tuple[str, ...] = ()


def make(recipe: Recipe, folder: Path, layout: str) -> Path:
    """A raw disk with the file system of this recipe, over all of it or in a partition."""
    contents, tree = folder / "contents.raw", folder / "tree"
    if "TREE" in recipe.call:
        tree.mkdir()
        (tree / "file").write_bytes(b"contents\n" * 9999)  # blkid does not look into less than 1 KiB
    if recipe.size:
        sparse(contents, recipe.size)
    words = [{"FILE": str(contents), "TREE": str(tree)}.get(word, word) for word in recipe.call]
    command = [*words, *([] if "FILE" in recipe.call else [str(contents)])]
    run(*command, stdin=recipe.stdin, env={"LC_ALL": "C.UTF-8"})  # by which mkfs.exfat reads a label
    if layout == "disk":
        return contents
    index, disk = RECIPES.index(recipe), folder / "disk.raw"
    # With an MBR, the size of the sectors is known by what lies there, and these begin with 32 KiB of nothing.
    kind = "g" if recipe.type in ("iso9660", "udf") else "go"[index % 2]
    return _with_4096(disk, contents, kind) if layout == "4096" else _with_512(disk, contents, index)


def _with_4096(disk: Path, contents: Path, key: str) -> Path:
    """A disk with sectors of 4096 bytes; `key` is what fdisk calls the kind of the table."""
    sectors = -(-contents.stat().st_size // 4096)
    sparse(disk, (300 + sectors) * 4096)
    primary = "" if key == "g" else "p\n"
    run("fdisk", "-b", "4096", disk, stdin=f"{key}\nn\n{primary}1\n256\n{255 + sectors}\nw\n")
    place(disk, 256 * 4096, contents)
    return disk


def _with_512(disk: Path, contents: Path, index: int) -> Path:
    """A disk with sectors of 512 bytes and the layout that is next."""
    label, start, number = _LAYOUTS[index % len(_LAYOUTS)]
    sectors = -(-contents.stat().st_size // 512)
    sparse(disk, (start + sectors) * 512 + MiB)
    script = f"label: {label}\n" + ("first-lba: 34\n" if label == "gpt" else "")
    if number == 5:
        script += f"start=2048, size={start - 2048 + sectors}, type=f\n"
    run("sfdisk", "--no-tell-kernel", disk, stdin=script + f"disk{number}: start={start}, size={sectors}\n")
    place(disk, start * 512, contents)
    return disk


def _ext(id: str, kind: str, *options: str, size: int = 16 * MiB, label: str = "root") -> Recipe:
    return Recipe(f"{kind}-{id}", kind, ("mke2fs", "-q", "-F", "-t", kind, "-L", label, *options), size)


def _xfs(id: str, *options: str, label: str = "data") -> Recipe:
    return Recipe(f"xfs-{id}", "xfs", ("mkfs.xfs", "-q", "-L", label, *options), 320 * MiB)


def _btrfs(id: str, *options: str, label: str = "data") -> Recipe:
    return Recipe(f"btrfs-{id}", "btrfs", ("mkfs.btrfs", "-q", "-L", label, *options), 256 * MiB)


def _vfat(id: str, size: int, *options: str) -> Recipe:
    return Recipe(f"vfat-{id}", "vfat", ("mkfs.vfat", *options), size)


def _exfat(id: str, *options: str) -> Recipe:
    return Recipe(f"exfat-{id}", "exfat", ("mkfs.exfat", *options), 32 * MiB)


def _ntfs(id: str, *options: str) -> Recipe:
    return Recipe(f"ntfs-{id}", "ntfs", ("mkntfs", "-q", "-Q", "-F", *options), 32 * MiB)


def _swap(id: str, *options: str) -> Recipe:
    return Recipe(f"swap-{id}", "swap", ("mkswap", *options), 4 * MiB)


def _luks(id: str, *options: str) -> Recipe:
    fast = ("--batch-mode", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", "-")
    return Recipe(f"luks-{id}", "crypto_LUKS", ("cryptsetup", "luksFormat", *fast, *options), 32 * MiB, "key")


def _f2fs(id: str, *options: str) -> Recipe:
    return Recipe(f"f2fs-{id}", "f2fs", ("mkfs.f2fs", "-q", "-f", *options), 128 * MiB)


def _squashfs(id: str, *options: str) -> Recipe:
    call = ("mksquashfs", "TREE", "FILE", "-noappend", "-no-progress", "-quiet", *options)
    return Recipe(f"squashfs-{id}", "squashfs", call, 0)


def _iso(id: str, *call: str) -> Recipe:
    return Recipe(f"iso9660-{id}", "iso9660", (*call, "TREE"), 0)


RECIPES = (
    _ext("plain", "ext2"),
    _ext("1k-blocks", "ext2", "-b", "1024", label="Größe"),
    _ext("old", "ext2", "-r", "0"),
    _ext("plain", "ext3"),
    _ext("4k-blocks", "ext3", "-b", "4096", "-U", UUID),
    _ext("plain", "ext4"),
    _ext("1k-blocks", "ext4", "-b", "1024"),
    _ext("2k-blocks", "ext4", "-b", "2048", "-m", "0", label="sixteen-bytes-xx"),
    _ext("no-journal", "ext4", "-O", "^has_journal"),
    _ext("bigalloc", "ext4", "-O", "bigalloc", "-C", "16384"),
    _ext("checksums", "ext4", "-O", "metadata_csum,metadata_csum_seed,64bit", "-U", UUID),
    _ext("32-bit", "ext4", "-O", "^64bit,^metadata_csum,^flex_bg"),
    _ext("inline", "ext4", "-O", "inline_data,ea_inode,large_dir"),
    _ext("sparse-2", "ext4", "-O", "sparse_super2"),
    _ext("no-uuid", "ext4", "-U", "clear", label=""),
    _ext("meta-bg", "ext4", "-O", "meta_bg,^resize_inode", label="日本"),
    _ext("casefold", "ext4", "-O", "casefold,quota,project,encrypt,verity"),
    _ext("mmp", "ext4", "-O", "mmp", size=64 * MiB),
    _ext("20-gib", "ext4", size=20 * GiB),
    Recipe("jbd", "jbd", ("mke2fs", "-q", "-F", "-O", "journal_dev", "-b", "4096", "-L", "log"), 16 * MiB),
    _xfs("plain"),
    _xfs("v4", "-m", "crc=0,finobt=0"),
    _xfs("1k-blocks", "-b", "size=1024", label="höhle"),
    _xfs("4k-sectors", "-s", "size=4096", "-m", f"uuid={UUID}"),
    _xfs("all", "-m", "rmapbt=1,reflink=1,bigtime=1,inobtcount=1", label="twelve-bytes"),
    _btrfs("plain"),
    _btrfs("mixed", "--mixed", label="größer"),
    _btrfs("dup", "-d", "dup", "-m", "dup", "-U", UUID),
    _btrfs("xxhash", "--csum", "xxhash", "-n", "4096"),
    _btrfs("unnamed", label=""),
    _vfat("12", 2 * MiB, "-F", "12", "-n", "FLOPPY", "-i", "00000001"),
    _vfat("12-floppy", 1440 * KiB),
    _vfat("16", 16 * MiB, "-F", "16", "-n", "EFI SYS"),
    _vfat("16-no-label", 16 * MiB, "-F", "16"),
    _vfat("16-4096", 64 * MiB, "-F", "16", "-S", "4096"),
    _vfat("32", 64 * MiB, "-F", "32", "-n", "ESP", "-i", "cafe0123"),
    _vfat("32-small", 34 * MiB, "-F", "32", "-s", "1"),
    _vfat("32-4096", 300 * MiB, "-F", "32", "-S", "4096", "-n", "BIG SECTORS"),
    _vfat("32-one-fat", 64 * MiB, "-F", "32", "-f", "1", "-a"),
    _exfat("plain"),
    _exfat("named", "-L", "Größe"),
    _exfat("clusters", "-c", "128K", "-L", "elevenchars"),
    _ntfs("plain", "-L", "Windows"),
    _ntfs("no-label"),
    _ntfs("utf-8", "-L", "Größe 日本"),
    _ntfs("clusters-512", "-c", "512"),
    _ntfs("clusters-64k", "-c", "65536", "-L", "x" * 32),
    _ntfs("sectors-4096", "-s", "4096", "-c", "4096"),
    _swap("plain"),
    _swap("named", "-L", "größter", "-U", UUID),
    *(_swap(f"pages-{size}k", "-p", str(size * KiB)) for size in (8, 16, 32, 64)),
    _luks("1", "--type", "luks1", "--uuid", UUID),
    _luks("1-cbc", "--type", "luks1", "--cipher", "aes-cbc-essiv:sha256", "--hash", "sha512", "--key-size", "256"),
    _luks("2", "--type", "luks2", "--label", "secret", "--subsystem", "test"),
    _luks("2-utf-8", "--type", "luks2", "--label", "Geheimnis–ß"),
    _luks("2-4096", "--type", "luks2", "--sector-size", "4096"),
    _f2fs("plain"),
    _f2fs("named", "-l", "Größe"),
    _f2fs("features", "-O", "extra_attr,inode_checksum,sb_checksum,encrypt", "-l", "flash"),
    _squashfs("gzip"),
    _squashfs("xz", "-comp", "xz"),
    _squashfs("zstd", "-comp", "zstd", "-b", "1M"),
    _iso("xorriso", "xorriso", "-as", "mkisofs", "-quiet", "-V", "DISC", "-o", "FILE"),
    _iso("joliet", "xorriso", "-as", "mkisofs", "-quiet", "-J", "-R", "-V", "Disc Größe", "-o", "FILE"),
    _iso("genisoimage", "genisoimage", "-quiet", "-V", "CIDATA", "-J", "-r", "-o", "FILE"),
    Recipe("udf", "udf", ("mkudffs", "-l", "Größe"), 16 * MiB),
    Recipe("udf-2048", "udf", ("mkudffs", "-b", "2048", "-l", "DISC"), 16 * MiB),
    Recipe("jfs", "jfs", ("mkfs.jfs", "-q", "-L", "journal"), 32 * MiB),
    Recipe("reiserfs", "reiserfs", ("mkfs.reiserfs", "-q", "-ff", "-l", "tree"), 64 * MiB),
    Recipe("nilfs2", "nilfs2", ("mkfs.nilfs2", "-q", "-L", "log"), 256 * MiB),
    Recipe("ocfs2", "ocfs2", ("mkfs.ocfs2", "-q", "-x", "-M", "local", "-F", "-L", "cluster"), 256 * MiB),
    Recipe("gfs2", "gfs2", ("mkfs.gfs2", "-q", "-O", "-p", "lock_nolock", "-t", "a:b"), 256 * MiB),
    Recipe("erofs", "erofs", ("mkfs.erofs", "-Enoinline_data", "FILE", "TREE"), 0),
    Recipe("hfs", "hfs", ("hformat", "-l", "Macintosh"), 16 * MiB),
    Recipe("romfs", "romfs", ("genromfs", "-V", "rom", "-d", "TREE", "-f", "FILE"), 0),
    Recipe("minix-1", "minix", ("mkfs.minix", "-1"), 4 * MiB),
    Recipe("minix-3", "minix", ("mkfs.minix", "-3"), 4 * MiB),
)
