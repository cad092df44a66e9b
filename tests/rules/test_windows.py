"""Rules on Windows."""

from typing import Any

import msgspec
import pytest

from preflight.checking import check
from preflight.facts import Unknown
from preflight.guest_facts import Windows
from preflight.verdicts import Declared
from tests import builders
from tests.builders import found, image, with_windows


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"virtio_storage": "missing"}, {"windows-virtio-left-to-cloud": "warning"}),
        ({"virtio_storage": "present"}, {"windows-virtio-left-to-cloud": "warning"}),
        ({"virtio_network": "missing"}, {"windows-virtio-left-to-cloud": "warning"}),
        ({"bcd_present": False}, {"boot-configuration-missing": "error"}),
        ({"bootmgr_present": False}, {"boot-manager-missing": "error"}),
        ({"hives_missing": ("SYSTEM",)}, {"registry-hives-missing": "error"}),
        ({"hives_damaged": ("SAM", "DEFAULT")}, {"registry-hives-missing": "error"}),
        ({"desktop_config_present": False}, {"desktop-configuration-missing": "warning"}),
        ({"desktop_config_present": None}, {}),
        ({"hotfixes": ("KB4012213", "KB5009624")}, {"unsuitable-updates": "warning"}),
        ({"hotfixes": ("KB4012213",)}, {}),
        ({"disk_upper_filters": ("vmstor",)}, {"orphaned-disk-filters": "warning"}),
        ({"xen_hide_devices": True}, {"xen-hides-devices": "warning"}),
        ({"device_install_disabled": True}, {"device-installation-disabled": "warning"}),
        ({"sysprep_pending": True}, {"setup-unfinished": "warning"}),
        ({"update_pending": True}, {"update-unfinished": "warning"}),
        ({"hibernated": True}, {"hibernated-windows": "warning"}),
        ({"dirty_volumes": ("partition 2",)}, {"dirty-windows-volume": "warning"}),
        ({"hives_dirty": ("SYSTEM",)}, {"dirty-registry-hives": "warning"}),
        ({"rdp_enabled": False}, {"remote-desktop-disabled": "warning"}),
        ({"firewall_enabled": True}, {"windows-firewall-enabled": "info"}),
        ({"qemu_guest_agent": True}, {"windows-guest-agent-installed": "warning"}),
        ({"cloud_assistant": False}, {"windows-cloud-assistant-missing": "info"}),
    ],
)
def test_each_defect_has_its_rule(changes: dict[str, Any], said: dict[str, str]) -> None:
    for name in ("aliyun-2018", "aliyun"):
        assert found(with_windows(**changes), name=name) == said


def test_a_windows_into_which_the_cloud_brings_nothing_must_have_the_drivers() -> None:
    old = with_windows("Windows Server 2003 R2", virtio_storage="missing", service_pack="Service Pack 2")
    assert found(old) == {"windows-virtio-missing": "error"}


def test_windows_2003_needs_a_service_pack() -> None:
    for pack, said in (("Service Pack 1", {}), (None, {"windows-service-pack-missing": "warning"})):
        assert found(with_windows("Windows Server 2003", service_pack=pack)) == said


def test_windows_2008_r2_needs_its_service_pack() -> None:
    bare = with_windows("Windows Server 2008 R2 Standard", hotfixes=("KB3033929",))
    for name in ("aliyun-2018", "aliyun"):
        assert found(bare, name=name) == {"windows-service-pack-missing": "warning"}
    unread = with_windows("Windows Server 2008 R2 Standard", hotfixes=("KB3033929",), service_pack=Unknown("no hive"))
    report = check(unread, builders.profile("aliyun"), Declared())
    assert [(entry.rule, entry.reason) for entry in report.undetermined] == [
        ("windows-service-pack-missing", "no hive")
    ]


def test_a_desktop_edition_is_an_error() -> None:
    desktop = with_windows("Windows 10 Pro", installation_type="client")
    assert found(desktop, name="aliyun")["windows-client-edition"] == "error"
    assert found(desktop)["windows-client-edition"] == "error"


def test_windows_2008_r2_needs_the_update_for_signatures_of_sha_2() -> None:
    release = "Windows Server 2008 R2 Standard"
    one = "Service Pack 1"
    assert found(with_windows(release, service_pack=one)) == {"unsuitable-updates": "warning"}
    assert found(with_windows(release, service_pack=one, hotfixes=("KB3033929",))) == {}
    assert found(with_windows("Windows Server 2008 Standard")) == {}


def test_a_fact_that_is_not_known_never_passes() -> None:
    for fact, annotation in Windows.__annotations__.items():
        if Unknown not in getattr(annotation, "__args__", ()):
            continue
        changed: dict[str, Any] = {fact: Unknown("the hive is damaged")}
        unread = with_windows(**changed)
        report = check(unread, builders.profile("aliyun"), Declared())
        assert report.findings == ()
        assert {entry.reason for entry in report.undetermined} <= {"the hive is damaged"}
    whole = image(guest=msgspec.structs.replace(builders.windows(), windows=Unknown("no")))
    report = check(whole, builders.profile(), Declared())
    assert {entry.reason for entry in report.undetermined} == {"no"}
    assert len(report.undetermined) > 15


def test_rules_for_linux_do_not_apply_and_leave_nothing_open() -> None:
    report = check(with_windows(), builders.profile(), Declared())
    assert report.undetermined == ()
