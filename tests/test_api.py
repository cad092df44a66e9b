"""The public functions."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

import preflight
from preflight import inspection
from preflight.units import GiB
from tests.tools import sparse


def test_an_image_is_inspected_by_any_sort_of_path(tmp_path: Path) -> None:
    sparse(tmp_path / "data.raw", 5 * GiB)
    assert preflight.inspect(tmp_path / "data.raw") == inspection.inspect(str(tmp_path / "data.raw"))
    assert preflight.inspect(str(tmp_path / "data.raw"), guest=False).virtual_size == 5 * GiB


def test_what_cannot_be_read_is_an_error_of_the_one_family(tmp_path: Path) -> None:
    with pytest.raises(preflight.UnreadableImage):
        preflight.inspect(tmp_path / "absent.raw")
    assert issubclass(preflight.UnreadableImage, preflight.PreflightError)


def test_the_role_is_found_or_as_declared_or_as_asked(tmp_path: Path) -> None:
    sparse(tmp_path / "data.raw", 5 * GiB)
    image = preflight.inspect(tmp_path / "data.raw")
    assert preflight.check(image).role == "data"
    assert preflight.check(image, declared=preflight.Declared(role="system")).role == "system"
    assert preflight.check(image, declared=preflight.Declared(role="system"), role="auto").role == "data"


def test_an_image_is_judged_by_the_profile_that_is_asked_for(tmp_path: Path) -> None:
    sparse(tmp_path / "data.raw", 1100 * GiB)
    image = preflight.inspect(tmp_path / "data.raw")
    report = preflight.check(image)
    assert (report.profile, report.verdict, report.also_ready_for) == ("aliyun-2018", "not-ready", ("aliyun",))
    assert preflight.check(image, profile="aliyun").verdict == "ready"
    assert preflight.check(image, ignore=["virtual-size-too-large"]).findings == ()
    with pytest.raises(preflight.ProfileError):
        preflight.check(image, profile="azure")


def test_what_is_declared_is_judged_too(tmp_path: Path) -> None:
    sparse(tmp_path / "data.raw", 5 * GiB)
    image = preflight.inspect(tmp_path / "data.raw")
    report = preflight.check(image, declared=preflight.Declared(role="data", image_format="VHD"))
    assert "declared-format-differs" in [finding.rule for finding in report.findings]
    assert preflight.check(image, declared={"image_format": "VHD"}) == report
    with pytest.raises(TypeError):
        preflight.check(image, declared={"colour": "blue"})


IMAGE = Path(__file__).parents[1] / "fixtures/images/accepted.qcow2"


def reports(folder: Path, **declared: object) -> list[preflight.Report]:
    """Of a system disk and a data disk that are ready."""
    sparse(folder / "data.raw", 20 * GiB)
    return [
        preflight.check(preflight.inspect(path), declared={"role": role, **declared})
        for path, role in ((IMAGE, "system"), (folder / "data.raw", "data"))
    ]


def test_a_request_is_made_of_reports(tmp_path: Path) -> None:
    request = preflight.payload(
        reports(tmp_path),
        region="cn-hangzhou",
        bucket="my-images",
        keys=["a/system.raw", "b/data.raw"],
        declared={"image_name": "golden"},
    )
    assert (request.region_id, request.image_name, request.os_type, request.platform) == (
        *("cn-hangzhou", "golden", "linux", "Debian"),
    )
    assert [(disk.oss_bucket, disk.oss_object, disk.disk_image_size) for disk in request.disk_device_mapping] == [
        ("my-images", "a/system.raw", 20),
        ("my-images", "b/data.raw", 20),
    ]


def test_what_was_declared_of_a_disk_stays_in_the_request(tmp_path: Path) -> None:
    request = preflight.payload(reports(tmp_path, disk_image_size=40), region="cn-hangzhou", bucket="my-images")
    assert [disk.disk_image_size for disk in request.disk_device_mapping] == [40, 40]
    assert [disk.oss_object for disk in request.disk_device_mapping] == ["accepted.qcow2", "data.raw"]


def test_no_request_is_made_where_errors_stand(tmp_path: Path) -> None:
    judged = reports(tmp_path)
    with pytest.raises(preflight.NotReady, match=r"mapping 1: oss-bucket-malformed: OSSBucket: "):
        preflight.payload(judged, region="cn-hangzhou", bucket="My_Images")
    assert preflight.payload(judged, region="cn-hangzhou", bucket="My_Images", ignore=["oss-bucket-malformed"])
    forced = preflight.payload(judged, region="cn-hangzhou", bucket="My_Images", force=True)
    assert forced.disk_device_mapping[1].oss_bucket == "My_Images"


def test_reports_that_make_no_request_are_the_callers_mistake(tmp_path: Path) -> None:
    judged = reports(tmp_path)
    other = preflight.check(judged[1].image, profile="aliyun")
    for wrong in ([], [judged[0], other]):
        with pytest.raises(ValueError, match="all of one profile"):
            preflight.payload(wrong, region="cn-hangzhou", bucket="my-images")
    with pytest.raises(ValueError, match="1 keys for 2 images"):
        preflight.payload(judged, region="cn-hangzhou", bucket="my-images", keys=["one"])


@pytest.mark.parametrize("name", preflight.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(preflight, name) is not None
    assert name in dir(preflight)


def test_another_name_is_not() -> None:
    with pytest.raises(AttributeError, match="nosuch"):
        preflight.nosuch  # noqa: B018


def test_importing_the_package_imports_none_of_it() -> None:
    code = "import sys, preflight; print(sorted(name for name in sys.modules if name.startswith('preflight.')))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"


def test_values_are_frozen() -> None:
    declared = preflight.Declared()
    with pytest.raises(AttributeError):
        declared.role = "data"  # type: ignore[misc]
    assert msgspec.structs.replace(declared, role="data").role == "data"
