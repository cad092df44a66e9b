"""What the guest is, against what is declared and offered; and what the request says of it."""

from typing import Any

import pytest

from preflight.checking import check, resolve_role, summarise
from preflight.facts import Image, Unknown
from preflight.guest_facts import Nvme, WindowsDriver
from preflight.verdicts import Declared
from tests import builders
from tests.builders import found, image, linux, of_guest, partition, profile, with_windows

GUESTS: list[tuple[dict[str, Any], str, str]] = [
    # what os-release says, Platform of 2018, Platform of today
    ({"distro": "centos", "name": "CentOS Linux 7 (Core)", "version": "7.9.2009"}, "CentOS", "CentOS"),
    ({"distro": "centos", "name": "CentOS Stream 9", "version": "9"}, "CentOS", "CentOS Stream"),
    ({"distro": "ubuntu", "name": "Ubuntu 22.04.4 LTS", "version": "22.04"}, "Ubuntu", "Ubuntu"),
    ({"distro": "debian"}, "Debian", "Debian"),
    ({"distro": "sles", "name": "SUSE Linux Enterprise Server 15 SP5", "version": "15.5"}, "SUSE", "SUSE"),
    ({"distro": "opensuse-leap", "name": "openSUSE Leap 15.5", "version": "15.5"}, "OpenSUSE", "OpenSUSE"),
    ({"distro": "opensuse-tumbleweed", "name": "openSUSE Tumbleweed"}, "OpenSUSE", "OpenSUSE"),
    ({"distro": "coreos", "name": "Container Linux by CoreOS", "version": "2512.3.0"}, "CoreOS", "CoreOS"),
    ({"distro": "alinux", "name": "Alibaba Cloud Linux 3", "version": "3"}, "Aliyun", "Aliyun"),
    ({"distro": "anolis", "name": "Anolis OS 8.8", "version": "8.8"}, "Others Linux", "Anolis"),
    ({"distro": "rhel", "name": "Red Hat Enterprise Linux 9.3 (Plow)", "version": "9.3"}, "Others Linux", "RedHat"),
    ({"distro": "fedora", "name": "Fedora Linux 39 (Cloud Edition)", "variant": "cloud"}, "Others Linux", "Fedora"),
    ({"distro": "fedora", "name": "Fedora CoreOS 39", "variant": "coreos"}, "Others Linux", "Fedora CoreOS"),
    ({"distro": "almalinux", "name": "AlmaLinux 9.3", "version": "9.3"}, "Others Linux", "AlmaLinux"),
    ({"distro": "rocky", "name": "Rocky Linux 9.3", "version": "9.3"}, "Others Linux", "Rocky Linux"),
    ({"distro": "gentoo", "name": "Gentoo Linux"}, "Others Linux", "Gentoo"),
    ({"distro": "kylin", "name": "Kylin Linux Advanced Server V10"}, "Others Linux", "Kylin"),
    ({"distro": "uos", "name": "UnionTech OS Server 20"}, "Others Linux", "UOS"),
    ({"distro": "alpine", "name": "Alpine Linux v3.19", "version": "3.19.1"}, "Others Linux", "Others Linux"),
    ({"distro": "openEuler", "name": "openEuler 22.03"}, "Others Linux", "Others Linux"),
    ({"distro": "arch", "name": "Arch Linux", "version": None}, "Others Linux", "Others Linux"),
    ({"os_type": "freebsd", "distro": "freebsd", "name": "FreeBSD 14.0"}, "Others Linux", "FreeBSD"),
]


@pytest.mark.parametrize(("guest", "then", "now"), GUESTS, ids=[entry[0].get("name", "") for entry in GUESTS])
def test_the_platform_is_the_one_of_the_guest(guest: dict[str, Any], then: str, now: str) -> None:
    for name, platform in (("aliyun-2018", then), ("aliyun", now)):
        summary = summarise(of_guest(**guest), Declared(), profile(name).limits)
        assert (summary.os_type, summary.platform, summary.architecture) == ("linux", platform, "x86_64")
        said = found(of_guest(**guest), name=name)
        assert ("platform-without-own-value" in said) == (platform == "Others Linux")
        assert "error" not in said.values()
        assert set(said) <= {"platform-without-own-value"}


