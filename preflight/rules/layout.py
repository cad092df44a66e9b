"""Rules on the layout: partition tables, partitions, and the signatures in them."""

from collections.abc import Iterator

from preflight.facts import Image
from preflight.rules import breaches, clean_copy, converted, place, quoted, rule, with_code
from preflight.units import SECTOR
from preflight.verdicts import Breach, Declared, Limits, Outcome, Unsettled

_BLANK = "The disk has nothing on it that could be recognised: name the right file, or install a system first."


@rule
def no_partition_table(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """A system disk has no partition table.

    What: neither GPT nor MBR is on the disk.
    Why: firmware finds no boot loader, and the import looks for the root file system in a partition.
    Remedy: build the system disk with a partition table; check a data disk with --role data.
    Source: image check item GUESTOS.SystemImage.
    """
    if declared.role != "system" or image.format not in limits.formats:
        return
    if image.partition_table is None:
        yield Unsettled("the partition table could not be read")
    elif image.partition_table.type == "none":
        if image.filesystems:
            found = f"the signature of {image.filesystems[0].type} lies on the bare disk"
            remedy = "Build the system disk with a partition table. A data disk is checked with --role data."
        else:
            found, remedy = "nothing is on the disk", _BLANK
        yield Breach(f"no partition table: {found}", "partition table", remedy)


@rule
def no_partitions(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """A system disk has an empty partition table.

    What: there is a GPT or MBR, and no partition in it.
    Why: there is nothing to boot from.
    Remedy: install a system first.
    Source: image check item GUESTOS.SystemImage.
    """
    table = image.partition_table
    damaged = any(with_code(image, "gpt-damaged"))
    if declared.role == "system" and table and table.type != "none" and not image.partitions and not damaged:
        yield Breach(f"the {table.type} partition table has no partition", "partition table", _BLANK)


@rule
def damaged_gpt(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """A GUID partition table is damaged.

    What: the checksum or a field of a header or of its entries is wrong, or the two copies differ.
    Why: firmware and kernels disagree on whether the other copy may be used; the import may find no partition.
    Remedy: let sgdisk write both copies anew from the good one.
    Source: UEFI specification, section 5.3, "GUID Partition Table (GPT) Disk Layout".
    """
    remedy = _by_sgdisk(image, "Write both copies anew from the good one")
    yield from breaches(image, remedy, "gpt-primary-damaged", "gpt-backup-damaged")
    for problem in with_code(image, "gpt-headers-differ"):
        remedy = _by_sgdisk(image, "If the primary is right, write the backup anew", wiped=problem.offset)
        yield Breach(problem.message, place(problem), remedy)
    yield from breaches(
        image, "Restore the table from a backup (sgdisk --load-backup), or fetch the image again.", "gpt-damaged"
    )


@rule
def misplaced_gpt_backup(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """The backup GPT is not at the end of the disk.

    What: alternate_lba is not the last block; the disk was enlarged or cut after it was partitioned.
    Why: the space behind it cannot be used, and tools that look for the backup at the end do not find it.
    Remedy: let sgdisk move it.
    Source: UEFI specification, section 5.3.2.
    """
    yield from breaches(image, _by_sgdisk(image, "Move it to the end"), "gpt-backup-misplaced")


@rule
def irregular_protective_mbr(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """The protective MBR of a GPT disk is irregular, or a GPT was left behind by an earlier use of the disk.

    What: the 0xEE entry of sector 0 is not as the specification asks for, or sector 0 holds something else and a GPT
    lies behind it.
    Why: systems disagree on which table counts.
    Remedy: write a new protective MBR, or wipe the GPT that is not in use.
    Source: UEFI specification, section 5.2.3, "Protective MBR".
    """
    yield from breaches(
        image, "Write a new protective MBR with gdisk (expert command n).", "gpt-protective-mbr-invalid"
    )
    if not _hidden_gpt(image):
        remedy = "If the GPT is not in use, wipe it with wipefs; else write a protective MBR with gdisk."
        yield from breaches(image, remedy, "gpt-protective-mbr-missing")


@rule
def missing_protective_mbr(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """The protective MBR of a GPT disk is missing, and nothing else is in its place.

    What: there is a valid GPT header, and sector 0 has neither a 0xEE entry nor a table or file system of its own.
    Why: kernels and firmware ignore a GPT that no protective MBR announces: to them the disk is empty.
    Remedy: let sgdisk write a new protective MBR.
    Source: UEFI specification, section 5.2.3, "Protective MBR".
    """
    if _hidden_gpt(image):
        yield from breaches(image, _by_sgdisk(image, "Write a new one"), "gpt-protective-mbr-missing")


def _hidden_gpt(image: Image) -> bool:
    """Whether a GPT that is not announced is all that could say what lies on the disk."""
    table = image.partition_table
    return (table is None or table.type == "none") and not image.filesystems


@rule
def invalid_gpt_entry(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """An entry of the GPT breaks its specification.

    What: an end before the start, a place outside the usable part of the disk or on the headers, a damaged name.
    Why: kernels leave such a partition out, so what lies there is not found.
    Remedy: correct the entry with a partition editor.
    Source: UEFI specification, section 5.3.3.
    """
    yield from breaches(image, "Correct the entry with sgdisk.", "gpt-entry-invalid")


@rule
def invalid_partition_entry(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """An entry of the MBR is irregular.

    What: a start or size of 0, an odd boot flag.
    Why: kernels leave such partitions out or shift their numbers.
    Remedy: correct the entry with a partition editor.
    Source: UEFI specification, section 5.2.
    """
    yield from breaches(
        image, "Correct the entry with sfdisk.",
        "mbr-entry-invalid", "mbr-boot-flag-invalid",
    )  # fmt: skip


@rule
def broken_logical_partitions(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """The chain of logical partitions is broken.

    What: an extended boot record points outside the extended partition, back into the chain, or has no signature.
    Why: the partitions behind it cannot be found; a loop is how such a table attacks its readers.
    Remedy: write the table anew with a partition editor.
    Source: CVE-2016-5011.
    """
    yield from breaches(image, "Write the table anew with sfdisk.", "ebr-chain-invalid")


@rule
def overlapping_partitions(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """Two partitions overlap.

    What: a byte of the disk belongs to more than one partition.
    Why: what is written to one destroys the other.
    Remedy: correct the table with a partition editor.
    Source: UEFI specification, section 5.3.3.
    """
    yield from breaches(image, "Correct the table with sfdisk or sgdisk.", "partitions-overlap")


@rule
def unreadable_partition_table(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """The place of the partition table could not be read.

    What: the first sectors are in another file, encrypted, or past the end of this one.
    Why: nothing is known of what is on the disk.
    Remedy: see the finding on the container that says why.
    Source: none; this is how the facts were found.
    """
    yield from breaches(image, "See why the bytes cannot be reached.", "partition-table-unreadable")


@rule
def unreadable_contents(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """The contents of a partition could not be read.

    What: its first sectors are in another file, past the end of this one, or in a damaged cluster.
    Why: whatever is there will not be there after the import.
    Remedy: fetch or build the image again.
    Source: none; this is how the facts were found.
    """
    yield from breaches(image, "Fetch or build the image again.", "contents-unreadable")


@rule
def unrecognised_contents(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """The file passes for a raw disk only because nothing is known of its bytes.

    What: no format, no partition table and no file system was recognised, and the file is not blank.
    Why: whatever is not recognised is raw, a photo as well as a disk with a file system that nobody knows.
    Remedy: make sure that this is the right file.
    Source: image check item GUESTOS.SystemImage.
    """
    content = image.format_details.get("content")
    if image.format == "raw" and content:
        yield Breach(
            f"no partition table and no file system was recognised; libmagic takes the file for: {content}",
            "contents",
            "Make sure that this is the disk image, and not another file.",
        )


@rule
def ambiguous_filesystem(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """Two file systems claim one partition.

    What: the superblocks of two kinds are valid at once, usually the rest of an older file system.
    Why: mounting without a type, as fstab's "auto" and rescue systems do, may take the wrong one.
    Remedy: erase the signature that is not in use, with wipefs.
    Source: wipefs(8), libblkid's "ambivalent" result.
    """
    yield from breaches(image, "Erase the signature that is not in use, with wipefs -o OFFSET.", "filesystem-ambiguous")


@rule
def damaged_superblock(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """The superblock or header of what lies in a partition is damaged, or what a mount reads first after it.

    What: a checksum is wrong, or a field has a value that cannot be; in ext and XFS also in the descriptors of groups,
    the root directory's inode and the journal, in NTFS in the records of its own files, in FAT in the table and the
    chain of the root directory; or the trees and tables that lead to the topmost directory, or this
    directory itself, cannot be read.
    Why: the kernel refuses to mount it.
    Remedy: repair it with the file system's own tool, before the upload.
    Source: the specification of the file system.
    """
    yield from breaches(
        image, "Repair it with its own tool (fsck, cryptsetup repair, vgck, mdadm) before the upload.",
        "superblock-invalid", "filesystem-damaged",
        "luks-header-invalid", "md-superblock-invalid", "lvm-metadata-invalid",
    )  # fmt: skip


@rule
def irregular_superblock(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """A part of a superblock that kernels can do without is wrong.

    What: the FSInfo sector of a FAT32 file system lacks its signatures, its boot sector contradicts its copy, or it
    has too few clusters or features that UEFI firmware does not take; a FAT has fewer entries than clusters, or not
    its media type in the first; the $MFTMirr of NTFS is no copy of the first records of $MFT; an ext file system is
    marked as having errors; ext, XFS or btrfs have features with which Linux only reads them.
    Why: the kernel mounts it with a warning, or for reading only; repair tools and some firmware do not take it.
    Remedy: repair it with the file system's own tool.
    Source: Microsoft FAT specification, "FAT32 FSInfo Sector Structure", "FAT Type Determination"; Linux
    fs/fat/inode.c, fs/ext4/super.c, fs/xfs/libxfs/xfs_sb.c; EDK II FatPkg/EnhancedFatDxe/Init.c; libntfs-3g/volume.c.
    """
    yield from breaches(
        image,
        "Repair it with its own tool: fsck.vfat, chkdsk, e2fsck -f, xfs_repair or btrfs check.",
        "superblock-irregular",
    )


@rule
def incomplete_volume_group(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """A volume group needs a physical volume that is not on this disk.

    What: the LVM2 metadata names more physical volumes than were found.
    Why: logical volumes on the missing one cannot be activated.
    Remedy: move the volumes to this disk with pvmove, and remove the other with vgreduce.
    Source: lvm(8), pvmove(8), vgreduce(8).
    """
    yield from breaches(
        image, "Move the volumes to this disk (pvmove), and take the other out of the group (vgreduce).",
        "lvm-incomplete",
    )  # fmt: skip


def _by_sgdisk(image: Image, action: str, *, wiped: int | None = None) -> str:
    """A remedy by `sgdisk -e`, which edits raw disks only; other formats take the way through a raw copy.

    `wiped` is the byte of a header that sgdisk would take for good, and must not see.
    """
    if image.partition_table is not None and image.partition_table.sector_size != SECTOR:
        # On a file sgdisk counts in sectors of 512 bytes: it would not find this table, and write one of its own.
        return f"{action} with sgdisk -e on a loop device of 4096-byte sectors (losetup --sector-size 4096)."
    path = image.path if image.format == "raw" else f"{image.path}.raw"
    command = f"sgdisk -e {quoted(path)}"
    if wiped is not None:
        sector = f"bs={SECTOR} seek={wiped // SECTOR} count=1"
        command = f"dd if=/dev/zero of={quoted(path)} {sector} conv=notrunc status=none && {command}"
    if image.format == "raw":
        return f"{action}, run: {command}"
    back = f"qemu-img convert -f raw -O qcow2 {quoted(path)} {quoted(clean_copy(image))}"
    return f"{action} in a raw copy, run: {converted(image, 'raw', path)} && {command} && {back}"
