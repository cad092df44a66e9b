"""Rules on the parameters of the request, as importimage-2018 and the naming rules of OSS state them."""

from typing import Any

import pytest

from preflight.verdicts import Breach, Declared
from tests import builders
from tests.builders import breaches, found, image

LONG = "a" * 129


def broken(rule: str, **declared: Any) -> list[Breach]:
    return breaches(rule, image(), Declared(**declared))


def test_what_is_not_declared_is_not_judged() -> None:
    assert found(image(), Declared()) == {}


@pytest.mark.parametrize(
    "name",
    [
        "ab",
        "a" * 128,
        "镜像",
        "镜" * 128,
        "Zz",
        "a1",
        "a.b:c_d-e",
        "中文-name_1.0:x",
        "㐀㐁",  # extension A
        "𠀀𠀁",  # extension B: two characters, not four
        "httpx",
        "http-server",
        "aliyun-image",  # forbidden in later versions of the API only
    ],
)
def test_a_good_image_name_passes(name: str) -> None:
    assert not broken("image-name-malformed", image_name=name)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "it has 0 characters, allowed are 2 to 128"),
        ("a", "it has 1 characters, allowed are 2 to 128"),
        ("镜", "it has 1 characters"),
        ("𠀀", "it has 1 characters"),
        (LONG, "it has 129 characters, allowed are 2 to 128"),
        ("镜" * 129, "it has 129 characters"),
        ("1ab", "it begins with '1'"),
        (".ab", "it begins with '.'"),
        ("_ab", "it begins with '_'"),
        (":ab", "it begins with ':'"),
        ("-ab", "it begins with '-'"),
        ("a b", "it has ' '"),
        ("a/b", "it has '/'"),
        ("a：b", "it has '：'"),  # the page allows the half-width colon
        ("ａb", "it begins with 'ａ'"),  # a full-width letter
        ("aé", "it has 'é'"),
        ("aあ", "it has 'あ'"),  # Japanese
        ("a\nb", "it has '\\n'"),
        ("ab\n", "it has '\\n'"),
        ("a\x00", "it has '\\x00'"),
        ("a\udcff", "it has '\\udcff'"),
        ("a\u202eb", "it has '\\u202e'"),
        ("a１", "it has '１'"),  # a digit, but not of ASCII
        ("http://ab", "it begins with http://"),
        ("https://ab", "it begins with https://"),
        ("HTTPS://ab", "it begins with https://"),
    ],
)
def test_a_bad_image_name_is_told_with_its_fault(name: str, fault: str) -> None:
    (breach,) = broken("image-name-malformed", image_name=name)
    assert fault in breach.message
    assert breach.message.isprintable()
    assert breach.subject == "ImageName"


@pytest.mark.parametrize("description", ["", "a", "a" * 256, "镜" * 256, "𠀀" * 256, "a http://x", "1. any thing!"])
def test_a_good_description_passes(description: str) -> None:
    assert not broken("description-malformed", description=description)


@pytest.mark.parametrize(
    ("description", "fault"),
    [
        ("a" * 257, "it has 257 characters, allowed are 0 to 256"),
        ("镜" * 257, "it has 257 characters"),
        ("http://x", "it begins with http://"),
        ("https://x", "it begins with https://"),
        ("Http://x", "it begins with http://"),
        ("a\udcff", "it is not UTF-8"),
    ],
)
def test_a_bad_description_is_told_with_its_fault(description: str, fault: str) -> None:
    assert fault in broken("description-malformed", description=description)[0].message


@pytest.mark.parametrize(
    ("rule", "parameter", "good", "bad"),
    [
        ("architecture-invalid", "architecture", ["i386", "x86_64"], ["arm64", "X86_64", "amd64", ""]),
        ("os-type-invalid", "os_type", ["linux", "windows"], ["Linux", "freebsd", ""]),
        (
            "platform-invalid",
            "platform",
            ["CentOS", "Others Linux", "Windows Server 2012"],
            ["centos", "Others", "Windows Server 2016", "RedHat", ""],
        ),
    ],
)
def test_an_enumeration_takes_its_values_and_no_others(
    rule: str, parameter: str, good: list[str], bad: list[str]
) -> None:
    for value in good:
        assert not broken(rule, **{parameter: value})
    for value in bad:
        (breach,) = broken(rule, **{parameter: value})
        assert repr(value) in breach.message


def test_a_value_in_the_wrong_case_is_corrected() -> None:
    assert broken("platform-invalid", platform="centos")[0].remedy == "Write CentOS."
    assert "CentOS, Ubuntu, SUSE" in broken("platform-invalid", platform="Gentoo")[0].remedy


@pytest.mark.parametrize(
    ("platform", "os_type", "passes"),
    [
        ("Ubuntu", "linux", True),
        ("Ubuntu", None, True),
        ("Ubuntu", "windows", False),
        ("Windows Server 2012", "windows", True),
        ("Windows Server 2012", "linux", False),
        ("Windows Server 2012", None, False),  # the default is linux
        ("Customized Linux", "windows", False),
        (None, "linux", True),
        ("no such", "windows", True),  # told by another rule
        ("Ubuntu", "no such", True),
    ],
)
def test_a_platform_belongs_to_the_os_type(platform: str | None, os_type: str | None, passes: bool) -> None:
    said = broken("platform-contradicts-os-type", platform=platform, os_type=os_type)
    assert (not said) == passes


