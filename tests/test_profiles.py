"""The profiles: that the default one states what its document states, and that wrong data is refused."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from preflight import profiles
from preflight.errors import ProfileError
from preflight.rules import all_rules
from preflight.verdicts import Profile, Range

PAGE = Path(__file__).parents[2] / "shared" / "reference" / "importimage-2018.md"
DATA = Path(profiles.__file__).parent / "aliyun-2018.toml"

# Of the API as it is now; a rule that has one is not in the page of 2018.
LATER_CODES = {
    "InvalidBlockSize.NotSupport",
    "InvalidOSSBucket.Malformed",
    "InvalidOSSObject.Malformed",
    "InvalidOSSObject.Size",
    "InvalidVHDImage.IncorrectSize",
    "UnsupportedSuffix.OSSObject",
}


@pytest.fixture
def page() -> str:
    """The document of the default profile."""
    if not PAGE.exists():
        pytest.skip(f"not here: {PAGE}")
    return PAGE.read_text(encoding="utf-8").replace("\\", "")


@pytest.fixture
def seed() -> Profile:
    return profiles.load("aliyun-2018")


def row(page: str, parameter: str) -> str:
    """The page's text on one request parameter."""
    start = page.index(f"\n|{parameter}|")
    return page[start : page.index("|\n", start)]


def values(text: str) -> list[str]:
    """The items of the list in a parameter's text."""
    return re.findall(r"-   ([\w. ]+)$", text, re.MULTILINE)


def test_the_default_profile_comes_first() -> None:
    assert profiles.DEFAULT == "aliyun-2018"
    assert profiles.names()[0] == "aliyun-2018"


@pytest.mark.parametrize("name", profiles.names())
def test_every_profile_loads_under_its_own_name_and_dates_its_sources(name: str) -> None:
    profile = profiles.load(name)
    assert profile.name == name
    used = {profile.source} | {setting.source for setting in profile.rules.values()}
    for key, document in profile.sources.items():
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", document.read)
        assert document.url.startswith("https://")
        assert key in used
    assert str(profile.sources[profile.source]).count(profile.sources[profile.source].url) == 1


def test_the_numbers_are_those_of_the_page(seed: Profile) -> None:
    limits = seed.limits
    assert limits.system_disk_gib == Range(5, 500)
    assert limits.data_disk_gib == Range(5, 1000)
    assert limits.mappings == Range(1, 17)
    assert limits.image_name_length == Range(2, 128)
    assert limits.description_length == Range(0, 256)
    assert limits.forbidden_beginnings == ("http://", "https://")
    assert seed.role_name == "AliyunECSImageImportDefaultRole"


def test_the_enumerations_are_those_of_the_page(seed: Profile) -> None:
    limits = seed.limits
    assert set(limits.architectures) == {"i386", "x86_64"}
    assert limits.os_types == ("linux", "windows")
    assert limits.default_platform == "Others Linux"
    assert dict(limits.platforms) == {
        "CentOS": "linux",
        "Ubuntu": "linux",
        "SUSE": "linux",
        "OpenSUSE": "linux",
        "Debian": "linux",
        "CoreOS": "linux",
        "Aliyun": "linux",
        "Windows Server 2003": "windows",
        "Windows Server 2008": "windows",
        "Windows Server 2012": "windows",
        "Others Linux": "linux",
        "Customized Linux": "linux",
    }
    assert limits.formats == {"raw": "RAW", "vhd": "VHD", "qcow2": "qcow2"}
    assert limits.boot_modes == ()


def test_the_page_itself_says_so(page: str, seed: Profile) -> None:
    limits = seed.limits

    def both(allowed: Range) -> str:
        return f"[{allowed.minimum}, {allowed.maximum}]"

    assert f"n的取值范围为{both(limits.mappings)}" in page
    assert f"长度为{both(limits.image_name_length)}个" in row(page, "ImageName")
    assert f"长度为{both(limits.description_length)}个" in row(page, "Description")
    for parameter in ("ImageName", "Description"):
        assert all(beginning in row(page, parameter) for beginning in limits.forbidden_beginnings)
    sizes = row(page, "DiskDeviceMapping.n.DiskImageSize")
    assert f"系统盘：{both(limits.system_disk_gib)} GiB" in sizes
    assert f"数据盘：{both(limits.data_disk_gib)} GiB" in sizes
    # The first item of a list follows its introduction on the same line.
    for parameter, allowed in (
        ("Architecture", limits.architectures),
        ("OSType", limits.os_types),
        ("Platform", limits.platforms),
        ("DiskDeviceMapping.n.Format", limits.formats.values()),
    ):
        assert sorted(values(row(page, parameter))) == sorted(allowed)
    assert f"默认值：{limits.architectures[0]}" in row(page, "Architecture")
    assert f"默认值：{limits.os_types[0]}" in row(page, "OSType")
    assert f"默认值：{limits.default_platform}" in row(page, "Platform")
    assert f"`{seed.role_name}`" in page


