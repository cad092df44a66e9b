"""Rules on sizes: each limit passes, and the limit and one unit more fails."""

import pytest

from preflight.units import GiB, TiB
from preflight.verdicts import Declared, Role
from tests import builders
from tests.builders import breaches, found, image, problem, raw, unread, unsettled


@pytest.mark.parametrize(("role", "maximum"), [("system", 500), ("data", 1000)])
def test_the_largest_disk_of_a_role_passes_and_a_byte_more_does_not(role: Role, maximum: int) -> None:
    declared = Declared(role=role)
    assert not breaches("virtual-size-too-large", image(virtual_size=maximum * GiB), declared)
    (breach,) = breaches("virtual-size-too-large", image(virtual_size=maximum * GiB + 1), declared)
    assert breach.message == (
        f"virtual size {maximum}.0 GiB ({maximum * GiB + 1} bytes), limit of a {role} disk {maximum} GiB"
    )
    assert breach.remedy.endswith(f"qemu-img resize --shrink -f qcow2 ./disk.qcow2 {maximum}G")


def test_a_whole_number_of_units_is_told_without_its_bytes() -> None:
    (breach,) = breaches("virtual-size-too-large", image(virtual_size=2 * TiB))
    assert breach.message == "virtual size 2 TiB, limit of a system disk 500 GiB"


def test_a_vhd_is_shrunk_by_way_of_a_qcow2_and_what_qemu_img_cannot_shrink_has_no_command() -> None:
    (breach,) = breaches("virtual-size-too-large", builders.vhd(virtual_size=501 * GiB))
    assert breach.remedy.endswith("./disk.qcow2 && qemu-img resize --shrink -f qcow2 ./disk.qcow2 500G")
    (breach,) = breaches("virtual-size-too-large", unread("vmdk", virtual_size=501 * GiB))
    assert "run:" not in breach.remedy


@pytest.mark.parametrize("size", [512, 512, GiB, 5 * GiB - 1, 5 * GiB])
def test_a_disk_below_the_minimum_of_the_api_is_fine(size: int) -> None:
    assert found(image(virtual_size=size)) == {}


@pytest.mark.parametrize("role", ["system", "data"])
def test_an_unknown_size_of_an_importable_format_is_undetermined(role: Role) -> None:
    assert unsettled("virtual-size-too-large", image(virtual_size=None), Declared(role=role))
    assert not unsettled("virtual-size-too-large", unread("gzip"), Declared(role=role))


@pytest.mark.parametrize(
    ("role", "size", "passes"),
    [
        ("system", 4, False),
        ("system", 5, True),
        ("system", 500, True),
        ("system", 501, False),
        ("data", 4, False),
        ("data", 5, True),
        ("data", 1000, True),
        ("data", 1001, False),
        ("data", 0, False),
        ("system", -5, False),
    ],
)
def test_a_declared_disk_image_size_lies_within_the_range_of_its_role(role: Role, size: int, passes: bool) -> None:
    declared = Declared(role=role, disk_image_size=size)
    said = breaches("disk-image-size-out-of-range", image(virtual_size=GiB), declared)
    assert (not said) == passes
    if said:
        maximum = 500 if role == "system" else 1000
        assert said[0].message == f"DiskImageSize {size} GiB, allowed for a {role} disk are 5 to {maximum} GiB"


def test_a_declared_disk_image_size_is_not_below_the_virtual_size() -> None:
    declared = Declared(disk_image_size=20)
    assert not breaches("disk-image-size-below-virtual-size", image(virtual_size=20 * GiB), declared)
    (breach,) = breaches("disk-image-size-below-virtual-size", image(virtual_size=20 * GiB + 1), declared)
    assert breach.message == f"DiskImageSize 20 GiB, virtual size 20.0 GiB ({20 * GiB + 1} bytes)"
    assert "at least 21" in breach.remedy
    assert unsettled("disk-image-size-below-virtual-size", image(virtual_size=None), declared)
    assert not breaches("disk-image-size-below-virtual-size", image(virtual_size=20 * GiB + 1))


def test_the_size_of_the_file_does_not_matter() -> None:
    packed = image(virtual_size=20 * GiB, file_size=21 * GiB)
    assert found(packed, Declared(disk_image_size=20)) == {}


def test_an_odd_size_is_extended_to_the_next_sector() -> None:
    odd = raw(file_size=20 * GiB + 1, virtual_size=20 * GiB + 1, problems=(problem("size-not-in-sectors"),))
    (breach,) = breaches("size-not-in-sectors", odd)
    assert breach.remedy.endswith(f"run: qemu-img resize -f raw ./disk.raw {20 * GiB + 512}")
    assert found(odd) == {"size-not-in-sectors": "warning"}
    (breach,) = breaches("size-not-in-sectors", image(problems=(problem("size-not-in-sectors"),)))
    assert breach.remedy.endswith(f"run: qemu-img resize -f qcow2 ./disk.qcow2 {20 * GiB}")


def test_what_reaches_past_the_end_of_the_disk_is_an_error() -> None:
    assert found(image(problems=(problem("partition-past-end"),))) == {"partition-past-end": "error"}
    assert found(image(problems=(problem("filesystem-past-end"),))) == {"filesystem-past-end": "error"}
