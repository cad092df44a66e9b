"""What is declared for each disk of a request, when several images make it up."""

from collections.abc import Sequence

import msgspec

from preflight.facts import Image
from preflight.verdicts import Declared


def of_disks(
    first: Declared,
    images: Sequence[Image],
    objects: Sequence[str],
    *,
    bucket: str,
    formats: Sequence[str | None] = (),
    sizes: Sequence[int | None] = (),
) -> list[Declared]:
    """What is declared for each disk of a request, the system disk first.

    `first` has what the request says once. `objects` goes along with `images`; `formats` and `sizes` (GiB) may be
    shorter, and then nothing is declared for the rest.
    """
    common = msgspec.structs.replace(first, mapping_count=len(images))
    return [
        msgspec.structs.replace(
            common if number == 0 else Declared(role="data"),
            image_format=formats[number] if number < len(formats) else None,
            disk_image_size=sizes[number] if number < len(sizes) else None,
            oss_bucket=bucket,
            oss_object=objects[number],
            other_objects=tuple(objects[:number]),
            other_names=names_of([*images[:number], *images[number + 1 :]]),
        )
        for number in range(len(images))
    ]


def names_of(images: Sequence[Image]) -> tuple[str, ...]:
    """What fstab may call the file systems and partitions of these disks."""
    names = [
        f"{tag}={value}"
        for image in images
        for entry in image.filesystems
        for tag, value in (("UUID", entry.uuid), ("LABEL", entry.label))
        if value
    ]
    names += [f"PARTUUID={part.uuid}" for image in images for part in image.partitions if part.uuid]
    names += [f"PARTLABEL={part.name}" for image in images for part in image.partitions if part.name]
    return tuple(names)