def test_a_default_platform_that_contradicts_the_os_type_is_a_warning() -> None:
    unread = image(guest=builders.UNREAD)
    assert found(unread, Declared(os_type="windows")) == {"platform-left-to-default": "warning"}
    (breach,) = breaches("platform-left-to-default", unread, Declared(os_type="windows"))
    assert breach.remedy.endswith("one of: Windows Server 2003, Windows Server 2008, Windows Server 2012.")
    assert found(image(), Declared(os_type="linux")) == {}
    assert found(unread, Declared(os_type="windows", platform="Windows Server 2008")) == {}
    told = builders.with_windows()
    assert found(told, Declared(os_type="windows")) == {}


def test_a_boot_mode_cannot_be_sent_to_this_api() -> None:
    assert found(image(), Declared(boot_mode="UEFI")) == {"boot-mode-invalid": "warning"}


@pytest.mark.parametrize("value", ["RAW", "VHD", "qcow2", "raw", "vhd", "QCOW2"])
def test_a_format_of_the_api_passes_in_any_case(value: str) -> None:
    assert not broken("declared-format-invalid", image_format=value)


@pytest.mark.parametrize("value", ["VMDK", "vhdx", "", "raw "])
def test_any_other_format_is_refused(value: str) -> None:
    assert found(image(), Declared(image_format=value)) == {"declared-format-invalid": "error"}


def test_the_detected_format_counts_and_another_one_is_a_warning() -> None:
    assert found(image(), Declared(image_format="RAW")) == {"declared-format-differs": "warning"}
    assert broken("declared-format-differs", image_format="RAW")[0].message == (
        "Format RAW is declared, the image is qcow2, and the detected one counts"
    )
    assert found(image(), Declared(image_format="QCOW2")) == {}
    assert found(builders.vhd(), Declared(image_format="VHD")) == {}
    assert found(builders.vhd(), Declared(image_format="RAW")) == {"declared-format-differs": "warning"}


@pytest.mark.parametrize(
    ("parameter", "rule"),
    [("region_id", "region-id-missing"), ("oss_bucket", "oss-bucket-missing"), ("oss_object", "oss-object-missing")],
)
def test_a_mandatory_parameter_that_is_empty_is_an_error_and_nothing_else(parameter: str, rule: str) -> None:
    assert found(image(), Declared(**{parameter: ""})) == {rule: "error"}  # type: ignore[arg-type]


@pytest.mark.parametrize("region", ["cn-hangzhou", "ap-southeast-8", "us-west-1", "cn-north-2-gov-1"])
def test_a_known_region_passes(region: str) -> None:
    assert found(image(), Declared(region_id=region)) == {}


@pytest.mark.parametrize("region", ["cn-atlantis", "eu-north-1", "cn-hangzhou-h"])
def test_a_region_that_may_be_new_is_a_warning(region: str) -> None:
    assert found(image(), Declared(region_id=region)) == {"region-unknown": "warning"}


@pytest.mark.parametrize(
    "region", ["CN-Hangzhou", "cn_hangzhou", " cn-hangzhou", "cn-hangzhou\n", "杭州", "a", "-", "\udcff"]
)
def test_what_cannot_be_a_region_is_an_error(region: str) -> None:
    assert found(image(), Declared(region_id=region)) == {"region-id-malformed": "error"}


@pytest.mark.parametrize("bucket", ["abc", "a" * 63, "0-0", "ecsimageos", "a--b"])
def test_a_bucket_name_that_can_exist_passes(bucket: str) -> None:
    assert not broken("oss-bucket-malformed", oss_bucket=bucket)


@pytest.mark.parametrize(
    "bucket", ["ab", "a" * 64, "-ab", "ab-", "Abc", "a_b", "a.b", "oss://abc", "abc/", "abc\n", "镜像镜像", "ａｂｃ"]
)
def test_a_bucket_name_that_cannot_exist_is_an_error(bucket: str) -> None:
    assert found(image(), Declared(oss_bucket=bucket)) == {"oss-bucket-malformed": "error"}
    assert broken("oss-bucket-malformed", oss_bucket=bucket)[0].message.isprintable()


@pytest.mark.parametrize("key", ["a", "a" * 1023, "镜" * 341, "a/b c.raw", "CentOS_5.4_32.raw", "-x", "a\\b"])
def test_a_key_that_can_exist_passes(key: str) -> None:
    assert not broken("oss-object-malformed", oss_object=key)


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ("a" * 1024, "it has 1024 bytes, allowed are 1 to 1023"),
        ("镜" * 341 + "a", "it has 1024 bytes"),
        ("/a", "it begins with /"),
        ("\\a", "it begins with \\"),
        ("a\udcff", "it is not UTF-8"),
    ],
)
def test_a_key_that_cannot_exist_is_an_error(key: str, fault: str) -> None:
    assert found(image(), Declared(oss_object=key)) == {"oss-object-malformed": "error"}
    assert fault in broken("oss-object-malformed", oss_object=key)[0].message


def test_two_disks_need_two_keys() -> None:
    assert not broken("oss-object-repeated", oss_object="a", other_objects=("b", "A"))
    assert found(image(), Declared(oss_object="a", other_objects=("b", "a"))) == {"oss-object-repeated": "error"}


@pytest.mark.parametrize(("count", "passes"), [(0, False), (1, True), (17, True), (18, False)])
def test_a_request_has_one_to_seventeen_disks(count: int, passes: bool) -> None:
    said = broken("mapping-count-out-of-range", mapping_count=count)
    assert (not said) == passes
    if said:
        assert said[0].message == f"{count} disks, allowed are 1 to 17"
