"""Rules on drivers, layout, accounts and set-up of a Linux."""

from typing import Any

import msgspec
import pytest

from preflight.checking import check
from preflight.facts import Image, Unknown, Volume
from preflight.guest_facts import Guest, Kernels, Nvme, Virtio
from preflight.units import GiB
from preflight.verdicts import Declared
from tests import builders
from tests.builders import breaches, filesystem, found, image, linux, of_guest, partition, unsettled, with_changed

HERE = ("virtio-driver-missing", "virtio-driver-left-to-cloud")


def virtio(guest: Guest, **drivers: Any) -> Image:
    sound = Virtio("6.1", "built-in", "built-in", "built-in", "missing", ())
    return image(guest=msgspec.structs.replace(guest, virtio=msgspec.structs.replace(sound, **drivers)))


def disk(*changes: Any, **more: Any) -> Image:
    return image(**{"guest": linux(), **more})


def kernel(**changes: Any) -> Image:
    one = msgspec.structs.replace(builders.KERNEL, **changes)
    return of_guest(kernels=Kernels((one,), one.version))


ROCKY = linux(distro="rocky", name="Rocky Linux 9.3", version="9.3")


@pytest.mark.parametrize("drivers", [
    {"block": "missing"}, {"block": "module"}, {"net": "missing"}, {"pci": "missing"}, {"pci": "module"},
])  # fmt: skip
def test_missing_virtio_is_an_error_but_a_warning_where_the_cloud_brings_it(drivers: dict[str, str]) -> None:
    for name in ("aliyun-2018", "aliyun"):
        assert found(virtio(linux(), **drivers), name=name) == {"virtio-driver-left-to-cloud": "warning"}
    assert found(virtio(ROCKY, **drivers), name="aliyun") == {"virtio-driver-missing": "error"}


@pytest.mark.parametrize("drivers", [{}, {"block": "initramfs"}, {"net": "module"}, {"pci": "initramfs"}])
def test_virtio_that_is_found_in_time_passes(drivers: dict[str, str]) -> None:
    assert found(virtio(ROCKY, **drivers), name="aliyun") == {}


@pytest.mark.parametrize(
    ("distro", "version", "injected"),
    [
        ("centos", "6.10", True),
        ("centos", "5.11", False),
        ("ubuntu", "12.04", True),
        ("ubuntu", "10.04", False),
        ("debian", "7", True),
        ("debian", "6.0.10", False),
        ("debian", "trixie/sid", True),
        ("sles", "11.4", True),
        ("sles", "10.4", False),
        ("opensuse-leap", "15.5", False),
        ("alpine", "3.19", False),
    ],
)
def test_the_cloud_brings_virtio_into_the_listed_systems_only(distro: str, version: str, injected: bool) -> None:
    bare = virtio(linux(distro=distro, name=distro, version=version), block="missing")
    assert [rule for rule in HERE if rule in found(bare)] == [HERE[injected]]


def test_virtio_that_is_not_known_is_left_open_and_what_is_known_to_lack_is_told() -> None:
    assert unsettled("virtio-driver-left-to-cloud", virtio(linux(), block=Unknown("x"))) == ["x"]
    assert unsettled("virtio-driver-left-to-cloud", of_guest(virtio=Unknown("y"))) == ["y"]
    assert found(virtio(linux(), block=Unknown("x"), net="missing")) == {"virtio-driver-left-to-cloud": "warning"}


@pytest.mark.parametrize("driver", ["module", "missing"])
def test_a_kernel_without_nvme_is_a_warning_and_an_error_where_support_is_declared(driver: Any) -> None:
    bare = of_guest(nvme=Nvme("6.1", driver, ()))
    assert found(bare, name="aliyun") == {"nvme-driver-missing": "warning"}
    said = found(bare, Declared(nvme_support="supported"), "aliyun")
    assert said == {"nvme-support-wrongly-declared": "error", "nvme-driver-missing": "warning"}
    assert unsettled("nvme-driver-missing", of_guest(nvme=Nvme("6.1", Unknown("x"), ()))) == ["x"]


def test_a_kernel_without_the_password_s_channel_is_a_warning() -> None:
    for value in ("y", "m"):
        assert found(kernel(config={"CONFIG_FW_CFG_SYSFS": value})) == {}
    assert found(kernel(config={"CONFIG_FW_CFG_SYSFS": "n"})) == {"password-channel-missing": "warning"}
    assert unsettled("password-channel-missing", kernel(config={}))
    assert unsettled("password-channel-missing", kernel(config=Unknown("x"))) == ["x"]


@pytest.mark.parametrize(("version", "passes"), [
    ("2.6.32-754.el6", False), ("3.5.0-23-generic", False), ("3.6.0", True), ("3.10.0-1160.el7", True), ("6.1.0", True),
])  # fmt: skip
def test_a_kernel_from_before_3_6_cannot_grow_the_root(version: str, passes: bool) -> None:
    assert found(kernel(version=version)) == ({} if passes else {"kernel-too-old-to-grow": "warning"})


