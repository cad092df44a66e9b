import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.facts import FileSystem, Partition, Volume
from preflight.guests.devices import resolver

GUID = "0fc63daf-8483-4772-8e79-3d69d8477de4"
ROOT = "5f2a1c3e-0b7d-4c55-9a6e-2f1d3c4b5a69"
LUKS = "c0ffee00-1111-2222-3333-444455556666"
LV = "aBcDeF-0123-4567-89ab-cdef-GHIJ-klmnop"


def partition(number: int, uuid: str | None = None, name: str | None = None) -> Partition:
    return Partition(number, number << 20, 1 << 20, GUID, None, name, uuid, False)


PARTITIONS = (
    partition(1, "AAAAAAAA-0000-4000-8000-000000000001".lower(), "EFI System Partition"),
    partition(2, "0123abcd-02", "root"),
    partition(3),
    partition(4),
    partition(12),
)
FILESYSTEMS = (
    FileSystem("partition 1", "vfat", "AB12-CD34", "EFI", None),
    FileSystem("partition 2", "ext4", ROOT, "my root", None),
    FileSystem("partition 3", "LVM2_member", "pvpvpv-0000-0000-0000-0000-0000-000000", None, None),
    FileSystem("partition 4", "crypto_LUKS", LUKS, None, None),
    FileSystem("volume my-vg/lv-1", "xfs", "11111111-2222-3333-4444-555555555555", None, None),
)
VOLUMES = (
    Volume("lvm", "lv-1", "my-vg", 1 << 20, (3,), LV),
    Volume("luks", None, None, 1 << 20, (4,), LUKS),
    Volume("md", "host:0", None, 1 << 20, (12,), "01234567:89abcdef:01234567:89abcdef"),
)
resolve = resolver(PARTITIONS, FILESYSTEMS, VOLUMES, {"swap_crypt": "/dev/vda4", "lost": "UUID=dead"})


