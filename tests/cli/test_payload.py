"""`preflight payload`."""

import json
import urllib.parse
from pathlib import Path

import pytest

from preflight import targets
from tests import sound
from tests.cli.conftest import Command
from tests.tools import run, sparse

PLACE = ("--region", "cn-hangzhou", "--bucket", "my-bucket")
REQUIRED = {"RegionId", "DiskDeviceMapping"}
KNOWN = {"RegionId", "ImageName", "Description", "Architecture", "OSType", "Platform", "DiskDeviceMapping"}


def mappings(out: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(out)["DiskDeviceMapping"]
    return found


def test_json_is_the_request_of_the_contract(preflight: Command, images: Path) -> None:
    told = preflight("payload", *PLACE, images / "system.qcow2", images / "data.raw")
    assert told.code == 0
    request = json.loads(told.out)
    assert set(request) >= REQUIRED
    assert set(request) <= KNOWN
    assert request["RegionId"] == "cn-hangzhou"
    assert mappings(told.out) == [
        {"Format": "qcow2", "OSSBucket": "my-bucket", "OSSObject": "system.qcow2", "DiskImageSize": 5},
        {"Format": "RAW", "OSSBucket": "my-bucket", "OSSObject": "data.raw", "DiskImageSize": 5},
    ]


def test_what_is_declared_is_sent(preflight: Command, images: Path) -> None:
    declared = {
        "--image-name": ("ImageName", "my-image"),
        "--description": ("Description", "one of mine"),
        "--os-type": ("OSType", "linux"),
        "--platform": ("Platform", "CentOS"),
        "--architecture": ("Architecture", "x86_64"),
    }
    options = [word for option, (_, value) in declared.items() for word in (option, value)]
    told = preflight("payload", *PLACE, *options, images / "system.qcow2")
    assert told.code == 0
    request = json.loads(told.out)
    assert {key: request[key] for key, _ in declared.values()} == dict(declared.values())


def test_keys_are_given_in_order_or_made_of_prefix_and_name(preflight: Command, images: Path) -> None:
    paths = (images / "system.qcow2", images / "data.raw", images / "data.raw")
    told = preflight("payload", *PLACE, "--key", "a/b", "--key", "c", "--key-prefix", "p/", *paths)
    assert [mapping["OSSObject"] for mapping in mappings(told.out)] == ["a/b", "c", "p/data.raw"]


def test_sizes_and_formats_are_given_in_order(preflight: Command, images: Path) -> None:
    sizes = ("--disk-image-size", "40", "--disk-image-size", "60")
    formats = ("--image-format", "qcow2")
    told = preflight("payload", *PLACE, *sizes, *formats, images / "system.qcow2", images / "data.raw")
    assert [mapping["DiskImageSize"] for mapping in mappings(told.out)] == [40, 60]
    assert [mapping["Format"] for mapping in mappings(told.out)] == ["qcow2", "RAW"]


@pytest.mark.parametrize("option", ["--key", "--disk-image-size", "--image-format"])
def test_more_values_than_images_are_wrong_usage(preflight: Command, images: Path, option: str) -> None:
    told = preflight("payload", *PLACE, option, "7", option, "8", images / "system.qcow2")
    assert (told.code, told.out) == (2, "")
    assert f"{option} is given 2 times for 1 images" in told.err


@pytest.mark.parametrize("missing", ["--region", "--bucket"])
def test_region_and_bucket_are_required(preflight: Command, images: Path, missing: str) -> None:
    given = {"--region": "r", "--bucket": "b"}
    del given[missing]
    told = preflight("payload", *[word for pair in given.items() for word in pair], images / "system.qcow2")
    assert (told.code, told.out) == (2, "")
    assert missing in told.err


def test_the_query_is_one_parameter_a_line(preflight: Command, images: Path) -> None:
    told = preflight("payload", *PLACE, "--as", "query", "--image-name", "my-image", images / "system.qcow2")
    lines = told.out.splitlines()
    assert lines[0] == "Action=ImportImage"
    assert "RegionId=cn-hangzhou" in lines
    assert "ImageName=my-image" in lines
    assert "DiskDeviceMapping.1.OSSBucket=my-bucket" in lines


def test_the_url_is_the_same_encoded(preflight: Command, images: Path) -> None:
    arguments = (*PLACE, "--description", "100 % & a=b + ü", images / "system.qcow2")
    plain = preflight("payload", "--as", "query", *arguments).out
    encoded = preflight("payload", "--as", "url", *arguments).out
    decoded = urllib.parse.parse_qsl(urllib.parse.urlsplit(encoded.strip()).query, strict_parsing=True)
    assert ("Description", "100 % & a=b + ü") in decoded
    assert decoded == [tuple(line.split("=", 1)) for line in plain.splitlines()]


def test_nothing_is_written_while_an_error_stands(preflight: Command, images: Path, tmp_path: Path) -> None:
    told = preflight("payload", *PLACE, images / "foreign.vmdk", "-o", tmp_path / "out")
    assert (told.code, told.out) == (1, "")
    assert not (tmp_path / "out").exists()
    assert f"error: mapping 1, {images / 'foreign.vmdk'}: format-not-importable: " in told.err
    assert "--force" in told.err


def test_force_writes_it_all_the_same(preflight: Command, images: Path) -> None:
    told = preflight("payload", *PLACE, "--force", images / "foreign.vmdk")
    assert told.code == 1
    assert mappings(told.out)[0]["OSSObject"] == "foreign.vmdk"
    assert "error: mapping 1" in told.err


def test_errors_are_told_even_quietly_and_nothing_else(preflight: Command, images: Path) -> None:
    told = preflight("payload", *PLACE, "--quiet", images / "foreign.vmdk")
    assert told.code == 1
    assert all(line.startswith(("error: ", "  remedy: ")) for line in told.err.splitlines())
    assert preflight("payload", *PLACE, "--quiet", images / "system.qcow2").err == ""


def test_an_unreadable_image_writes_nothing(preflight: Command, images: Path) -> None:
    told = preflight("payload", *PLACE, "--force", images / "system.qcow2", images / "absent")
    assert (told.code, told.out) == (3, "")
    assert f"preflight: {images / 'absent'}: cannot open: No such file or directory" in told.err


def test_reminders_name_the_bucket_and_the_region(preflight: Command, images: Path) -> None:
    told = preflight("payload", *PLACE, images / "system.qcow2")
    assert "my-bucket" in told.err
    assert "cn-hangzhou" in told.err


def test_more_disks_than_a_request_has_places_for_are_an_error(preflight: Command, images: Path) -> None:
    disks = [images / "data.raw"] * 16
    told = preflight("payload", *PLACE, images / "system.qcow2", *disks, *[f"--key=k{number}" for number in range(17)])
    assert told.code == 0
    assert len(mappings(told.out)) == 17
    told = preflight("payload", *PLACE, images / "system.qcow2", *disks, images / "data.raw")
    assert (told.code, told.out) == (1, "")


@pytest.mark.parametrize("target", targets.names())
def test_a_hostile_name_cannot_forge_a_parameter(preflight: Command, tmp_path: Path, target: str) -> None:
    path = sparse(tmp_path / "a\nOSType=windows&OSType=windows.raw", 5 << 30)
    told = preflight("payload", *PLACE, "--as", target, "--force", "--ignore", "no-way-to-boot", path)
    assert "\nOSType=windows" not in told.out
    assert "\nOSType=windows" not in told.err
    if target == "url":
        assert "OSType" not in dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(told.out.strip()).query))