def test_the_policies_are_those_of_the_page(page: str, seed: Profile) -> None:
    blocks = re.findall(r"```\n(\s*\{\s*\"(?:Statement|Version)\".*?)```", page, re.DOTALL)
    assert len(blocks) == 2
    assert json.loads(blocks[0]) == seed.trust_policy
    assert json.loads(blocks[1]) == seed.permission_policy


def test_every_error_code_of_the_page_is_a_rule_or_is_listed_as_not_checkable(page: str, seed: Profile) -> None:
    table = page[page.index("## 错误码") :]
    stated = set(re.findall(r"^\|([A-Za-z]+(?:\.[A-Za-z]+)?)\|", table, re.MULTILINE))
    assert len(stated) == 16
    foreseen = {setting.api_error for setting in seed.rules.values() if setting.api_error}
    assert stated <= foreseen | set(seed.not_checkable)
    assert foreseen - stated == LATER_CODES
    assert set(seed.not_checkable) <= stated
    assert all(seed.not_checkable.values())


def test_the_three_mandatory_parameters_have_a_rule_each(page: str, seed: Profile) -> None:
    table = page[page.index("## 错误码") :]
    named = re.findall(r"^\|MissingParameter\|[^|]*“(?:DiskDeviceMapping\.n\.)?(\w+)”", table, re.MULTILINE)
    assert named == ["RegionId", "OSSBucket", "OSSObject"]
    missing = [rule for rule, setting in seed.rules.items() if setting.api_error == "MissingParameter"]
    assert missing == ["region-id-missing", "oss-bucket-missing", "oss-object-missing"]


def test_the_formats_of_a_profile_are_ones_that_are_recognised(seed: Profile) -> None:
    contract = {"raw", "vhd", "qcow2", "vhdx", "vmdk", "vdi", "qed", "qcow", "parallels"}
    assert set(seed.limits.formats) <= contract


def altered(tmp_path: Path, old: str, new: str) -> str:
    """The default profile's file with one thing changed."""
    text = DATA.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "altered.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[rules.backing-file]", "[rules.backing-fil]", "backing-fil"),
        ("[rules.backing-file]", "[rules.backing_file]", "backing_file"),
        ("system_disk_gib =", "system_disk_gb =", "system_disk_gb"),
        ("system_disk_gib = [5, 500]", "system_disk_gib = [5]", "system_disk_gib"),
        ("system_disk_gib = [5, 500]", "system_disk_gib = [500, 5]", "system_disk_gib"),
        ("system_disk_gib = [5, 500]", "system_disk_gib = [5, 500.5]", "system_disk_gib"),
        ("mappings = [1, 17]", "", "mappings"),
        ('severity = "error"', 'severity = "fatal"', "fatal"),
        ('severity = "error"', 'sevrity = "error"', "sevrity"),
        ('source = "qcow2"', 'source = "qcow3"', "qcow3"),
        ('source = "seed"\nrole_name', 'source = "sed"\nrole_name', "'sed'"),
        ("[sources.lfs]", "[sources.lsf]", "lfs"),
        ('read = "2026-11-23"', "", "read"),
        ('CentOS = "linux"', 'CentOS = "linus"', "linus"),
        ('default_platform = "Others Linux"', 'default_platform = "Other Linux"', "Other Linux"),
        ("{region}", "{regions}", "regions"),
        ("{region}", "{", "region"),
        ("[limits]", "[limits", "TOML"),
        ("[limits]", "not_a_key = 1\n[limits]", "not_a_key"),
    ],
)
def test_wrong_data_is_refused_by_name(tmp_path: Path, old: str, new: str, told: str) -> None:
    path = altered(tmp_path, old, new)
    with pytest.raises(ProfileError) as caught:
        profiles.read(path)
    assert path in str(caught.value)
    if told != "TOML":
        assert told in str(caught.value)


def test_a_profile_that_does_not_exist_is_an_error_that_names_those_that_do() -> None:
    for name in ("aliyun-2019", "", "../aliyun-2018", "aliyun-2018.toml"):
        with pytest.raises(ProfileError, match="aliyun-2018"):
            profiles.load(name)


def test_no_cloud_number_of_the_profile_stands_in_the_rules() -> None:
    limits: dict[str, Any] = tomllib.loads(DATA.read_text(encoding="utf-8"))["limits"]
    folder = Path(next(iter(all_rules().values())).judge.__code__.co_filename).parent
    numbers = {str(limits[name][1]) for name in ("system_disk_gib", "data_disk_gib", "object_bytes")}
    for module in folder.glob("*.py"):
        code = re.sub(r'""".*?"""', "", module.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not numbers & set(re.findall(r"\b\d+\b", code)), module
