"""`preflight check`."""

import json
from pathlib import Path

import pytest

from preflight import profiles
from preflight.units import MiB
from tests import sound
from tests.cli.conftest import Command
from tests.cli.running import shell
from tests.cli.test_inspect import IMAGE_KEYS
from tests.tools import sparse

REPORT_KEYS = [
    *("profile", "role", "verdict", "image", "request", "findings", "undetermined", "also_ready_for"),
    *("ignored", "in_baseline"),
]
FINDING_KEYS = [
    *("rule", "severity", "message", "subject", "remedy", "api_error", "detection_item", "source"),
]
REQUEST_KEYS = [
    *("OSType", "Platform", "Architecture", "Format", "DiskImageSize", "BootMode", "LicenseType", "NvmeSupport"),
]


def judged(preflight: Command, *arguments: str | Path) -> list[dict[str, object]]:
    told = preflight("check", "--format", "json", *arguments)
    result = json.loads(told.out)
    assert list(result) == ["schema", "reports", "unread"]
    assert result["schema"] == "preflight/report/1"
    reports: list[dict[str, object]] = result["reports"]
    ready = all(report["verdict"] == "ready" for report in reports)
    assert told.code == (0 if ready else 1)
    return reports


def rules(report: dict[str, object]) -> list[str]:
    findings = report["findings"]
    assert isinstance(findings, list)
    return [finding["rule"] for finding in findings]


def test_json_has_the_shape_of_the_contract(preflight: Command, images: Path) -> None:
    (report,) = judged(preflight, images / "notes.raw")
    assert list(report) == REPORT_KEYS
    assert list(report["image"]) == IMAGE_KEYS  # type: ignore[call-overload]
    assert list(report["request"]) == REQUEST_KEYS  # type: ignore[call-overload]
    findings = report["findings"]
    assert isinstance(findings, list)
    assert [list(finding) for finding in findings] == [FINDING_KEYS] * len(findings)
    assert report["verdict"] == "not-ready"
    assert findings[0]["severity"] == "error"


def test_undetermined_has_its_keys(preflight: Command, images: Path) -> None:
    (report,) = judged(preflight, images / "foreign.vmdk")
    undetermined = report["undetermined"]
    assert isinstance(undetermined, list)
    assert all(list(entry) == ["rule", "reason"] for entry in undetermined)


def test_a_sound_image_is_ready(preflight: Command, images: Path) -> None:
    told = preflight("check", images / "system.qcow2")
    assert (told.code, told.err) == (0, "")
    assert told.out.splitlines()[-1].startswith("  READY for aliyun-2018 as a system disk, DiskImageSize 5 GiB")


def test_an_image_that_will_not_import_is_not_ready(preflight: Command, images: Path) -> None:
    told = preflight("check", images / "foreign.vmdk")
    assert (told.code, told.err) == (1, "")
    assert told.out.splitlines()[-1].startswith("  NOT READY for aliyun-2018 as a ")


def test_each_image_has_its_report_in_their_order(preflight: Command, images: Path) -> None:
    names = ["notes.raw", "system.qcow2", "data.raw"]
    reports = judged(preflight, *(images / name for name in names))
    assert [Path(report["image"]["path"]).name for report in reports] == names  # type: ignore[index]
    assert [report["verdict"] for report in reports] == ["not-ready", "ready", "ready"]


def test_several_images_end_in_a_summary(preflight: Command, images: Path) -> None:
    told = preflight("check", images / "notes.raw", images / "system.qcow2", images / "foreign.vmdk")
    assert told.code == 1
    summary = told.out.rpartition("\n\n")[2].splitlines()
    assert summary[0] == "3 judged: 1 ready, 2 not ready"
    assert [line.split(" for ")[0] for line in summary[1:]] == [
        f"  NOT READY {images / 'notes.raw'}",
        f"  NOT READY {images / 'foreign.vmdk'}",
    ]


@pytest.mark.parametrize(
    ("name", "role", "expected"),
    [
        ("system.raw", "auto", "system"),
        ("data.raw", "auto", "data"),
        ("data.raw", "system", "system"),
        ("system.raw", "data", "data"),
    ],
)
def test_the_role_is_found_or_as_told(preflight: Command, images: Path, name: str, role: str, expected: str) -> None:
    assert judged(preflight, "--role", role, images / name)[0]["role"] == expected