def test_the_request_says_what_the_guest_is(preflight: Command, images: Path) -> None:
    request = json.loads(preflight("payload", *PLACE, images / "system.qcow2").out)
    assert (request["OSType"], request["Platform"], request["Architecture"]) == ("linux", "Debian", "x86_64")
    assert not {"BootMode", "LicenseType", "Features"} & set(request)
    request = json.loads(preflight("payload", *PLACE, "--profile", "aliyun", images / "system.qcow2").out)
    assert (request["OSType"], request["Platform"], request["Architecture"]) == ("linux", "Debian", "x86_64")
    assert (request["BootMode"], request["Features"]) == ("BIOS", {"NvmeSupport": "supported"})
    assert "LicenseType" not in request
    assert request["DiskDeviceMapping"][0]["Format"] == "QCOW2"
    assert request["DiskDeviceMapping"][0]["DiskImageSize"] == 1


YOUNGER = (
    *("--license-type", "BYOL", "--nvme-support", "unsupported", "--imds-support", "v2"),
    *("--detection-strategy", "Standard", "--role-name", "my-role", "--resource-group-id", "rg-1"),
    *("--client-token", "abc", "--tag", "team=a=b", "--tag", "empty=", "--dry-run", "--boot-mode", "UEFI"),
)


def test_the_younger_parameters_are_sent_by_their_wire_names(preflight: Command, images: Path) -> None:
    place = (*PLACE, "--profile", "aliyun", *YOUNGER, images / "system.qcow2")
    request = json.loads(preflight("payload", *place).out)
    wanted = {
        "BootMode": "UEFI",
        "LicenseType": "BYOL",
        "Features": {"NvmeSupport": "unsupported", "ImdsSupport": "v2"},
        "RoleName": "my-role",
        "ResourceGroupId": "rg-1",
        "DetectionStrategy": "Standard",
        "ClientToken": "abc",
        "DryRun": True,
        "Tag": [{"Key": "team", "Value": "a=b"}, {"Key": "empty", "Value": ""}],
    }
    assert {key: request[key] for key in wanted} == wanted
    lines = preflight("payload", "--as", "query", *place).out.splitlines()
    assert {
        *("BootMode=UEFI", "LicenseType=BYOL", "Features.NvmeSupport=unsupported", "Features.ImdsSupport=v2"),
        *("RoleName=my-role", "ResourceGroupId=rg-1", "DetectionStrategy=Standard", "ClientToken=abc", "DryRun=true"),
        *("Tag.1.Key=team", "Tag.1.Value=a=b", "Tag.2.Key=empty", "Tag.2.Value="),
    } <= set(lines)


