"""What is declared for each disk of a request."""

import msgspec

from preflight.declaring import of_disks
from preflight.facts import FileSystem
from preflight.verdicts import Declared
from tests import builders


def test_mapping_one_says_what_the_request_says_once() -> None:
    images = [builders.image(), builders.image(), builders.image()]
    first = Declared(region_id="cn-hangzhou", image_name="ab", tags=(("k", "v"),))
    system, data, last = of_disks(first, images, ["s", "d", "e"], bucket="b", formats=["RAW"], sizes=[20, 30])
    assert (system.role, system.region_id, system.image_name, system.tags) == (
        "system",
        "cn-hangzhou",
        "ab",
        first.tags,
    )
    assert (system.mapping_count, data.mapping_count, data.role, data.image_name) == (3, None, "data", None)
    assert [disk.oss_object for disk in (system, data, last)] == ["s", "d", "e"]
    assert [disk.oss_bucket for disk in (system, data, last)] == ["b", "b", "b"]
    assert [disk.image_format for disk in (system, data, last)] == ["RAW", None, None]
    assert [disk.disk_image_size for disk in (system, data, last)] == [20, 30, None]
    assert [disk.other_objects for disk in (system, data, last)] == [(), ("s",), ("s", "d")]


def test_each_disk_knows_the_names_on_the_others() -> None:
    def named(label: str) -> FileSystem:
        return msgspec.structs.replace(builders.filesystem("disk"), uuid=None, label=label)

    images = [builders.image(filesystems=(named(label),), partitions=()) for label in ("a", "b", "c")]
    disks = of_disks(Declared(), images, ["1", "2", "3"], bucket="b")
    assert [disk.other_names for disk in disks] == [
        ("LABEL=b", "LABEL=c"),
        ("LABEL=a", "LABEL=c"),
        ("LABEL=a", "LABEL=b"),
    ]
