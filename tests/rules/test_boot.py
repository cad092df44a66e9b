"""Rules on firmware, boot loader and fstab."""

from typing import Any

import msgspec
import pytest

from preflight.checking import check
from preflight.facts import Image, Unknown
from preflight.guest_facts import BootEntry, FstabEntry, Kernels
from preflight.verdicts import Declared
from tests import builders
from tests.builders import boot_entry, breaches, found, image, linux, mount, of_guest, unsettled, verdict, with_changed

DATA = Declared(role="data")
DATA_UUID = "UUID=00000000-0000-4000-8000-0000000000dd"


def fstab(*entries: FstabEntry) -> Image:
    root = mount(f"UUID={builders.ROOT_UUID}", "/", "partition 2")
    return with_changed("fstab", entries=(root, *entries))


def entries(*entries: BootEntry, **changes: Any) -> Image:
    return with_changed("boot_loader", entries=entries, **changes)


@pytest.mark.parametrize("name", ["aliyun-2018", "aliyun"])
@pytest.mark.parametrize("sound", [image(), builders.with_windows()], ids=["linux", "windows"])
def test_a_sound_guest_breaks_no_rule_and_leaves_none_open(sound: Image, name: str) -> None:
    report = check(sound, builders.profile(name), Declared())
    assert report.findings == ()
    assert report.undetermined == ()


def test_a_system_disk_without_a_system_is_told_and_a_data_disk_is_not() -> None:
    empty = image(guest=None)
    assert found(empty, name="aliyun") == {"no-operating-system": "error"}
    assert found(empty) == {"no-operating-system": "warning"}
    assert found(image(guest=None, partitions=(builders.partition(),)), DATA) == {}


def test_a_guest_that_was_not_read_leaves_every_rule_on_it_open() -> None:
    unread = image(guest=Unknown("not asked for"))
    report = check(unread, builders.profile(), Declared())
    assert report.findings == ()
    assert len(report.undetermined) > 70
    assert {entry.reason for entry in report.undetermined} == {"not asked for"}
    assert len({entry.rule for entry in report.undetermined}) == len(report.undetermined)
    data = check(image(guest=Unknown("not asked for"), partitions=(builders.partition(),)), builders.profile(), DATA)
    assert data.undetermined == ()


def test_a_disk_without_boot_loader_is_an_error() -> None:
    for name in ("aliyun-2018", "aliyun"):
        assert found(of_guest(boot_modes=()), name=name) == {"no-boot-loader": "error"}
    assert unsettled("no-boot-loader", of_guest(boot_modes=Unknown("x"))) == ["x"]


@pytest.mark.parametrize("name", ["aliyun-2018", "aliyun"])
def test_a_guest_without_kernel_is_an_error(name: str) -> None:
    def kernels(*changes: dict[str, Any], boot: str | None = "partition 1") -> Image:
        entries = (mount("UUID=boot", "/boot", boot),) if boot != "partition 1" else ()
        present = tuple(msgspec.structs.replace(builders.KERNEL, **change) for change in changes)
        fstab = msgspec.structs.replace(linux().fstab, entries=entries)
        return of_guest(kernels=Kernels(present, present[0].version if present else None), fstab=fstab)

    assert found(kernels(), name=name) == {"no-kernel": "error"}
    assert "no-kernel" in found(kernels({"path": None}), name=name)  # only its modules are left
    assert found(kernels({"path": None}, {}), name=name) == {}
    assert breaches("no-kernel", kernels(boot="partition 2"), name=name)
    assert "/boot" in unsettled("no-kernel", kernels(boot=None), name=name)[0]


def test_a_guest_that_starts_by_uefi_only_is_refused_by_the_api_of_2018_and_told_to_the_later_one() -> None:
    uefi = of_guest(boot_modes=("uefi",))
    assert found(uefi) == {"boots-by-uefi-only": "error"}
    assert found(uefi, name="aliyun") == {}
    assert found(of_guest(boot_modes=("bios",))) == {}


@pytest.mark.parametrize(
    ("modes", "declared", "passes"),
    [
        (("bios",), "BIOS", True),
        (("bios",), "UEFI", False),
        (("uefi",), "BIOS", False),
        (("uefi",), "UEFI", True),
        (("bios", "uefi"), "BIOS", True),
        (("bios", "uefi"), "UEFI", True),
    ],
)
def test_the_declared_boot_mode_is_one_of_the_guest(modes: tuple[str, ...], declared: str, passes: bool) -> None:
    said = found(of_guest(boot_modes=modes), Declared(boot_mode=declared), "aliyun")
    assert said == ({} if passes else {"boot-mode-differs": "error"})


def test_arm64_does_not_start_by_bios() -> None:
    arm = of_guest(architecture="arm64", boot_modes=("uefi",))
    said = found(arm, Declared(boot_mode="BIOS"), "aliyun")
    assert said == {"boot-mode-differs": "error", "boot-mode-of-architecture": "error"}
    assert found(arm, name="aliyun") == {}


def test_a_loader_that_firmware_must_be_told_of_is_a_warning_where_it_counts() -> None:
    lost = linux(boot_modes=("uefi",)).boot_loader
    loader = msgspec.structs.replace(lost, efi_fallback=())
    assert found(of_guest(boot_modes=("uefi",), boot_loader=loader), name="aliyun") == {"no-fallback-loader": "warning"}
    assert found(of_guest(boot_loader=loader), name="aliyun") == {}
    declared = Declared(boot_mode="UEFI")
    assert found(of_guest(boot_loader=loader), declared, "aliyun") == {"no-fallback-loader": "warning"}


