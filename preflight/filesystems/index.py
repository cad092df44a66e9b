"""Which module knows what lies on a place: one table of all magics, so that only that module is imported.

There are some seventy kinds of superblocks and signatures, and to import the modules of all would take as long as the
rest of the command. What is not in this table is not found; `tests/filesystems/test_index.py` holds it against the
modules.
"""

from functools import cache
from typing import NamedTuple

from preflight.errors import StructureError
from preflight.source import BlockSource
from preflight.units import SECTOR, KiB, MiB

BLANK = bytes(4 * KiB)


class Place(NamedTuple):
    """Where magics of one length may stand, and the modules that each of them names."""

    offset: int
    """Byte from the start; negative from the end, and then rounded down to `alignment`."""
    magics: dict[bytes, str]
    """Names of modules of this package, separated by spaces."""
    alignment: int = 1
    skip: int = 0
    """Bytes behind the aligned place."""
    if_blank: bool = False
    """Looked at only where the first 4 KiB are zero: a place that nothing else lies on, worth a read of its own."""
    whole_disk: bool = False
    """Not looked at in partitions and volumes: what stands there is made by disk controllers."""


_SWAP = dict.fromkeys((b"SWAP-SPACE", b"SWAPSPACE2", b"LINHIB0001"), "swap")
_SUSPENDED = dict.fromkeys((b"S1SUSPEND", b"S2SUSPEND", b"ULSUSPEND"), "swap")
_PAGE_SIZES = (4 * KiB, 8 * KiB, 16 * KiB, 32 * KiB, 64 * KiB)
_MINIX = {
    magic.to_bytes(2, order): "minix" for magic in (0x137F, 0x138F, 0x2468, 0x2478) for order in ("little", "big")
}
_SYSV = {b"\x20\x7e\x18\xfd": "sysv", b"\xfd\x18\x7e\x20": "sysv"}
_UFS = {
    magic.to_bytes(4, order): "ufs"
    for magic in (0x19540119, 0x00011954, 0x00195612, 0x00095014, 0x00612195, 0x05231994)
    for order in ("little", "big")
}
_LVM2 = {b"LVM2 001": "lvm2_member"}
_STRATIS = {b"!Stra0tis\x86\xff\x02^Arh": "block_layers"}
_SECONDARY_LUKS = {b"SKUL\xba\xbe": "crypto_luks"}
_MD = {b"\xfc\x4e\x2b\xa9": "linux_raid", b"\xa9\x2b\x4e\xfc": "linux_raid"}
_NVLIST = {bytes([0, 0, 0, 0, 0, 0, 0, 1]): "zfs"}  # version and flag of the list, behind its four-byte header
_DDF = {b"\xde\x11\xde\x11": "hardware_raid", b"\x11\xde\x11\xde": "hardware_raid"}
_PROMISE = {b"Promise Technology, Inc.": "promise_raid"}
_PROMISE_DISTANCES = (16, 63, 255, 256, 399, 591, 675, 735, 911, 951, 974, 991, 3087)  # sectors