def test_each_profile_judges_once(preflight: Command, images: Path) -> None:
    names = profiles.names()
    options = [word for name in (*names, names[0]) for word in ("--profile", name)]
    reports = judged(preflight, *options, images / "system.raw", images / "data.raw")
    assert [report["profile"] for report in reports] == [*names, *names]


def test_the_default_profile_is_the_documented_one(preflight: Command, images: Path) -> None:
    assert judged(preflight, images / "system.raw")[0]["profile"] == "aliyun-2018"


def test_what_is_declared_is_judged_and_sent(preflight: Command, images: Path) -> None:
    declared = {
        "--os-type": ("OSType", "linux"),
        "--platform": ("Platform", "CentOS"),
        "--architecture": ("Architecture", "x86_64"),
        "--disk-image-size": ("DiskImageSize", "40"),
    }
    options = [word for option, (_, value) in declared.items() for word in (option, value)]
    request = judged(preflight, *options, images / "system.raw")[0]["request"]
    assert isinstance(request, dict)
    for key, value in declared.values():
        assert str(request[key]) == value


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--os-type", "plan9"),
        ("--platform", "Plan 9"),
        ("--architecture", "vax"),
        ("--boot-mode", "PROM"),
        ("--image-name", "http://x"),
        ("--description", "http://x"),
        ("--image-format", "VMDK"),
        ("--disk-image-size", "1"),
    ],
)
def test_what_is_declared_wrong_is_found(preflight: Command, images: Path, option: str, value: str) -> None:
    plain = set(rules(judged(preflight, images / "system.raw")[0]))
    (report,) = judged(preflight, option, value, images / "system.raw")
    assert set(rules(report)) > plain, option


def test_strict_counts_warnings(preflight: Command, images: Path, tmp_path: Path) -> None:
    (tmp_path / "disk.raw").symlink_to(images / "system.qcow2")  # a misleading name
    (lenient,) = judged(preflight, tmp_path / "disk.raw")
    (strict,) = judged(preflight, "--strict", tmp_path / "disk.raw")
    findings = lenient["findings"]
    assert isinstance(findings, list)
    assert "warning" in {finding["severity"] for finding in findings}
    assert (lenient["verdict"], strict["verdict"]) == ("ready", "not-ready")


def test_a_rule_can_be_ignored(preflight: Command, images: Path) -> None:
    (report,) = judged(preflight, images / "foreign.vmdk")
    (rule,) = set(rules(report))
    (without,) = judged(preflight, "--ignore", rule, images / "foreign.vmdk")
    assert rule not in rules(without)


def test_findings_come_with_their_remedies(preflight: Command, images: Path) -> None:
    lines = preflight("check", images / "foreign.vmdk").out.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("  error "))
    assert lines[first + 2].startswith("    remedy: ")
    command = next(line for line in lines if line.startswith("      qemu-img convert"))
    assert str(images / "foreign.vmdk") in command


def test_no_guest_is_taken(preflight: Command, images: Path) -> None:
    (report,) = judged(preflight, "--no-guest", images / "system.raw")
    assert report["image"]["guest"] == {"unknown": "not asked for"}  # type: ignore[index]


def test_a_damaged_image_is_judged_and_not_refused(preflight: Command, images: Path, tmp_path: Path) -> None:
    for size in (0, 4, 100, 511):
        path = tmp_path / f"{size}.qcow2"
        path.write_bytes((images / "system.qcow2").read_bytes()[:size])
        assert judged(preflight, path)[0]["verdict"] == "not-ready"


