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