@pytest.mark.parametrize(
    ("spec", "on"),
    [
        (f"UUID={ROOT}", "partition 2"),
        (f"UUID={ROOT.upper()}", "partition 2"),
        (f'UUID="{ROOT}"', "partition 2"),
        ("UUID=ab12-cd34", "partition 1"),
        ("UUID=AB12-CD34", "partition 1"),
        ("UUID=00000000-0000-0000-0000-000000000000", None),
        ("UUID=", None),
        ("LABEL=EFI", "partition 1"),
        ("LABEL=efi", None),
        ("LABEL=my root", "partition 2"),
        ("PARTUUID=AAAAAAAA-0000-4000-8000-000000000001", "partition 1"),
        ("PARTUUID=0123ABCD-02", "partition 2"),
        ("PARTUUID=0123abcd-02/PARTNROFF=1", "partition 3"),
        ("PARTUUID=0123abcd-02/PARTNROFF=99", None),
        ("PARTUUID=0123abcd-02/PARTNROFF=x", None),
        ("PARTLABEL=root", "partition 2"),
        ("PARTLABEL=EFI System Partition", "partition 1"),
        (f"/dev/disk/by-uuid/{ROOT}", "partition 2"),
        ("/dev/disk/by-label/my\\x20root", "partition 2"),
        ("/dev/disk/by-partuuid/0123abcd-02", "partition 2"),
        ("/dev/disk/by-partlabel/EFI\\x20System\\x20Partition", "partition 1"),
        ("/dev/disk/by-id/ata-QEMU_HARDDISK_QM00001-part2", None),
        ("/dev/disk/by-path/pci-0000:00:04.0-part2", None),
        ("/dev/mapper/my--vg-lv--1", "volume my-vg/lv-1"),
        ("/dev/my-vg/lv-1", "volume my-vg/lv-1"),
        ("/dev//my-vg/lv-1", "volume my-vg/lv-1"),
        ("/dev/my-vg/other", None),
        ("/dev/disk/by-id/dm-name-my--vg-lv--1", "volume my-vg/lv-1"),
        ("ID=dm-name-my--vg-lv--1", "volume my-vg/lv-1"),
        (f"/dev/disk/by-id/dm-uuid-LVM-{'v' * 32}{LV.replace('-', '')}", "volume my-vg/lv-1"),
        ("/dev/disk/by-id/lvm-pv-uuid-pvpvpv-0000-0000-0000-0000-0000-000000", "partition 3"),
        (f"UUID={LUKS}", "partition 4"),
        (f"/dev/mapper/luks-{LUKS}", "volume luks"),
        (f"/dev/disk/by-id/dm-uuid-CRYPT-LUKS2-{LUKS.replace('-', '')}-cryptroot", "volume luks"),
        ("/dev/mapper/swap_crypt", "volume luks"),
        ("/dev/mapper/lost", None),
        ("/dev/mapper/else", None),
        ("/dev/md0", "volume host:0"),
        ("/dev/md127", "volume host:0"),
        ("/dev/md/0", "volume host:0"),
        ("/dev/md/host:0", "volume host:0"),
        ("/dev/disk/by-id/md-uuid-01234567:89abcdef:01234567:89abcdef", "volume host:0"),
        *[(f"/dev/{disk}2", "partition 2") for disk in ("sda", "vda", "xvda", "hda", "nvme0n1p", "mmcblk0p")],
        *[(f"/dev/{disk}", "disk") for disk in ("sda", "vda", "xvda", "nvme0n1", "mmcblk0", "ada0", "vtbd0")],
        *[
            (f"/dev/{disk}", None)
            for disk in ("sdb2", "vdb1", "sdb", "nvme1n1p2", "nvme0n12", "sdaa2", "sda02", "sda5")
        ],
        ("/dev/vda12", "partition 12"),
        ("/dev/vda1\n", None),
        ("/dev/vtbd0p2", "partition 2"),
        ("/dev/ada0s2a", "partition 2"),
        ("/dev/gpt/root", "partition 2"),
        ("/dev/gptid/aaaaaaaa-0000-4000-8000-000000000001", "partition 1"),
        ("/dev/", None),
        ("sda1", None),
        ("tmpfs", None),
        ("server:/export", None),
        ("", None),
        ("/dev/" + "x" * 5000, None),
    ],
)
def test_a_name_is_found_where_it_lies(spec: str, on: str | None) -> None:
    assert resolve(spec) == on


def test_what_can_be_mounted_goes_before_a_member_with_the_same_uuid() -> None:
    member = FileSystem("partition 1", "linux_raid_member", ROOT, None, None)
    found = resolver(PARTITIONS, (member, FILESYSTEMS[1]), ())
    assert found(f"UUID={ROOT}") == "partition 2"


def test_of_two_equal_uuids_the_first_counts() -> None:
    twins = tuple(FileSystem(f"partition {number}", "ext4", ROOT, None, None) for number in (3, 2))
    assert resolver(PARTITIONS, twins, ())(f"UUID={ROOT}") == "partition 3"


def test_with_two_arrays_a_bare_number_tells_nothing() -> None:
    arrays = tuple(Volume("md", f"host:{name}", None, None, (number,)) for number, name in ((1, "root"), (2, "data")))
    found = resolver(PARTITIONS, (), arrays)
    assert found("/dev/md127") is None
    assert found("/dev/md/root") == "volume host:root"


def test_an_empty_disk_has_no_names() -> None:
    found = resolver((), (), ())
    assert found("/dev/vda1") is None
    assert found("UUID=x") is None


@settings(max_examples=200, deadline=None)
@given(
    st.text(max_size=60),
    st.sampled_from(["", "/dev/", "UUID=", "PARTUUID=0123abcd-02/PARTNROFF=", "ID=", "/dev/disk/by-label/"]),
)
def test_any_text_gives_a_place_or_none(text: str, start: str) -> None:
    found = resolve(start + text)
    assert found is None or isinstance(found, str)