def test_what_the_api_of_2018_does_not_know_is_told_and_not_sent(preflight: Command, images: Path) -> None:
    told = preflight("payload", *PLACE, *YOUNGER, images / "system.qcow2")
    assert told.code == 0
    assert set(json.loads(told.out)) <= KNOWN
    assert told.err.count("parameter-not-offered") == 9


def test_a_tag_needs_an_equals_sign(preflight: Command, images: Path) -> None:
    told = preflight("payload", *PLACE, "--tag", "alone", images / "system.qcow2")
    assert (told.code, told.out) == (2, "")
    assert "KEY=VALUE" in told.err


def test_a_data_disk_of_the_request_may_be_in_fstab(preflight: Command, tmp_path: Path) -> None:
    root = sound.tree(tmp_path)
    uuid = "11111111-2222-4333-8444-555555555555"
    with (root / "etc/fstab").open("a") as fstab:
        fstab.write(f"UUID={uuid} /data ext4 defaults 0 2\n")
    system = sound.disk(tmp_path, root)
    data = sparse(tmp_path / "data.raw", 64 << 20)
    run("mke2fs", "-q", "-t", "ext4", "-U", uuid, data)
    alone = preflight("payload", *PLACE, system)
    assert alone.code == 1
    assert "fstab-mounts-data-disk" in alone.err
    assert preflight("payload", *PLACE, system, data).code == 0


def test_the_profile_that_would_accept_it_is_named(preflight: Command, tmp_path: Path) -> None:
    system = sound.disk(tmp_path, sound.tree(tmp_path), bios=False)
    told = preflight("payload", *PLACE, system)
    assert (told.code, told.out) == (1, "")
    assert "--profile aliyun\n" in told.err


def test_a_guest_that_is_not_read_is_one_hint_for_all_its_rules(preflight: Command, images: Path) -> None:
    told = preflight("payload", *PLACE, "--no-guest", images / "system.qcow2")
    assert told.code == 0
    assert told.err.count("undetermined:") == 1
    assert not {"OSType", "Platform", "Architecture"} & set(json.loads(told.out))


def test_what_a_target_cannot_send_is_told_even_quietly(preflight: Command, images: Path) -> None:
    place = (*PLACE, "--profile", "aliyun", "--quiet", *YOUNGER, images / "system.qcow2")
    told = preflight("payload", "--as", "terraform", *place)
    assert told.code == 0
    assert 'boot_mode    = "UEFI"' in told.out
    lines = told.err.splitlines()
    assert "warning: --as terraform: RoleName is left out: alicloud_image_import does not send it" in lines
    assert "warning: --as terraform: DryRun is left out: alicloud_image_import does not send it" in lines
    assert "warning: --as" not in preflight("payload", "--as", "aliyun-cli", *place).err


def test_a_warning_cannot_steer_a_terminal(preflight: Command, images: Path) -> None:
    place = (*PLACE, "--force", "--quiet", "--architecture", "x\x1b[2J\nwarning: y", images / "system.qcow2")
    told = preflight("payload", "--as", "pulumi", *place)
    assert "warning: --as pulumi: Architecture is x" in told.err
    assert "\x1b" not in told.err
    assert "\nwarning: y" not in told.err


def test_help_names_every_target(preflight: Command) -> None:
    assert f"[{'|'.join(targets.names())}]" in preflight("payload", "--help").out


def test_another_target_is_wrong_usage(preflight: Command, images: Path) -> None:
    told = preflight("payload", *PLACE, "--as", "terraform_json", images / "system.qcow2")
    assert (told.code, told.out) == (2, "")
    assert "terraform-json" in told.err