@pytest.mark.parametrize(
    ("release", "then", "now"),
    [
        ("Microsoft Windows Server 2003", "Windows Server 2003", "Windows Server 2003"),
        ("Windows Server 2008 R2 Enterprise", "Windows Server 2008", "Windows Server 2008"),
        ("Windows Server 2012 R2 Datacenter", "Windows Server 2012", "Windows Server 2012"),
        ("Windows Server 2016 Standard", None, "Windows Server 2016"),
        ("Windows Server 2019 Standard", None, "Windows Server 2019"),
        ("Windows Server 2022 Standard", None, "Windows Server 2022"),
        ("Windows Server 2025 Standard", None, "Other Windows"),
    ],
)
def test_a_windows_has_its_release_and_a_licence_that_is_told(release: str, then: str | None, now: str) -> None:
    disk = with_windows(release, service_pack="Service Pack 2", hotfixes=("KB3033929",))
    past, present = (summarise(disk, Declared(), profile(name).limits) for name in ("aliyun-2018", "aliyun"))
    assert (past.os_type, past.platform, past.license_type) == ("windows", then, None)
    assert (present.os_type, present.platform, present.license_type) == ("windows", now, "Aliyun")
    assert found(disk) == ({} if then else {"windows-release-not-offered": "error"})
    assert found(disk, name="aliyun") == {}


@pytest.mark.parametrize("distro", ["rhel", "sles"])
def test_red_hat_and_suse_come_with_their_own_licence(distro: str) -> None:
    disk = of_guest(distro=distro, name="x", version="15.5")
    assert summarise(disk, Declared(), profile("aliyun").limits).license_type == "BYOL"
    assert summarise(image(), Declared(), profile("aliyun").limits).license_type is None
    said = found(disk, Declared(license_type="Aliyun"), "aliyun")
    assert said == {"licence-of-the-cloud-not-offered": "error"}
    assert found(disk, Declared(license_type="BYOL"), "aliyun") == {}


@pytest.mark.parametrize(
    ("modes", "mode"),
    [(("bios",), "BIOS"), (("uefi",), "UEFI"), (("bios", "uefi"), "BIOS"), ((), None), (Unknown("x"), None)],
)
def test_the_boot_mode_is_that_of_the_guest(modes: Any, mode: str | None) -> None:
    disk = of_guest(boot_modes=modes)
    assert summarise(disk, Declared(), profile("aliyun").limits).boot_mode == mode
    assert summarise(disk, Declared(), profile().limits).boot_mode is None


def test_arm64_is_refused_by_the_api_of_2018_and_sets_the_request_of_the_later_one() -> None:
    arm = of_guest(architecture="arm64", boot_modes=("uefi",))
    assert found(arm) == {"architecture-not-offered": "error", "boots-by-uefi-only": "error"}
    assert found(arm, name="aliyun") == {}
    summary = summarise(arm, Declared(), profile("aliyun").limits)
    assert (summary.architecture, summary.boot_mode) == ("arm64", "UEFI")
    both = of_guest(architecture="arm64", boot_modes=("bios", "uefi"))
    assert summarise(both, Declared(), profile("aliyun").limits).boot_mode == "UEFI"
    assert summarise(arm, Declared(), profile().limits).architecture is None


def test_no_api_has_every_architecture() -> None:
    assert found(of_guest(architecture="riscv64"), name="aliyun")["architecture-not-offered"] == "error"
    unknown = of_guest(architecture=Unknown("no binary"))
    report = check(unknown, profile("aliyun"), Declared())
    assert report.findings == ()
    assert {entry.reason for entry in report.undetermined} == {"no binary"}


@pytest.mark.parametrize(
    ("driver", "value"),
    [("built-in", "supported"), ("initramfs", "supported"), ("module", "unsupported"), ("missing", "unsupported"),
     (Unknown("x"), None)],
)  # fmt: skip
def test_nvme_support_is_that_of_the_kernel(driver: Any, value: str | None) -> None:
    disk = of_guest(nvme=Nvme("6.1", driver, ()))
    assert summarise(disk, Declared(), profile("aliyun").limits).nvme_support == value
    assert summarise(disk, Declared(), profile().limits).nvme_support is None


