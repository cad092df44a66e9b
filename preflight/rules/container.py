"""Rules on the container: the format of the file, its integrity, and what else it depends on."""

import os
import shlex
from collections.abc import Iterator

from preflight.facts import Image
from preflight.rules import breaches, clean_copy, converted, place, quoted, rule, with_code
from preflight.units import SECTOR, human_size
from preflight.verdicts import Breach, Declared, Limits

_ARCHIVES = {"zip": "unzip", "tar": "tar -xf", "7z": "7z x"}
_COMPRESSED = {"gzip": ".gz", "xz": ".xz", "zstd": ".zst", "bzip2": ".bz2"}  # each the name of its tool, and its ending
_NOT_DISKS = ("empty", "text", "lfs-pointer", "iso9660", *_ARCHIVES, *_COMPRESSED)
_FETCH_AGAIN = "Fetch or build the image again: what is missing cannot be restored from this file."


@rule
def format_not_importable(image: Image, limits: Limits, declared: Declared) -> Iterator[Breach]:
    """The disk image is in a format that the cloud does not import.

    What: the content is a disk image, such as VHDX, VMDK or VDI, of a format that is not among the API's.
    Why: ImportImage detects the format itself and refuses the object, whatever Format says.
    Remedy: convert it with qemu-img, to qcow2 for the smallest upload.
    Source: ImportImage, DiskDeviceMapping.n.Format.
    """
    if image.format in limits.formats or image.format in _NOT_DISKS:
        return
    accepted = ", ".join(limits.formats.values())
    if image.format == "ewf":
        target = quoted(f"{image.path}.exported")
        remedy = f"Export the evidence file, run: ewfexport -u -f raw -t {target} {quoted(image.path)}"
    elif image.format == "luks":
        remedy = "Image the decrypted disk: an instance has nobody who types the passphrase of its whole disk."
    else:
        remedy = f"Convert it, run: {converted(image)}"
    yield Breach(f"the image is {image.format}, accepted are {accepted}", "format", remedy)


@rule
def compressed_container(image: Image, limits: Limits, declared: Declared) -> Iterator[Breach]:
    """The image is packed in a compressed file or an archive.

    What: the content is gzip, xz, zstd, bzip2, zip, 7z or tar (an OVA is a tar).
    Why: the cloud does not unpack what it imports; it would take the packed bytes for a raw disk, or refuse them.
    Remedy: unpack it and check what comes out.
    Source: ImportImage, DiskDeviceMapping.n.Format.
    """
    if image.format in _ARCHIVES or image.format in _COMPRESSED or any(with_code(image, "compressed-file")):
        kind = "an OVA, which is a tar archive" if image.format_details.get("ova") else f"a {image.format} file"
        yield Breach(
            f"the image is packed in {kind}, and is not unpacked by the import",
            "format",
            f"Unpack it and check what comes out{_unpacking(image)}",
        )


def _unpacking(image: Image) -> str:
    path = quoted(image.path)
    if image.format in _ARCHIVES:
        return f", run: {_ARCHIVES[image.format]} {path}"
    if image.format not in _COMPRESSED:
        return "."
    if image.path.endswith(_COMPRESSED[image.format]):
        return f", run: {image.format} -dk {path}"
    return f", run: {image.format} -dc {path} > {quoted(f'{image.path}.unpacked')}"  # they refuse other endings


@rule
def git_lfs_pointer(image: Image, limits: Limits, declared: Declared) -> Iterator[Breach]:
    """The file is a Git LFS pointer, not the image.

    What: a text of some hundred bytes that stands for the image, which Git LFS keeps elsewhere.
    Why: the import would get the text instead of the disk.
    Remedy: let Git LFS fetch the content.
    Source: Git LFS specification, "The Pointer".
    """
    if image.format == "lfs-pointer":
        size = image.format_details.get("size")
        stands_for = f" for {human_size(size)}" if isinstance(size, int) else ""
        yield Breach(
            f"the file is a Git LFS pointer{stands_for}, the image itself is not here",
            "format",
            f"Fetch the content, run: git lfs pull --include={shlex.quote(os.path.basename(image.path))}",
        )


