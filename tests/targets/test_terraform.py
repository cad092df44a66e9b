"""The request for Terraform, in both of its languages, and Terraform itself where it is installed."""

import base64
import json
import os
import re
import shutil
import subprocess
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from preflight.import_requests import DiskDeviceMapping
from preflight.targets.terraform import TARGET as TERRAFORM
from preflight.targets.terraform_json import TARGET as TERRAFORM_JSON
from tests.targets import hcl, requests, schemas

PROVIDERS = {"alicloud": {"source": "aliyun/alicloud", "version": ">= 1.225.0"}}
DECOMPOSED = "cafe\u0301.raw"


def terraform(*arguments: str, stdin: str, folder: Path) -> str:
    """What Terraform says. No Debian package has it, so that it is nowhere required."""
    found = shutil.which("terraform")
    if found is None:
        pytest.skip("not installed: terraform")
    environment = {**os.environ, "TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1", "HOME": str(folder)}
    done = subprocess.run(
        [found, *arguments],
        cwd=folder,
        env=environment,
        input=stdin.encode(),
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def evaluated(names: list[str], folder: Path) -> list[str]:
    """The values of these locals."""
    values = ", ".join(f"base64encode(local.{name})" for name in names)
    line = terraform("console", stdin=f'join(",", [{values}])\n', folder=folder).strip()
    return [base64.b64decode(value).decode() for value in line.strip('"').split(",")]


def resource(whole: dict[str, Any]) -> dict[str, Any]:
    """Of what python-hcl2 or JSON has made of a configuration."""
    assert list(whole) == ["terraform", "provider", "resource"]
    found: dict[str, Any] = whole["resource"]["alicloud_image_import"]["image"]
    return found


def read_hcl(text: str) -> dict[str, Any]:
    """In the shape that JSON has: python-hcl2 makes a list of every block."""
    whole = hcl.loads(text)
    return {
        "terraform": {"required_providers": whole["terraform"][0]["required_providers"][0]},
        "provider": whole["provider"][0],
        "resource": whole["resource"][0],
    }


def unescaped(template: str) -> str:
    """The text of a template; it must have no interpolation and no directive."""

    def one(found: re.Match[str]) -> str:
        assert len(found[0]) == 3, f"{template} is taken for more than text"
        return found[0][1:]

    return re.sub(r"\$\$\{|%%\{|\$\{|%\{", one, template)


def test_everything_is_spelt_as_the_provider_does() -> None:
    whole = read_hcl(TERRAFORM.render(requests.everything()))
    assert whole["terraform"]["required_providers"] == PROVIDERS
    assert whole["provider"] == {"alicloud": {"region": "cn-hangzhou"}}
    assert resource(whole) == {
        "image_name": "debian-12",
        "description": "two words",
        "architecture": "x86_64",
        "os_type": "linux",
        "platform": "Others Linux",
        "boot_mode": "UEFI",
        "license_type": "BYOL",
        "disk_device_mapping": [
            {"format": "qcow2", "oss_bucket": "my-images", "oss_object": "a/system.qcow2", "disk_image_size": 20},
            {"format": "RAW", "oss_bucket": "my-images", "oss_object": "a/data.raw", "disk_image_size": 100},
            {"format": "VHD", "oss_bucket": "other-images", "oss_object": "b/data 2.vhd", "disk_image_size": 2048},
        ],
    }


@pytest.mark.parametrize("request_", [requests.everything(), requests.request(), requests.page_request()])
def test_the_attributes_are_those_of_the_provider(request_: Any) -> None:
    body = resource(read_hcl(TERRAFORM.render(request_)))
    schemas.assert_fits(body, schemas.TERRAFORM, schemas.TERRAFORM_REQUIRED)
    for disk in body["disk_device_mapping"]:
        schemas.assert_fits(disk, schemas.TERRAFORM_DISK)
        assert disk["format"] in schemas.TERRAFORM_FORMATS


@pytest.mark.parametrize("request_", [requests.everything(), requests.request(), requests.page_request()])
def test_json_says_the_same(request_: Any) -> None:
    assert json.loads(TERRAFORM_JSON.render(request_)) == read_hcl(TERRAFORM.render(request_))


@pytest.mark.parametrize("key", [*requests.HOSTILE, DECOMPOSED])
def test_any_name_is_text_to_terraform_and_cannot_steer_a_terminal(key: str) -> None:
    request = requests.with_key(key)
    text = TERRAFORM.render(request)
    assert resource(read_hcl(text))["disk_device_mapping"][0]["oss_object"] == key
    shown = TERRAFORM_JSON.render(request)
    assert unescaped(resource(json.loads(shown))["disk_device_mapping"][0]["oss_object"]) == key
    assert all(character.isprintable() or character == "\n" for character in text + shown)


def test_terraform_has_nothing_to_reformat(tmp_path: Path) -> None:
    for request in (requests.everything(), requests.request(), requests.page_request()):
        text = TERRAFORM.render(request)
        assert terraform("fmt", "-", stdin=text, folder=tmp_path) == text


def test_terraform_reads_any_name_as_it_was(tmp_path: Path) -> None:
    """In its own language and in JSON, but for Unicode's normal form, which is told."""
    keys = [*requests.HOSTILE, DECOMPOSED, "\n".join(requests.HOSTILE)]
    lines, literals = [], {}
    for number, key in enumerate(keys):
        request = requests.with_key(key)
        (line,) = [line for line in TERRAFORM.render(request).splitlines() if line.startswith("    oss_object ")]
        lines.append(f"  h{number} = {line.partition(' = ')[2]}\n")
        body = resource(json.loads(TERRAFORM_JSON.render(request)))
        literals[f"j{number}"] = body["disk_device_mapping"][0]["oss_object"]
    (tmp_path / "main.tf").write_text(f"locals {{\n{''.join(lines)}}}\n", newline="")
    (tmp_path / "more.tf.json").write_text(json.dumps({"locals": literals}))
    expected = [unicodedata.normalize("NFC", key) for key in keys]
    assert evaluated([f"h{number}" for number in range(len(keys))], tmp_path) == expected
    assert evaluated([f"j{number}" for number in range(len(keys))], tmp_path) == expected


@pytest.mark.parametrize("target", [TERRAFORM, TERRAFORM_JSON])
def test_what_the_provider_cannot_send_is_told(target: Any) -> None:
    assert [sentence.split()[0] for sentence in target.omits(requests.everything())] == [
        *("Features.NvmeSupport", "Features.ImdsSupport", "RoleName", "ResourceGroupId", "DetectionStrategy"),
        *("ClientToken", "DryRun", "Tag"),
    ]
    assert not target.omits(requests.request())


def test_what_the_provider_refuses_is_written_and_told() -> None:
    request = requests.request(
        architecture="arm64", disk_device_mapping=(DiskDeviceMapping("VMDK", "my-images", "a", 5),)
    )
    body = resource(read_hcl(TERRAFORM.render(request)))
    assert (body["architecture"], body["disk_device_mapping"][0]["format"]) == ("arm64", "VMDK")
    assert list(TERRAFORM.omits(request)) == [
        "Architecture is arm64: alicloud_image_import takes only x86_64, i386",
        "DiskDeviceMapping.1.Format is VMDK: alicloud_image_import takes only RAW, VHD, qcow2",
    ]


def test_a_size_that_the_provider_makes_up_is_told() -> None:
    request = requests.request(disk_device_mapping=(DiskDeviceMapping("RAW", "my-images", "a", None),))
    assert "disk_image_size" not in TERRAFORM.render(request)
    (sentence,) = TERRAFORM.omits(request)
    assert sentence == "DiskDeviceMapping.1.DiskImageSize is not in the request: alicloud_image_import sends 5 then"


def test_text_that_terraform_composes_is_told() -> None:
    (sentence,) = TERRAFORM.omits(requests.with_key(DECOMPOSED))
    assert sentence.startswith("DiskDeviceMapping.1.OSSObject is changed")