@pytest.mark.parametrize(("version", "passes"), [("5.10", False), ("5.11", True), ("6.0", True), ("5", True)])
def test_centos_5_must_be_the_last_one(version: str, passes: bool) -> None:
    said = breaches("release-too-old-for-current-types", of_guest(distro="centos", name="CentOS", version=version))
    assert (not said) == passes


def test_a_partition_behind_the_root_is_a_warning() -> None:
    parts = (partition(1, builders.ESP), partition(2), partition(3))
    assert found(disk(partitions=parts, guest=linux())) == {"root-not-last": "warning"}
    before = (partition(1, builders.ESP), partition(2), partition(3, start=512))
    assert found(disk(partitions=before)) == {}


def test_the_root_on_a_volume_is_where_its_partitions_are() -> None:
    volume = Volume("lvm", "root", "vg", GiB, (2,))
    files = (filesystem("partition 2", "LVM2_member"), filesystem("volume vg/root"))
    parts = (partition(1, builders.ESP), partition(2))
    one = disk(volumes=(volume,), filesystems=files, partitions=parts, guest=linux(root="volume vg/root"))
    assert found(one) == {"lvm-partitions": "warning"}
    other = msgspec.structs.replace(one, partitions=(*parts, partition(3)))
    assert found(other) == {"lvm-partitions": "warning", "root-not-last": "warning"}


def test_swap_raid_and_encryption_are_warnings() -> None:
    for kind, rule in (
        ("swap", "swap-partition"),
        ("linux_raid_member", "raid-member"),
        ("crypto_LUKS", "encrypted-volume"),
        ("LVM2_member", "lvm-partitions"),
    ):
        one = disk(filesystems=(filesystem("partition 2"), filesystem("partition 1", kind)))
        assert found(one) == {rule: "warning"}


def test_an_encrypted_volume_is_told_where_it_hides_the_guest_and_not_of_a_data_disk() -> None:
    sealed = image(filesystems=(filesystem("partition 2", "crypto_LUKS"),), guest=Unknown("its files are not read"))
    assert found(sealed) == {"encrypted-volume": "warning"}
    assert "encrypted-volume" not in found(sealed, Declared(role="data"))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("ext4", {}),
        ("ext3", {}),
        ("xfs", {}),
        ("ext2", {"tolerated-root-filesystem": "info"}),
        ("btrfs", {"unsupported-root-filesystem": "warning"}),
        ("jfs", {"unsupported-root-filesystem": "warning"}),
    ],
)
def test_the_root_is_of_a_supported_kind(kind: str, said: dict[str, str]) -> None:
    cloud_init = msgspec.structs.replace(linux().cloud_init, resize_tools=("resize2fs", "xfs_growfs", "btrfs"))
    one = disk(filesystems=(filesystem("partition 2", kind),), guest=linux(cloud_init=cloud_init))
    assert found(one) == said


def test_a_gpt_is_never_held_against_a_disk() -> None:
    assert found(image(partition_table=builders.gpt(), guest=linux())) == {}


def test_a_system_disk_below_20_gib_is_a_note_for_the_later_api() -> None:
    small = image(virtual_size=19 * GiB)
    assert found(small, name="aliyun") == {"system-disk-below-advised-size": "info"}
    assert found(small) == {}
    assert found(image(virtual_size=19 * GiB + 1), name="aliyun") == {}
    assert found(small, Declared(disk_image_size=20), "aliyun") == {}


def test_customized_linux_has_demands_of_its_own() -> None:
    declared = Declared(platform="Customized Linux")
    assert found(image(), declared) == {}
    assert unsettled("customized-linux-unprepared", image(), declared)
    prepared = of_guest(custom_image_directory=True)
    assert "os.conf" in unsettled("customized-linux-unprepared", prepared, declared)[0]
    assert found(of_guest(custom_image_directory=False), declared) == {"customized-linux-unprepared": "error"}
    assert found(of_guest(custom_image_directory=False)) == {}
    assert found(image(virtual_size=5 * GiB), declared) == {"customized-linux-unprepared": "error"}
    assert found(image(virtual_size=5 * GiB + 1), declared) == {}
    odd = disk(filesystems=(filesystem("partition 1", "xfs"), filesystem()))
    assert found(odd, declared) == {"customized-linux-unprepared": "error"}


@pytest.mark.parametrize("name", ["aliyun", "aliyun-2018"])
def test_features_of_the_root_that_keep_it_from_growing_are_told(name: str) -> None:
    def made(*features: str, on: str = "partition 2") -> dict[str, str]:
        places = (filesystem("partition 1", "vfat"), filesystem())
        kinds = [msgspec.structs.replace(one, features=features if one.on == on else ()) for one in places]
        return found(image(filesystems=tuple(kinds), guest=linux()), name=name)

    assert made("has_journal", "extent", "64bit") == {"avoided-filesystem-feature": "info"}
    assert made("quota", "project") == {"conflicting-filesystem-features": "warning"}
    assert made("quota") == made("project") == made("64bit", "quota", "project", on="partition 1") == {}