@rule
def empty_file(image: Image, limits: Limits, declared: Declared) -> Iterator[Breach]:
    """The file is empty, or nearly so.

    What: the file has 0 bytes, or the container describes a disk of less than one sector.
    Why: an object of size zero is refused, and a disk of size zero cannot hold anything.
    Remedy: build the image again.
    Source: ImportImage error code InvalidOSSObject.Size.
    """
    if image.format == "empty":
        yield Breach("the file has 0 bytes", "file", "Build or fetch the image again.")
    elif image.virtual_size == 0 and image.format in limits.formats:
        yield Breach("the disk has a virtual size of 0 bytes", "virtual size", "Build or fetch the image again.")
    elif image.format in limits.formats and image.virtual_size is not None and image.virtual_size < SECTOR:
        size = human_size(image.virtual_size)
        yield Breach(f"the disk has {size}, a sector has {SECTOR}", "virtual size", "Build or fetch the image again.")


@rule
def not_a_disk_image(image: Image, limits: Limits, declared: Declared) -> Iterator[Breach]:
    """The file is no disk image of any kind.

    What: the file is a text, or an optical disc.
    Why: without a recognised format the cloud imports the bytes as a raw disk, from which nothing boots. ISO files
    are refused.
    Remedy: name the image, not a file beside it; install an ISO into an image first.
    Source: ImportImage, DiskDeviceMapping.n.Format; image check item GUESTOS.SystemImage.
    """
    if image.format == "text" or any(with_code(image, "text-file")):
        yield Breach("the file is a text", "format", "Name the image file itself.")
    elif image.format == "iso9660":
        yield Breach(
            "the image is an optical disc (ISO 9660), which is not importable",
            "format",
            "Install from the disc into a raw or qcow2 image, and import that.",
        )


@rule
def conflicting_formats(image: Image, limits: Limits, declared: Declared) -> Iterator[Breach]:
    """The file shows the signatures of more than one format.

    What: two formats claim the file, or a container's first sector is a boot sector too.
    Why: what the import sees depends on who looks; a file made so can show another disk to the cloud than to you.
    Remedy: convert the image into a fresh file of one format.
    Source: CVE-2008-2004, CVE-2010-3851, CVE-2024-32498 are of this kind.
    """
    yield from breaches(
        image, "Find out which format is meant, and convert it into a fresh file with qemu-img convert -f FORMAT.",
        "conflicting-formats",
    )  # fmt: skip


@rule
def truncated_image(image: Image, limits: Limits, declared: Declared) -> Iterator[Breach]:
    """The file ends before the data that it promises.

    What: the container refers to bytes past the end of the file.
    Why: it is the trace of a broken download or a full disk; the import fails, or the guest's files are damaged.
    Remedy: fetch the image again and compare its checksum.
    Source: the specification of the format.
    """
    yield from breaches(image, _FETCH_AGAIN, "truncated-file", "vhd-footer-missing")


@rule
def damaged_container(image: Image, limits: Limits, declared: Declared) -> Iterator[Breach]:
    """The container's header or tables break its specification.

    What: a field has a value that is not allowed, or a table points outside the file or onto itself.
    Why: the import refuses the image, or reads other bytes than the guest wrote.
    Remedy: qemu-img check tells more of a qcow2 image; otherwise build the image again.
    Source: the specification of the format, and the limits that QEMU holds.
    """
    remedy = "Build or fetch the image again."
    if image.format == "qcow2":
        remedy = f"Build or fetch the image again; for more, run: qemu-img check -f qcow2 {quoted(image.path)}"
    yield from breaches(
        image, remedy, "qcow2-header-invalid", "qcow2-header-extension-invalid", "qcow2-table-invalid",
        "qcow2-mapping-invalid", "vhd-header-checksum", "vhd-header-invalid", "vhd-bat-invalid",
        "container-header-invalid",
    )  # fmt: skip