PLACES = (
    Place(0, {b"XFSB": "xfs", b"hsqs": "squashfs", b"sqsh": "squashfs", b"\x45\x3d\xcd\x28": "readonly"}),
    Place(0, {b"\x28\xcd\x3d\x45": "readonly", b"\x31\x18\x10\x06": "others", b"SFOZ": "others", b"EXFS": "others"}),
    Place(0, {b"SnAp": "block_caches", b"UBI#": "block_layers", b"\xce\xfa\xad\x1b": "sysv"}),
    Place(0, {b"HM": "lvm2_member"}),
    Place(0, {**_MD, b"\xfe\xed\xba\xbe": "xfs_log"}),
    Place(0, {b"LUKS\xba\xbe": "crypto_luks"}),
    Place(0, {b"verity\0\0": "block_layers", b"integrt\0": "block_layers", b"dmvdo001": "block_caches"}),
    Place(0, {b"DRBDdlh*": "block_caches", b"mpoolDev": "others", b"-rom1fs-": "readonly"}),
    Place(0, {b"\0\0\0ReFS\0": "ntfs", b"\xed\xc3\x02\xe9\x98\x56\xe5\x0c": "swap"}),
    Place(0, {b"$DRBDmgr=q": "block_caches"}),
    Place(0, {b"\xebR\x90-FVE-FS-": "bitlocker", b"\xebX\x90-FVE-FS-": "bitlocker", b"\xebX\x90MSWIN4.1": "bitlocker"}),
    Place(0, {b"bluestore block device": "block_caches"}),
    Place(3, {b"EXFAT   ": "exfat", b"NTFS    ": "ntfs"}),
    Place(8, {b"OracleCFS": "cluster"}),
    Place(32, {b"NXSB": "apfs", b"BFS1": "befs", b"1SFB": "befs"}),
    Place(32, {b"ORCLDISK": "cluster"}),
    Place(54, {b"MSDOS": "vfat"}),
    Place(54, {b"FAT12   ": "vfat", b"FAT16   ": "vfat", b"FAT     ": "vfat"}),
    Place(82, {b"MSWIN": "vfat"}),
    Place(82, {b"FAT32   ": "vfat"}),
    Place(88, {b"CS": "block_layers"}),
    Place(510, {b"\x55\xaa": "vfat"}),
    *(Place(sector * SECTOR + 24, _LVM2) for sector in range(4)),
    *(Place(sector * SECTOR + 4, _STRATIS) for sector in (1, 9)),
    Place(544, {b"BFS1": "befs", b"1SFB": "befs"}),
    *(Place(offset + 504, _SYSV) for offset in (512, 9728, 15872, 18944)),
    Place(1024, {b"BD": "hfs hfsplus", b"H+": "hfsplus", b"HX": "hfsplus"}),
    Place(1024, {b"\x10\x20\xf5\xf2": "f2fs", b"\xf5\xfc\x01\xa5": "others", b"\xe2\xe1\xf5\xe0": "readonly"}),
    *(Place(offset, {b"OCFSV2": "cluster"}) for offset in (1024, 2048, 4096, 8192)),
    Place(1030, {b"\x34\x34": "nilfs2"}),
    Place(1040, _MINIX),
    Place(1048, {b"\x5a\x4d": "minix", b"\x4d\x5a": "minix"}),
    Place(1080, {b"\x53\xef": "ext"}),
    Place(2040, {b"DU+\0": "sysv", b"\0+UD": "sysv"}),
    Place(2048, {b"DU+": "sysv", b"+UD": "sysv"}),
    Place(4096, {b"SPB5": "others", **_MD}),
    Place(4096, {b'{"': "crypto_luks"}),  # the JSON area, where the binary header before it is lost
    Place(4120, {b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81": "bcachefs block_caches"}),
    Place(4120, {b"\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef": "bcachefs"}),
    Place(4640, {b"\xf0\x16\x78\x5a": "hardware_raid", b"\xfd\x16\x78\x5a": "hardware_raid"}, whole_disk=True),
    *(Place(size - 10, magics) for size in _PAGE_SIZES for magics in (_SWAP, _SUSPENDED)),
    Place(8192, {b"\x49\xe8\x95\xf9": "hpfs", b"\xa5\x01\xfc\xf5": "others"}),
    Place(8192, {b"OracleCFS": "cluster"}),
    *(Place(offset, {b"ReIsErFs": "reiserfs"}) for offset in (8212, 8244, 65588)),
    *(Place(offset + 1372, _UFS) for offset in (0, 8 * KiB, 64 * KiB, 256 * KiB)),
    *(Place(offset, _SECONDARY_LUKS) for offset in (16 * KiB, 32 * KiB, 64 * KiB)),
    Place(16 * KiB + 4, _NVLIST),
    Place(32768, {b"JFS1": "jfs"}),
    Place(32769, {b"CD001": "iso9660 udf", b"NSR02": "udf", b"NSR03": "udf", b"BEA01": "udf"}),
    Place(32769, {b"BOOT2": "udf", b"CDW02": "udf", b"TEA01": "udf"}),
    Place(32777, {b"CDROM": "iso9660"}),
    Place(65536, {b"\x01\x16\x19\x70": "cluster"}),
    Place(65536, {b"ReIsEr4": "reiserfs"}),
    Place(65540, {b"\x8b\x42\x3c\x10": "others"}),
    Place(65588, {b"ReIsEr2Fs": "reiserfs", b"ReIsEr3Fs": "reiserfs"}),
    Place(65600, {b"_BHRfS_M": "btrfs"}),
    Place(272 * KiB + 4, _NVLIST, if_blank=True),
    Place(1 * MiB, {b"\x0d\xd0\x01\xc0": "vmfs_volume"}, if_blank=True),
    Place(2 * MiB, {b"\x5e\xf1\xab\x2f": "vmfs"}, if_blank=True),
    Place(64 * MiB + 64, {b"_BHRfS_M": "btrfs"}, if_blank=True),
    # From the end.
    Place(-64 * KiB, _MD, alignment=64 * KiB),
    Place(-8 * KiB, _MD, alignment=4 * KiB),
    Place(
        -4036,
        {b"\x83\x74\x02\x6b": "block_layers", b"\x83\x74\x02\x6c": "block_layers", b"\x83\x74\x02\x6d": "block_layers"},
    ),
    Place(-4096, {b"\x34\x34": "nilfs2"}, alignment=SECTOR, skip=6),
    Place(-SECTOR, _DDF, alignment=SECTOR),
    Place(-SECTOR, {b"$XIDE$": "hardware_raid"}, SECTOR, whole_disk=True),
    Place(-SECTOR, {b"\x55\xaa": "hardware_raid", b"JM": "hardware_raid"}, SECTOR, whole_disk=True),
    Place(-SECTOR, {b"\x37\xfc\x4d\x1e": "hardware_raid"}, SECTOR, whole_disk=True),
    Place(-SECTOR, {b"\0\0\0\x2f": "hardware_raid"}, SECTOR, skip=0x60, whole_disk=True),
    Place(-2 * SECTOR, {b"Intel Raid ISM Cfg Sig. ": "hardware_raid"}, SECTOR, whole_disk=True),
    Place(-2 * SECTOR, {b"NVIDIA": "hardware_raid"}, SECTOR, whole_disk=True),
    Place(
        -11 * SECTOR,
        {b"\xf3\x16\x78\x5a": "hardware_raid", b"\xfd\x16\x78\x5a": "hardware_raid"},
        SECTOR,
        0,
        whole_disk=True,
    ),
    Place(-257 * SECTOR, _DDF, SECTOR, whole_disk=True),
    *(Place(-distance * SECTOR, _PROMISE, SECTOR, whole_disk=True) for distance in _PROMISE_DISTANCES),
)


def recognise(source: BlockSource, *, whole_disk: bool) -> tuple[list[str], StructureError | None]:
    """The modules whose magic is on this place, each once, in the order of the table.

    Beside them the first error of reading a place that should be there: bytes out of reach may hide a superblock.
    """
    modules: dict[str, None] = {}
    failure: StructureError | None = None
    blank: bool | None = None
    try:
        head = source.read_at(0, min(len(BLANK), source.size))  # where most of the places are
    except StructureError:
        head = b""  # each of them is asked for itself
    for offset, width, magics, alignment, skip, if_blank, on_disks in _prepared():
        if on_disks and not whole_disk:
            continue
        try:
            if 0 <= offset <= len(head) - width:
                found = magics.get(head[offset : offset + width])
            else:
                if offset < 0:
                    offset = (source.size + offset) // alignment * alignment + skip
                if offset < 0 or offset + width > source.size:
                    continue
                if if_blank:
                    if blank is None:
                        blank = (head or source.read_at(0, len(BLANK))) == BLANK
                    if not blank:
                        continue
                found = magics.get(source.read_at(offset, width))
        except StructureError as error:
            failure = failure or error
            continue
        if found:
            modules.update(dict.fromkeys(found.split()))
    if _begins_with_cycles(source):
        modules["xfs_log"] = None
    return list(modules), failure


@cache
def _prepared() -> tuple[tuple[int, int, dict[bytes, str], int, int, bool, bool], ...]:
    """Offset, width, magics, alignment, skip, if_blank and whole_disk of each place; plain, as each is asked often."""
    return tuple((place.offset, len(next(iter(place.magics))), *place[1:]) for place in PLACES)


def _begins_with_cycles(source: BlockSource) -> bool:
    """Whether this may be an XFS log that has been in use.

    Each of its blocks of 512 bytes begins with the number of a cycle, 1 and up, but for the record headers; those
    have a magic, and may lie deep inside.
    """
    try:
        head = source.read_at(0, 8 * SECTOR)
    except StructureError:
        return False
    words = {head[start : start + 4] for start in range(0, len(head), SECTOR)}
    return len(words) <= 3 and bytes(4) not in words