def test_a_guest_of_32_bits_is_a_note() -> None:
    assert found(of_guest(architecture="i386")) == {"guest-of-32-bits": "info"}


@pytest.mark.parametrize(
    ("group", "changes", "said"),
    [
        ("services", {"sshd": False}, {"ssh-server-not-started": "warning"}),
        ("services", {"sshd": None}, {"ssh-server-not-started": "warning"}),
        ("services", {"firewalls": ("firewalld",)}, {"firewall-enabled": "warning"}),
        ("services", {"qemu_guest_agent": True}, {"qemu-guest-agent-installed": "warning"}),
        ("services", {"cloud_assistant": False}, {"cloud-assistant-missing": "info"}),
        ("services", {"security_center_agent": False}, {"security-center-agent-missing": "info"}),
        ("security", {"selinux": "enforcing"}, {"selinux-enforcing": "warning"}),
        ("security", {"selinux": "permissive"}, {}),
        ("security", {"selinux": "disabled"}, {}),
        ("security", {"root_account": "absent"}, {"root-account-missing": "warning"}),
        ("security", {"root_account": "locked"}, {"root-account-locked": "info"}),
        ("security", {"root_account": "no-password"}, {"root-without-password": "warning"}),
        ("security", {"permit_root_login": "no"}, {"root-login-refused": "info"}),
        ("security", {"permit_root_login": "yes"}, {}),
        ("security", {"passwd_command": False}, {"passwd-command-missing": "warning"}),
        ("security", {"shadow_immutable": True}, {"shadow-file-immutable": "error"}),
        ("security", {"rtc": "local"}, {"hardware-clock-in-local-time": "warning"}),
        ("security", {"absolute_lib_links": ("/lib64",)}, {"absolute-library-links": "warning"}),
        ("security", {"hibernated": True}, {"suspended-guest": "warning"}),
        ("cloud_init", {"installed": False, "version": None}, {"cloud-init-missing": "warning"}),
        ("cloud_init", {"disabled": True}, {"cloud-init-disabled": "warning"}),
        ("cloud_init", {"datasources": ("NoCloud", "None")}, {"cloud-init-datasource-missing": "warning"}),
        ("cloud_init", {"datasources": ("NoCloud", "AliYun", "None")}, {}),
        ("cloud_init", {"growpart": False}, {"root-cannot-grow": "warning"}),
        ("cloud_init", {"resize_tools": ("xfs_growfs",)}, {"root-cannot-grow": "warning"}),
        ("cloud_init", {"resize_tools": ("systemd-growfs",)}, {}),
    ],
)
def test_each_defect_has_its_rule(group: str, changes: dict[str, Any], said: dict[str, str]) -> None:
    for name in ("aliyun-2018", "aliyun"):
        assert found(with_changed(group, **changes), name=name) == said


@pytest.mark.parametrize(
    ("group", "fact"),
    [
        *(("security", fact) for fact in ("selinux", "root_account", "passwd_command", "shadow_immutable", "rtc")),
        *(("cloud_init", fact) for fact in ("version", "datasources", "disabled")),
    ],
)
def test_a_fact_that_is_not_known_never_passes(group: str, fact: str) -> None:
    unread = with_changed(group, **{fact: Unknown("the reader crashed")})
    report = check(unread, builders.profile(), Declared())
    assert report.findings == ()
    assert {entry.reason for entry in report.undetermined} == {"the reader crashed"}


@pytest.mark.parametrize(
    ("version", "passes"),
    [
        ("0.7.5", False),
        ("0.7.6", False),
        ("0.7.9", False),
        ("0.7.9.1", True),
        ("0.7.6a1", False),
        ("0.7.6a14", False),
        ("0.7.6a15", True),
        ("0.7.10", True),
        ("17.1", True),
        ("18.5", True),
        ("19.1.2", False),
        ("19.1.3", True),
        ("19.4", True),
        ("24.4.1", True),
    ],
)
def test_the_version_of_cloud_init_is_one_that_works(version: str, passes: bool) -> None:
    assert found(with_changed("cloud_init", version=version)) == ({} if passes else {"cloud-init-too-old": "warning"})


def test_systems_that_are_set_up_otherwise_need_no_cloud_init() -> None:
    none = msgspec.structs.replace(linux().cloud_init, installed=False, version=None, growpart=False)
    core = linux(distro="fedora", variant="coreos", name="Fedora CoreOS 39", version="39", cloud_init=none)
    assert found(image(guest=core), name="aliyun") == {}


def test_a_release_below_the_documented_ones_is_a_note() -> None:
    assert found(of_guest(distro="ubuntu", name="Ubuntu 8.04", version="8.04")) == {"release-too-old": "info"}
    assert found(of_guest(distro="ubuntu", name="Ubuntu 10.04", version="10.04")) == {}