@rule
def unknown_feature(image: Image, limits: Limits, declared: Declared) -> Iterator[Breach]:
    """A qcow2 image needs a feature that no released QEMU knows.

    What: an incompatible feature bit is set that the specification does not define, or a compression type.
    Why: by specification a reader must refuse such an image.
    Remedy: write the image with a released qemu-img.
    Source: qcow2 specification, incompatible_features.
    """
    yield from breaches(image, "Write the image with a released qemu-img.", "qcow2-unknown-feature")


@rule
def backing_file(image: Image, limits: Limits, declared: Declared) -> Iterator[Breach]:
    """A qcow2 image is only the difference to a backing file.

    What: the header names another file, where all the clusters are that this image does not have.
    Why: only this file is uploaded. What the name points to on another machine is that machine's secret.
    Remedy: where you trust the file that is named, write both into one image.
    Source: qcow2 specification, backing_file_offset; CVE-2015-5163, CVE-2024-40767.
    """
    yield from breaches(
        image, f"If you trust the file that it names, merge both, run: {converted(image)}", "qcow2-backing-file"
    )


@rule
def external_data_file(image: Image, limits: Limits, declared: Declared) -> Iterator[Breach]:
    """A qcow2 image keeps the guest's data in another file.

    What: the incompatible feature "external data file" is set.
    Why: only this file is uploaded, and it has no data.
    Remedy: where you trust the file that is named, write both into one image.
    Source: qcow2 specification, incompatible_features bit 2; CVE-2024-32498.
    """
    yield from breaches(
        image, f"If you trust the file that it names, merge both, run: {converted(image)}", "qcow2-data-file"
    )


@rule
def encrypted_image(image: Image, limits: Limits, declared: Declared) -> Iterator[Breach]:
    """The container encrypts the guest's data.

    What: a qcow2 image with AES or LUKS encryption.
    Why: the cloud has no key, and no parameter of ImportImage passes one.
    Remedy: decrypt it into a plain image.
    Source: qcow2 specification, crypt_method.
    """
    yield from breaches(
        image,
        "Decrypt it into a plain image: qemu-img convert with --object secret and "
        "--image-opts encrypt.key-secret (see qemu-img(1)).",
        "qcow2-encrypted",
    )


@rule
def corrupt_bit(image: Image, limits: Limits, declared: Declared) -> Iterator[Breach]:
    """A qcow2 image is marked corrupt.

    What: the incompatible feature bit "corrupt" is set.
    Why: QEMU set it when it found the image's own tables wrong; readers open such an image read-only, or not at all.
    Remedy: let qemu-img repair a copy, and see what is lost.
    Source: qcow2 specification, incompatible_features bit 1.
    """
    copy = quoted(clean_copy(image))
    remedy = (
        f"Repair a copy and test it, run: cp --sparse=always {quoted(image.path)} {copy} && "
        f"qemu-img check -f qcow2 -r all {copy}"
    )
    yield from breaches(image, remedy, "qcow2-corrupt")


@rule
def dirty_bit(image: Image, limits: Limits, declared: Declared) -> Iterator[Breach]:
    """The image was not closed cleanly.

    What: the incompatible feature bit "dirty" of a qcow2 image is set: reference counts may be stale. Or what VHDX,
    VMDK, QED or Parallels have for it: a log that is not empty, or a flag.
    Why: the machine may have been running, or was killed; its file systems may be inconsistent too.
    Remedy: shut the machine down, then let qemu-img repair what is left open.
    Source: qcow2 specification, incompatible_features bit 0; [MS-VHDX], LogGuid.
    """
    repair = f"qemu-img check -f {image.format} -r all {quoted(image.path)}"
    if image.format == "vmdk":  # which qemu-img does not repair
        repair = f"vmware-vdiskmanager -R {quoted(image.path)}"
    yield from breaches(image, f"Shut the machine down, then run: {repair}", "qcow2-dirty", "container-not-closed")