@pytest.mark.parametrize("root", ["/dev/sda1", "/dev/hda2", "/dev/xvda1", "/dev/nvme0n1p1"])
def test_a_root_by_a_name_that_instances_do_not_have_is_an_error(root: str) -> None:
    assert found(entries(boot_entry(root, "partition 2"))) == {"boot-root-by-device-name": "error"}
    (breach,) = breaches("boot-root-by-device-name", entries(boot_entry(root, "partition 2")))
    assert builders.ROOT_UUID in breach.message


def test_a_root_by_the_name_that_instances_have_is_a_warning() -> None:
    assert found(entries(boot_entry("/dev/vda2", "partition 2"))) == {"boot-root-by-instance-device-name": "warning"}


@pytest.mark.parametrize("root", [None, "LABEL=root", "/dev/mapper/vg-root", "/dev/disk/by-uuid/x", "ZFS=rpool/x"])
def test_a_root_by_another_name_passes(root: str | None) -> None:
    assert found(entries(boot_entry(root, "partition 2"))) == {}


@pytest.mark.parametrize("root", ["UUID=dead", "LABEL=gone", "PARTUUID=0123abcd-01", "PARTLABEL=x"])
def test_a_root_that_is_not_on_the_disk_is_an_error(root: str) -> None:
    assert found(entries(boot_entry(root))) == {"stale-boot-root": "error"}


def test_a_root_may_be_within_an_encrypted_volume() -> None:
    sealed = entries(boot_entry("UUID=dead"))
    sealed = msgspec.structs.replace(
        sealed, filesystems=(*sealed.filesystems, builders.filesystem("partition 3", "crypto_LUKS"))
    )
    assert not breaches("stale-boot-root", sealed)
    assert unsettled("stale-boot-root", sealed)


def test_only_the_entry_that_starts_by_itself_counts_where_it_is_known() -> None:
    good, bad = boot_entry(f"UUID={builders.ROOT_UUID}", "partition 2"), boot_entry("/dev/sda1")
    assert found(entries(good, bad, default=0)) == {}
    assert found(entries(good, bad, default=1)) == {"boot-root-by-device-name": "error"}
    assert found(entries(good, bad, default=None)) == {"boot-root-by-device-name": "error"}


def test_what_grub_searches_for_in_vain_is_a_warning_and_not_told_twice() -> None:
    good = boot_entry(f"UUID={builders.ROOT_UUID}", "partition 2")
    assert found(entries(good, missing_uuids=("dead-beef",))) == {"stale-boot-search": "warning"}
    assert found(entries(boot_entry("UUID=dead"), missing_uuids=("dead",))) == {"stale-boot-root": "error"}


def test_a_menu_in_which_nothing_was_found_is_left_open() -> None:
    assert unsettled("unknown-boot-entries", entries(default=None))
    assert not unsettled("unknown-boot-entries", entries(default=None, names=()))


def test_a_line_of_the_system_that_names_what_is_not_there_is_an_error() -> None:
    for point in ("/boot", "/boot/efi", "/home", "/var/log", "none"):
        said = found(fstab(mount("UUID=dead", point)))
        assert said == {"fstab-names-missing-device": "error"}, point
    (breach,) = breaches("fstab-names-missing-device", fstab(mount("UUID=dead", "/boot", line=7)))
    assert breach.subject == "/etc/fstab line 7"


def test_a_data_disk_that_is_waited_for_is_an_error_unless_it_comes_along() -> None:
    disk = fstab(mount(DATA_UUID, "/data"))
    assert found(disk) == {"fstab-mounts-data-disk": "error"}
    assert found(disk, Declared(other_names=(DATA_UUID,))) == {}
    assert found(fstab(mount("/dev/sdb1", "/data"))) == {"fstab-mounts-data-disk": "error"}
    assert found(fstab(mount("/dev/vdb1", "/mnt/x"))) == {"fstab-mounts-data-disk": "error"}


@pytest.mark.parametrize("entry", [
    mount("UUID=dead", "/data", required=False, options=("nofail",)),
    mount("/dev/sr0", "/media/cdrom0", required=False, options=("noauto",)),
    mount("server:/export", "/data", required=False, device=False),
])  # fmt: skip
def test_a_line_that_the_boot_does_not_wait_for_passes(entry: FstabEntry) -> None:
    assert found(fstab(entry)) == {}


def test_a_name_that_instances_do_not_have_is_an_error_and_the_one_that_they_have_a_warning() -> None:
    for spec in ("/dev/sda2", "/dev/hda2", "/dev/xvda2", "/dev/nvme0n1p2"):
        assert found(fstab(mount(spec, "/home", "partition 2"))) == {"fstab-by-foreign-device-name": "error"}
    assert found(fstab(mount("/dev/vda2", "/home", "partition 2"))) == {"fstab-by-device-name": "warning"}
    optional = mount("/dev/sdb1", "/data", required=False, options=("nofail",))
    assert found(fstab(optional)) == {"fstab-by-device-name": "warning"}
    (breach,) = breaches("fstab-by-device-name", fstab(mount("/dev/vda2", "/home", "partition 2")))
    assert breach.remedy == f"Write UUID={builders.ROOT_UUID} in its place."


def test_one_line_is_told_once_whatever_is_wrong_with_it() -> None:
    for spec in ("/dev/sda9", "/dev/vda9", "UUID=dead"):
        for point in ("/", "/home", "/data"):
            for options in (("defaults",), ("nofail",)):
                entry = mount(spec, point, options=options, required=options == ("defaults",))
                assert len(found(fstab(entry))) <= 1


def test_fstab_that_was_not_read_is_left_open() -> None:
    for rule in ("fstab-names-missing-device", "fstab-mounts-data-disk", "fstab-by-device-name"):
        assert unsettled(rule, of_guest(fstab=Unknown("the reader crashed"))) == ["the reader crashed"]
    assert verdict(of_guest(fstab=Unknown("x"))) == "ready"