def test_nvme_support_of_windows_is_its_own_driver() -> None:
    driver = WindowsDriver("stornvme", r"System32\drivers\stornvme.sys", "boot", True, None)
    limits = profile("aliyun").limits
    assert summarise(with_windows(drivers=(driver,)), Declared(), limits).nvme_support == "supported"
    assert summarise(with_windows(), Declared(), limits).nvme_support == "unsupported"
    assert summarise(with_windows(drivers=Unknown("x")), Declared(), limits).nvme_support is None


@pytest.mark.parametrize(
    ("declared", "rule", "severity"),
    [
        (Declared(architecture="i386"), "declared-architecture-differs", "error"),
        (Declared(platform="Ubuntu"), "declared-platform-differs", "warning"),
        (Declared(os_type="windows", platform="Windows Server 2012"), "declared-os-type-differs", "error"),
    ],
)
def test_what_is_declared_against_the_guest_is_found(declared: Declared, rule: str, severity: str) -> None:
    for name in ("aliyun-2018", "aliyun"):
        assert found(image(), declared, name)[rule] == severity


def test_a_general_platform_may_be_declared_for_any_linux() -> None:
    for platform in ("Others Linux", "Debian"):
        assert found(image(), Declared(platform=platform)) == {}


def test_what_is_declared_counts_before_what_is_found() -> None:
    declared = Declared(os_type="linux", platform="Others Linux", architecture="i386", boot_mode="UEFI",
                        license_type="BYOL", nvme_support="unsupported")  # fmt: skip
    now = summarise(image(), declared, profile("aliyun").limits)
    assert (now.platform, now.architecture, now.boot_mode) == ("Others Linux", "i386", "UEFI")
    assert (now.license_type, now.nvme_support) == ("BYOL", "unsupported")
    then = summarise(image(), declared, profile().limits)
    assert (then.boot_mode, then.license_type, then.nvme_support) == (None, None, None)


def test_an_os_type_that_is_declared_against_the_guest_takes_no_platform_from_it() -> None:
    summary = summarise(image(), Declared(os_type="windows"), profile().limits)
    assert (summary.os_type, summary.platform) == ("windows", None)
    summary = summarise(image(), Declared(platform="Windows Server 2012"), profile().limits)
    assert (summary.os_type, summary.platform) == ("windows", "Windows Server 2012")


def test_a_distribution_that_no_file_tells_is_a_warning_and_its_platform_is_left_open() -> None:
    nameless = of_guest(distro=Unknown("no release file names it"), name=Unknown("x"), version=Unknown("x"))
    said = found(nameless)
    assert said == {"distribution-not-told": "warning"}
    summary = summarise(nameless, Declared(), profile().limits)
    assert (summary.os_type, summary.platform) == ("linux", None)
    report = check(nameless, profile(), Declared(platform="Ubuntu"))
    assert "declared-platform-differs" in {entry.rule for entry in report.undetermined}


def test_a_disk_that_holds_a_system_is_a_system_disk_even_if_nothing_starts_it() -> None:
    plain: dict[str, Any] = {"partitions": (partition(),)}
    assert resolve_role(image(**plain, guest=linux()), "auto") == "system"
    assert resolve_role(image(**plain, guest=None), "auto") == "data"
    assert resolve_role(image(**plain, guest=Unknown("x")), "auto") == "data"
    assert found(image(**plain, guest=linux()), Declared(role="data")) == {"data-disk-boots": "warning"}


def test_windows_is_told_that_the_image_check_may_refuse_it() -> None:
    declared = Declared(detection_strategy="Standard")
    assert found(with_windows(), declared, "aliyun") == {"image-check-not-offered": "warning"}
    assert found(image(), declared, "aliyun") == {}


def unread() -> Image:
    return image(guest=builders.UNREAD)


def test_a_guest_that_was_not_read_is_not_sent() -> None:
    for name in ("aliyun-2018", "aliyun"):
        summary = summarise(unread(), Declared(), profile(name).limits)
        sent = (summary.os_type, summary.platform, summary.architecture, summary.boot_mode, summary.nvme_support)
        assert sent == (None,) * 5
