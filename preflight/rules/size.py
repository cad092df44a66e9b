"""Rules on sizes: of the disk, of DiskImageSize, and of what lies on the disk."""

from collections.abc import Iterator

from preflight.facts import Image
from preflight.rules import breaches, clean_copy, converted, quoted, rule
from preflight.units import SECTOR, GiB, align_up, human_size
from preflight.verdicts import Breach, Declared, Limits, Outcome, Unsettled, disk_image_size


@rule
def virtual_size_too_large(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """The disk is larger than the cloud's largest disk of its role.

    What: the virtual size, rounded up to GiB, is above the maximum of DiskImageSize. System disks and data disks have
    limits of their own.
    Why: the size that the service detects counts, and it refuses what is out of range.
    Remedy: shrink the last partition and then the disk.
    Source: ImportImage, DiskDeviceMapping.n.DiskImageSize.
    """
    if image.virtual_size is None:
        if image.format in limits.formats:
            yield Unsettled("the virtual size could not be read")
        return
    maximum = limits.disk_gib(declared.role).maximum
    if image.virtual_size > maximum * GiB:
        yield Breach(
            f"virtual size {_exact(image.virtual_size)}, limit of a {declared.role} disk {maximum} GiB",
            "virtual size",
            f"Shrink what lies on the disk to fit {maximum} GiB, then the disk{_shrinking(image, maximum)}",
        )


def _exact(size: int) -> str:
    """A size for a person, with its bytes where the rounded number could pass for the limit."""
    return human_size(size) if size % GiB == 0 else f"{human_size(size)} ({size} bytes)"


def _shrinking(image: Image, gib: int) -> str:
    """The end of a remedy that cuts the disk to `gib` GiB; qemu-img does so for raw and qcow2 images only."""
    if image.format in ("raw", "qcow2"):
        return f", run: qemu-img resize --shrink -f {image.format} {quoted(image.path)} {gib}G"
    if image.format == "vhd":
        return f", run: {converted(image)} && qemu-img resize --shrink -f qcow2 {quoted(clean_copy(image))} {gib}G"
    return "."


@rule
def disk_image_size_out_of_range(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """The declared DiskImageSize is outside the range that the API allows.

    What: DiskImageSize in GiB is below the minimum or above the maximum for this role.
    Why: the API refuses the request.
    Remedy: leave it away, so that it is computed from the image, or give one in range.
    Source: ImportImage, DiskDeviceMapping.n.DiskImageSize.
    """
    allowed = limits.disk_gib(declared.role)
    size = declared.disk_image_size
    if size is not None and size not in allowed:
        yield Breach(
            f"DiskImageSize {size} GiB, allowed for a {declared.role} disk are {allowed.minimum} to "
            f"{allowed.maximum} GiB",
            "DiskImageSize",
            f"Declare {allowed.minimum} to {allowed.maximum}, or leave it away to have it computed.",
        )


@rule
def disk_image_size_below_virtual_size(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """The declared DiskImageSize is smaller than the disk in the image.

    What: DiskImageSize in GiB is less than the virtual size. The size of the file does not matter.
    Why: the import fails: "The specified DiskDeviceMapping.n.DiskImageSize should be not less than system device size."
    Remedy: declare at least the virtual size, rounded up.
    Source: ImportImage, error code InvalidImageSize.
    """
    if declared.disk_image_size is None:
        return
    if image.virtual_size is None:
        yield Unsettled("the virtual size could not be read")
    elif declared.disk_image_size * GiB < image.virtual_size:
        needed = disk_image_size(image.virtual_size, limits.disk_gib(declared.role).minimum)
        yield Breach(
            f"DiskImageSize {declared.disk_image_size} GiB, virtual size {_exact(image.virtual_size)}",
            "DiskImageSize",
            f"Declare at least {needed}, or leave it away to have it computed.",
        )


@rule
def size_not_in_sectors(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """The size of the disk is not a whole number of 512-byte sectors.

    What: the virtual size is no multiple of 512.
    Why: disks have whole sectors; tools round such an image up or down, each in its way, and a raw file of odd length
    was often cut off.
    Remedy: find out whether the file is complete, then extend it to the next sector.
    Source: qcow2 specification, size; QEMU rounds a raw file up, and others down.
    """
    size = align_up(image.virtual_size or image.file_size, SECTOR)
    if image.format in ("raw", "qcow2"):
        command = f"qemu-img resize -f {image.format} {quoted(image.path)} {size}"
    else:
        command = f"{converted(image)} && qemu-img resize -f qcow2 {quoted(clean_copy(image))} {size}"
    remedy = f"Make sure that the file is complete, then extend it to the next sector, run: {command}"
    yield from breaches(image, remedy, "size-not-in-sectors")


@rule
def partition_past_end(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """A partition reaches past the end of the disk.

    What: the last byte of a partition lies at or after the virtual size.
    Why: the file was cut off, or the disk was shrunk without its partitions; what lies there is lost, and the system
    disk must have room for its file systems.
    Remedy: fetch the image again; where the disk was shrunk, enlarge it again and shrink the partition first.
    Source: ImportImage, DiskImageSize: the system disk must not be smaller than the file system.
    """
    yield from breaches(
        image, "Fetch the image again, or enlarge the disk again and shrink the partition first.", "partition-past-end"
    )


@rule
def filesystem_past_end(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """A file system is larger than the partition or disk that it lies on.

    What: the superblock states a size that goes past the end of its partition, volume or disk.
    Why: kernels refuse to mount it; the system disk must not be smaller than its file systems.
    Remedy: enlarge the partition again, or fetch the image again.
    Source: ImportImage, DiskImageSize: the system disk must not be smaller than the file system.
    """
    yield from breaches(
        image, "Fetch the image again, or enlarge the partition to what the file system needs.", "filesystem-past-end"
    )
