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
from preflight.verdicts import FURTHER_PARAMETERS, Profile, Range

REFERENCE = Path(__file__).parents[2] / "shared" / "reference"
PAGE = REFERENCE / "importimage-2018.md"
FACTS = REFERENCE / "importimage.md"
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


@pytest.fixture
def facts() -> str:
    """What is known of the API as it is now."""
    if not FACTS.exists():
        pytest.skip(f"not here: {FACTS}")
    return FACTS.read_text(encoding="utf-8")


@pytest.fixture
def now() -> Profile:
    return profiles.load("aliyun")


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


PLATFORMS_NOW = [
    "Aliyun",
    "Anolis",
    "CentOS",
    "Ubuntu",
    "CoreOS",
    "SUSE",
    "Debian",
    "OpenSUSE",
    "FreeBSD",
    "RedHat",
    "Kylin",
    "UOS",
    "Fedora",
    "Fedora CoreOS",
    "CentOS Stream",
    "AlmaLinux",
    "Rocky Linux",
    "Gentoo",
    "Customized Linux",
    "Others Linux",
    "Windows Server 2022",
    "Windows Server 2019",
    "Windows Server 2016",
    "Windows Server 2012",
    "Windows Server 2008",
    "Windows Server 2003",
    "Other Windows",
]


def test_the_numbers_of_today_are_those_that_are_known(now: Profile) -> None:
    limits = now.limits
    assert limits.system_disk_gib == limits.data_disk_gib == Range(1, 2048)
    assert limits.mappings == Range(1, 17)
    assert limits.image_name_length == Range(2, 128)
    assert limits.description_length == Range(2, 256)
    assert limits.client_token_length == Range(1, 64)
    assert limits.tags is not None
    assert (limits.tags.maximum, limits.tags.length) == (20, 128)
    assert now.role_name == "AliyunECSImageImportDefaultRole"


def test_the_enumerations_of_today_are_those_that_are_known(now: Profile) -> None:
    limits = now.limits
    assert limits.architectures == ("x86_64", "i386", "arm64")
    assert limits.os_types == ("linux", "windows")
    assert set(limits.platforms) == set(PLATFORMS_NOW)
    assert len(limits.platforms) == 27
    assert {name for name, os_type in limits.platforms.items() if os_type == "windows"} == {
        name for name in PLATFORMS_NOW if "Windows" in name
    }
    assert limits.default_platform == "Others Linux"
    assert limits.boot_modes == ("BIOS", "UEFI")
    assert limits.boot_modes_by_architecture == {"arm64": ("UEFI",)}
    assert limits.license_types == ("Aliyun", "BYOL")
    assert limits.nvme_support == ("supported", "unsupported")
    assert limits.imds_support == ("v1", "v2")
    assert limits.detection_strategies == ("Standard",)
    assert limits.formats == {"raw": "RAW", "vhd": "VHD", "qcow2": "QCOW2"}


def parameter(facts: str, name: str) -> str:
    return re.search(rf"^\| {re.escape(name)} \|.*$", facts, re.MULTILINE)[0]  # type: ignore[index]


def test_the_facts_themselves_say_so(facts: str, now: Profile) -> None:
    limits = now.limits
    quoted = re.findall(r"`([^`]+)`", parameter(facts, "Platform").split("(`Other Windows`")[0])
    assert set(quoted) == set(limits.platforms)
    assert set(re.findall(r"`([^`]+)`", parameter(facts, "Architecture"))) >= set(limits.architectures)
    assert f"{limits.image_name_length.minimum}–{limits.image_name_length.maximum} chars" in parameter(
        facts, "ImageName"
    )
    for beginning in limits.image_name_beginnings:
        assert f"`{beginning}`" in parameter(facts, "ImageName")
    low, high = limits.description_length.minimum, limits.description_length.maximum
    assert f"**{low}–{high}**" in parameter(facts, "Description")
    for value in limits.boot_modes:
        assert f"`{value}`" in parameter(facts, "BootMode")
    for value in limits.license_types:
        assert f"`{value}`" in parameter(facts, "LicenseType").split("Until")[0]
    for value in limits.nvme_support:
        assert f"`{value}`" in parameter(facts, "Features.NvmeSupport")
    for value in limits.imds_support:
        assert f"`{value}`" in parameter(facts, "Features.ImdsSupport")
    for value in limits.detection_strategies:
        assert f"`{value}`" in parameter(facts, "DetectionStrategy")
    for value in limits.formats.values():
        assert f"`{value}`" in parameter(facts, "DiskDeviceMapping.N.Format")
    size = limits.system_disk_gib
    assert f"N=1: **{size.minimum}–{size.maximum}**, N=2–17: **{size.minimum}–{size.maximum}**" in facts
    for name in FURTHER_PARAMETERS.values():
        assert f"| {name}" in facts or f"{name}.N" in facts


def test_every_error_code_of_today_is_a_rule_or_is_listed_as_not_checkable(facts: str, now: Profile) -> None:
    table = facts[facts.index("### 2.1 Error codes") : facts.index("## 3. ")]
    stated: set[str] = set()
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) < 6 or "S only" in line or not cells[1].startswith(("4", "5")):
            continue
        stated |= set(codes(cells[2]))
    assert len(stated) > 45
    foreseen = {setting.api_error for setting in now.rules.values()}
    foreseen |= {setting.data_disk_api_error for setting in now.rules.values()}
    known = {code for code in foreseen if code} | set(now.not_checkable)
    assert known == stated


def codes(cell: str) -> list[str]:
    """`**InvalidBootMode.Malformed / .NotSupport**` and `A; B` as the codes that they stand for."""
    found: list[str] = []
    for code in re.split(r" / |; ", re.sub(r"\(.*?\)|\*", "", cell)):
        word = code.split()[0]
        found.append(f"{found[-1].partition('.')[0]}{word}" if word.startswith(".") else word)
    return found


def test_the_role_of_today_may_ask_where_the_bucket_is(facts: str, now: Profile) -> None:
    actions = now.permission_policy["Statement"][0]["Action"]  # type: ignore[index]
    assert actions == ["oss:GetObject", "oss:GetBucketLocation", "oss:GetBucketInfo"]
    assert json.dumps(now.permission_policy["Statement"], separators=(",", ":")).find("oss:GetBucketInfo") > 0
    assert f"`{now.role_name}`" in facts


def test_the_bad_updates_of_windows_are_those_of_the_image_check(facts: str) -> None:
    row = re.search(r"^\| GUESTOS\.Hotfix \|.*$", facts, re.MULTILINE)
    assert row
    for name in profiles.names():
        contents = profiles.load(name).limits.contents
        needed = contents.needed_updates["Windows Server 2008 R2"]
        assert sorted(re.findall(r"KB\d+", row[0])) == sorted((*contents.bad_updates, *needed))


def test_severities_follow_the_facts() -> None:
    for name in profiles.names():
        severities = {rule: setting.severity for rule, setting in profiles.load(name).rules.items()}
        for rule in ("virtio-driver-missing", "fstab-names-missing-device", "boot-root-by-device-name"):
            assert severities[rule] == "error"
        for rule in ("virtio-driver-left-to-cloud", "selinux-enforcing", "lvm-partitions", "swap-partition"):
            assert severities[rule] == "warning"
        for rule in ("cloud-assistant-missing", "security-center-agent-missing", "root-account-locked"):
            assert severities[rule] == "info"


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
        ('platform = "CentOS"', 'platform = "CentOs"', "CentOs"),
        ('distro = "debian"', 'distri = "debian"', "distri"),
        ('requirements = "aliyun"', 'requirements = "aliyum"', "aliyum"),
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