@rule
def internal_snapshots(image: Image, limits: Limits, declared: Declared) -> Iterator[Breach]:
    """A qcow2 image holds internal snapshots.

    What: the snapshot table has entries.
    Why: they are uploaded with the image and are of no use there; whether the import accepts them is not documented.
    Remedy: copy the current state into a fresh image.
    Source: qcow2 specification, nb_snapshots.
    """
    remedy = f"Copy the current state into a fresh image, run: {converted(image)}"
    yield from breaches(image, remedy, "qcow2-snapshots")


@rule
def differencing_vhd(image: Image, limits: Limits, declared: Declared) -> Iterator[Breach]:
    """A VHD is only the difference to a parent.

    What: disk_type is 4, differencing.
    Why: only this file is uploaded, and what it does not have is in the parent.
    Remedy: merge it into the parent in Hyper-V, or with Merge-VHD.
    Source: Virtual Hard Disk Image Format Specification, "Differencing Hard Disk Image".
    """
    yield from breaches(
        image, "Merge it with its parent where it was made (Hyper-V: Merge-VHD), and import the result.",
        "vhd-differencing",
    )  # fmt: skip


@rule
def damaged_vhd_footer(image: Image, limits: Limits, declared: Declared) -> Iterator[Breach]:
    """The footer of a VHD is damaged.

    What: a field has a value that is not allowed, or the copy at the start of the file says something else.
    Why: the footer tells the size and the kind of the disk; readers that distrust it refuse the image.
    Remedy: build the image again; where only the copy differs, convert it, if the size is the one that you expect.
    Source: Virtual Hard Disk Image Format Specification, "Hard Disk Footer Format".
    """
    yield from breaches(image, "Build or fetch the image again.", "vhd-footer-invalid")
    yield from breaches(image, _reconvert(image), "vhd-footer-copies-differ")


@rule
def vhd_footer_checksum(image: Image, limits: Limits, declared: Declared) -> Iterator[Breach]:
    """The checksum of a VHD's footer is wrong.

    What: the ones' complement of the sum of the footer's bytes is not what its checksum field says.
    Why: a byte of the footer changed, or the tool that wrote it is careless; readers that check refuse the image.
    Remedy: convert the image; where only the copy at the start is wrong, which qemu-img reads, restore it first.
    Source: Virtual Hard Disk Image Format Specification, "Checksum".
    """
    wrong = {problem.where for problem in with_code(image, "vhd-footer-checksum")}
    remedy = "Build or fetch the image again."
    if image.subformat == "fixed" or wrong == {"vhd footer"}:
        remedy = _reconvert(image)
    elif wrong == {"vhd footer copy"}:
        path, copy = quoted(image.path), quoted(f"{image.path}.repaired.vhd")
        remedy = (
            f"Restore it in a copy from the footer at the end, run: cp --sparse=always {path} {copy} && "
            f"tail -c 512 {path} | dd of={copy} conv=notrunc status=none"
        )
    yield from breaches(image, remedy, "vhd-footer-checksum")


def _reconvert(image: Image) -> str:
    return (
        f"If {human_size(image.virtual_size or 0)} is the size that you expect, write it anew, run: {converted(image)}"
    )


@rule
def short_vhd_footer(image: Image, limits: Limits, declared: Declared) -> Iterator[Breach]:
    """A VHD has the short footer of Virtual PC before 2004.

    What: the footer has 511 bytes in place of 512.
    Why: the specification asks readers to accept it; not all do.
    Remedy: convert the image.
    Source: Virtual Hard Disk Image Format Specification, "Hard Disk Footer Format".
    """
    yield from breaches(image, f"Write it anew, run: {converted(image)}", "vhd-footer-511")


@rule
def ambiguous_vhd_size(image: Image, limits: Limits, declared: Declared) -> Iterator[Breach]:
    """A VHD states two sizes that differ.

    What: current_size is not what disk_geometry (cylinders × heads × sectors) gives.
    Why: Virtual PC and older QEMU go by the geometry, Hyper-V and newer QEMU by current_size. Who goes by the smaller
    one cuts off the end of the disk, with the backup GPT and perhaps the end of a file system.
    Remedy: convert the image to qcow2, which states one size.
    Source: QEMU block/vpc.c; azure-linux-image-tools issue 364.
    """
    yield from breaches(image, f"Write it in a format with one size, run: {converted(image)}", "vhd-sizes-differ")


