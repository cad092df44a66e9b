"""The role of a disk: what says that a machine boots from it."""

import msgspec
import pytest

from preflight.facts import Image
from preflight.rules.role import boot_sign
from preflight.verdicts import Declared
from tests import builders
from tests.builders import ESP, NO_TABLE, breaches, found, gpt, image, partition

DATA = Declared(role="data")
BIOS_BOOT = "21686148-6449-6e6f-744e-656564454649"
MBR = msgspec.structs.replace(gpt(), type="mbr", disk_id="0x0123abcd")

BOOTING = {
    "an EFI system partition": image(partitions=(partition(1, ESP),)),
    "an EFI system partition in an MBR": image(partition_table=MBR, partitions=(partition(1, "0xef"),)),
    "a BIOS boot partition": image(partitions=(partition(2, BIOS_BOOT),)),
    "a FreeBSD boot partition": image(partitions=(partition(1, "83bd6b9d-7f41-11dc-be0b-001560b84f0f"),)),
    "a Linux root partition": image(partitions=(partition(1, "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"),)),
    "an active partition": image(partition_table=MBR, partitions=(partition(1, "0x83", bootable=True),)),
    "GRUB": image(partition_table=msgspec.structs.replace(MBR, boot_loader="GRUB"), partitions=(partition(1, "0x83"),)),
}
NOT_BOOTING = {
    "a data partition": image(partitions=(partition(1),)),
    "a data partition in an MBR": image(partition_table=MBR, partitions=(partition(1, "0x83"),)),
    "a bare file system": image(
        partition_table=NO_TABLE, partitions=(), filesystems=(builders.filesystem("disk", "xfs"),)
    ),
    "a blank disk": image(partition_table=NO_TABLE, partitions=(), filesystems=()),
    "unread": image(partition_table=None, partitions=(), filesystems=()),
}


@pytest.mark.parametrize("disk", BOOTING.values(), ids=BOOTING)
def test_a_disk_that_boots_is_told_when_it_is_meant_as_a_data_disk_and_only_then(disk: Image) -> None:
    assert boot_sign(disk)
    (breach,) = breaches("data-disk-boots", disk, DATA)
    assert str(boot_sign(disk)) in breach.message
    assert found(disk, DATA)["data-disk-boots"] == "warning"
    assert "data-disk-boots" not in found(disk)


@pytest.mark.parametrize("disk", NOT_BOOTING.values(), ids=NOT_BOOTING)
def test_a_disk_without_a_sign_of_booting_passes_as_a_data_disk(disk: Image) -> None:
    assert boot_sign(disk) is None
    assert found(disk, DATA) == {}
