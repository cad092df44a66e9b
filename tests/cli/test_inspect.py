"""`preflight inspect`."""

import json
from pathlib import Path

from preflight import decoding
from preflight.inspection import inspect
from preflight.units import GiB, MiB
from tests import sound
from tests.cli.conftest import Command
from tests.tools import run

# The keys of the contract; anything may be added beside them, so what is nested is compared by its own test.
IMAGE_KEYS = [
    *("path", "file_size", "allocated_size", "format", "subformat", "virtual_size", "virtual_size_alternatives"),
    *("format_details", "extension_matches", "partition_table", "partitions", "volumes", "filesystems", "guest"),
    "problems",
]


def test_json_has_the_shape_of_the_contract(preflight: Command, images: Path) -> None:
    told = preflight("inspect", "--format", "json", images / "system.qcow2")
    result = json.loads(told.out)
    assert (told.code, told.err) == (0, "")
    assert list(result) == ["schema", "images", "unread"]
    assert result["schema"] == "preflight/inspection/1"
    (image,) = result["images"]
    assert list(image) == IMAGE_KEYS
    assert {"type", "sector_size", "disk_id"} <= set(image["partition_table"])
    assert set(image["partitions"][0]) == {
        *("number", "start", "size", "type", "type_name", "name", "uuid", "bootable"),
    }
    assert {"on", "type", "uuid", "label", "size", "mount_point"} <= set(image["filesystems"][0])


def test_json_says_what_is_there(preflight: Command, images: Path) -> None:
    (image,) = json.loads(preflight("inspect", "--format", "json", images / "system.qcow2").out)["images"]
    assert image["path"] == str(images / "system.qcow2")
    assert (image["format"], image["subformat"], image["virtual_size"]) == ("qcow2", "v3", 256 * MiB)
    assert image["format_details"]["cluster_size"] == 65536
    assert image["partition_table"]["type"] == "gpt"
    assert [one["on"] for one in image["filesystems"]] == ["partition 2", "partition 3"]
    assert image["problems"] == []


def test_json_is_what_can_be_read_back(preflight: Command, images: Path) -> None:
    told = preflight("inspect", "--format", "json", images / "system.qcow2", images / "notes.raw")
    assert decoding.images(told.out) == tuple(inspect(str(images / name)) for name in ("system.qcow2", "notes.raw"))


def test_a_problem_has_its_keys_and_is_no_failure(preflight: Command, images: Path) -> None:
    told = preflight("inspect", "--format", "json", images / "notes.raw")
    (image,) = json.loads(told.out)["images"]
    assert told.code == 0
    assert [list(problem) for problem in image["problems"]] == [["code", "message", "where", "offset"]]


def test_the_guest_is_not_read_where_nobody_asks(preflight: Command, images: Path) -> None:
    told = preflight("inspect", "--no-guest", "--format", "json", images / "system.raw")
    assert json.loads(told.out)["images"][0]["guest"] == {"unknown": "not asked for"}


def test_text_tells_the_disk_at_a_glance(preflight: Command, images: Path) -> None:
    told = preflight("inspect", images / "system.qcow2")
    lines = told.out.splitlines()
    assert lines[0].startswith(f"{images / 'system.qcow2'}: qcow2 v3, disk 256 MiB, file ")
    assert lines[1] == "  gpt partition table, 512-byte sectors, disk 69e9b183-5f8d-bd41-b514-0dd7fadea46c"
    assert lines[2].startswith("  |1|2 vfat 64 MiB =")
    assert "|3 ext4 189 MiB =" in lines[2]
    assert lines[3:6] == [
        "  partition 1  1 MiB at 1 MiB     BIOS boot",
        "  partition 2  64 MiB at 2 MiB    EFI System, 'EFI System'  vfat  'ESP'  1234-ABCD  on /boot/efi",
        f"  partition 3  189 MiB at 66 MiB  Linux filesystem, 'root'  ext4  128 MiB  'root'  {sound.ROOT_UUID}  on /",
    ]


def test_inspect_has_no_opinion(preflight: Command, images: Path) -> None:
    for name in ("system.raw", "notes.raw", "foreign.vmdk"):
        told = preflight("inspect", images / name)
        assert told.code == 0
        assert "READY" not in told.out
        assert "remedy" not in told.out


def test_images_are_parted_by_an_empty_line(preflight: Command, images: Path) -> None:
    told = preflight("inspect", images / "data.raw", images / "foreign.vmdk")
    first, second = told.out.split("\n\n")
    assert first.startswith(f"{images / 'data.raw'}: raw, disk 5 GiB, file 5 GiB, 0 bytes allocated")
    assert second.startswith(f"{images / 'foreign.vmdk'}: vmdk")


def test_a_damaged_image_is_reported_and_no_failure(preflight: Command, images: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.qcow2").write_bytes((images / "system.qcow2").read_bytes()[:100])
    told = preflight("inspect", tmp_path / "cut.qcow2")
    assert told.code == 0
    assert "  problems\n    " in told.out


def test_a_name_that_misleads_is_told(preflight: Command, images: Path, tmp_path: Path) -> None:
    (tmp_path / "disk.raw").symlink_to(images / "system.qcow2")
    assert "the name has the ending of another format than qcow2" in preflight("inspect", tmp_path / "disk.raw").out


def test_several_sizes_are_all_told(preflight: Command, tmp_path: Path) -> None:
    run("qemu-img", "create", "-q", "-f", "vpc", tmp_path / "disk.vhd", "10G")
    (image,) = json.loads(preflight("inspect", "--format", "json", tmp_path / "disk.vhd").out)["images"]
    assert set(image["virtual_size_alternatives"]) == {"current_size", "chs"}
    assert image["virtual_size"] >= 10 * GiB
    assert f"({image['virtual_size']} bytes)" in preflight("inspect", tmp_path / "disk.vhd").out