def test_facts_are_told_once_for_several_profiles(
    preflight: Command, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = profiles.load("aliyun-2018")
    monkeypatch.setattr(profiles, "load", lambda name: __import__("msgspec").structs.replace(other, name=name))
    told = preflight("check", "--profile", "one", "--profile", "two", images / "system.raw")
    assert told.out.count(str(images / "system.raw")) == 1
    assert told.out.count("READY for") == 2
    assert told.out.splitlines()[-1] == "2 judged: 2 ready, 0 not ready"


def test_a_small_disk_gets_the_smallest_size(preflight: Command, tmp_path: Path) -> None:
    request = judged(preflight, sparse(tmp_path / "disk.raw", 1 * MiB))[0]["request"]
    assert isinstance(request, dict)
    assert request["DiskImageSize"] == 5


def test_what_the_default_profile_refuses_and_the_later_one_accepts_is_told_in_one_line(
    preflight: Command, tmp_path: Path
) -> None:
    disk = sound.disk(tmp_path, sound.tree(tmp_path), bios=False)
    (report,) = judged(preflight, disk)
    assert (report["verdict"], report["also_ready_for"]) == ("not-ready", ["aliyun"])
    assert rules(report)[0] == "boots-by-uefi-only"
    told = preflight("check", disk).out.splitlines()
    assert sum("--profile aliyun" in line for line in told) == 1
    (report,) = judged(preflight, "--profile", "aliyun", disk)
    assert (report["verdict"], report["also_ready_for"]) == ("ready", [])
    assert report["request"]["BootMode"] == "UEFI"  # type: ignore[index]


@pytest.mark.parametrize(
    ("file", "old", "new", "rule", "severity"),
    [
        ("etc/fstab", f"UUID={sound.ROOT_UUID}", "UUID=dead-beef", "fstab-names-missing-device", "error"),
        ("etc/fstab", "UUID=1234-ABCD /boot/efi vfat umask=0077", "UUID=dead /data ext4 defaults",
         "fstab-mounts-data-disk", "error"),
        ("etc/fstab", "UUID=1234-ABCD", "/dev/sda2", "fstab-by-foreign-device-name", "error"),
        ("etc/fstab", "UUID=1234-ABCD", "/dev/vda2", "fstab-by-device-name", "warning"),
        ("boot/grub/grub.cfg", f"root=UUID={sound.ROOT_UUID}", "root=/dev/sda3", "boot-root-by-device-name", "error"),
        ("boot/grub/grub.cfg", f"root=UUID={sound.ROOT_UUID}", "root=UUID=dead-beef", "stale-boot-root", "error"),
        (f"boot/config-{sound.KERNEL}", "CONFIG_VIRTIO_BLK=y", "# CONFIG_VIRTIO_BLK is not set",
         "virtio-driver-left-to-cloud", "warning"),
        ("etc/network/interfaces", "iface eth0 inet dhcp", "iface eth0 inet static\n  address 192.0.2.7/24",
         "static-address", "warning"),
        ("usr/lib/python3/dist-packages/cloudinit/version.py", "22.4.2", "0.7.5", "cloud-init-too-old", "warning"),
    ],
)  # fmt: skip
def test_a_defect_that_was_planted_in_the_guest_is_found_by_both_profiles(
    preflight: Command, tmp_path: Path, file: str, old: str, new: str, rule: str, severity: str
) -> None:
    root = sound.tree(tmp_path)
    text = (root / file).read_text()
    assert old in text
    (root / file).write_text(text.replace(old, new))
    disk = sound.disk(tmp_path, root)
    for report in judged(preflight, "--profile", "aliyun-2018", "--profile", "aliyun", disk):
        findings = report["findings"]
        assert isinstance(findings, list)
        found = {finding["rule"]: finding["severity"] for finding in findings if finding["severity"] != "info"}
        assert found == {rule: severity}
        assert report["verdict"] == ("not-ready" if severity == "error" else "ready")


# what was inspected elsewhere


def test_what_inspect_wrote_is_judged_as_the_image_itself(preflight: Command, images: Path, tmp_path: Path) -> None:
    paths = [images / "system.qcow2", images / "data.raw"]
    preflight("inspect", "--format", "json", "-o", tmp_path / "facts.json", *paths)
    told = preflight("check", "--format", "json", "--from-json", tmp_path / "facts.json")
    assert told == preflight("check", "--format", "json", *paths)


def test_facts_are_taken_from_stdin(images: Path) -> None:
    line = 'preflight inspect --format json "$1" | preflight check --from-json -'
    told = shell(line, images / "data.raw")
    assert told == shell('preflight check "$1"', images / "data.raw")


@pytest.mark.parametrize("text", ["", "no json", '{"schema": "preflight/report/1"}'])
def test_what_inspect_did_not_write_cannot_be_read(preflight: Command, tmp_path: Path, text: str) -> None:
    (tmp_path / "facts.json").write_text(text)
    told = preflight("check", "--from-json", tmp_path / "facts.json", tmp_path / "absent.json")
    assert told.code == 3
    assert [line.split(": ")[1] for line in told.err.splitlines()[:2]] == [
        str(tmp_path / "facts.json"),
        str(tmp_path / "absent.json"),
    ]


@pytest.mark.parametrize("option", ["--no-guest", "--second-opinion"])
def test_nothing_is_inspected_where_facts_are_given(preflight: Command, images: Path, option: str) -> None:
    assert preflight("check", "--from-json", option, images / "data.raw").code == 2