@rule
def vhd_table_size_mismatch(image: Image, limits: Limits, declared: Declared) -> Iterator[Breach]:
    """The block table of a dynamic VHD does not fit the size of its disk.

    What: max_table_entries × block_size differs from the virtual size by a block or more.
    Why: the import refuses it: "The specified size of the VHD image does not meet the 'header.MaxTableEntries *
    header.BlockSize' specification."
    Remedy: let qemu-img write the table anew; a table that is too small has no room for the end of the disk, and the
    image must be built again.
    Source: ImportImage error code InvalidVHDImage.IncorrectSize.
    """
    entries, block_size = image.format_details.get("max_table_entries"), image.format_details.get("block_size")
    remedy = f"Write it anew, run: {converted(image)}"
    if isinstance(entries, int) and isinstance(block_size, int) and entries * block_size < (image.virtual_size or 0):
        remedy = "Build or fetch the image again: its table has no room for the end of the disk."
    yield from breaches(image, remedy, "vhd-table-size-mismatch")


@rule
def unusual_vhd_block_size(image: Image, limits: Limits, declared: Declared) -> Iterator[Breach]:
    """The block size of a dynamic VHD is not the usual one.

    What: block_size differs from 2 MiB, which all common tools write.
    Why: ImportImage has an error InvalidBlockSize.NotSupport, and no list of what it supports.
    Remedy: let qemu-img write the image with the usual block size.
    Source: ImportImage error code InvalidBlockSize.NotSupport.
    """
    block_size = image.format_details.get("block_size")
    if image.format == "vhd" and isinstance(block_size, int) and block_size != limits.vhd_block_size:
        yield Breach(
            f"block_size is {human_size(block_size)}, known to import is {human_size(limits.vhd_block_size)}",
            "dynamic disk header",
            f"Write it anew, run: {converted(image)}",
        )


@rule
def misleading_extension(image: Image, limits: Limits, declared: Declared) -> Iterator[Breach]:
    """The ending of the file's name says another format than the content.

    What: for example a qcow2 image that is called .vhd.
    Why: the cloud goes by the content, and people and scripts by the name; Format is often filled in from it.
    Remedy: rename the file.
    Source: ImportImage, DiskDeviceMapping.n.Format; error code UnsupportedSuffix.OSSObject.
    """
    if image.extension_matches is False:
        ending = os.path.splitext(image.path)[1]
        yield Breach(
            f"the name ends in {ending}, the content is {image.format}",
            "file name",
            "Rename the file so that it says what it is.",
        )


@rule
def unreadable_file(image: Image, limits: Limits, declared: Declared) -> Iterator[Breach]:
    """The file changed or could not be read to the end while it was inspected.

    What: someone wrote to the file, or the host's disk reported an error, or the image asked for more reads than an
    honest one needs.
    Why: the facts of this report are those of no file in particular.
    Remedy: wait until it is written, then check again.
    Source: none; this is how the facts were found.
    """
    yield from breaches(
        image, "Stop what writes to the file, make sure that it can be read, and check again.",
        "changed-while-read", "read-error", "budget-exhausted",
    )  # fmt: skip


@rule
def second_opinion_differs(image: Image, limits: Limits, declared: Declared) -> Iterator[Breach]:
    """qemu-img sees another disk in this file.

    What: with --second-opinion, qemu-img gave another format or size, refused the image, or found errors in it.
    Why: the cloud's importer is likely to be built on the same code.
    Remedy: convert the image into a fresh one, and check both.
    Source: qemu-img(1).
    """
    for problem in with_code(image, "second-opinion-differs", "second-opinion-refused"):
        yield Breach(problem.message, place(problem), "Convert the image into a fresh one, and check that.")
