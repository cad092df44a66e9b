"""The sdist and the wheel: what is in them, and that the wheel is enough."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.cli.running import ROOT, environment
from tests.tools import run


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both, built offline by the hatchling that is installed here."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    return folder


def sources() -> set[str]:
    found = (path for path in (ROOT / "preflight").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(ROOT)) for path in found}


def test_the_wheel_has_the_whole_package_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    metadata = {name for name in names if ".dist-info/" in name}
    assert names - metadata == sources()
    assert {"preflight/py.typed", "preflight/profiles/aliyun.toml", "preflight/profiles/aliyun-2018.toml"} <= names
    assert "preflight/profiles/requirements/aliyun.toml" in names
    assert any(name.endswith("/licenses/LICENSE") for name in metadata)


def test_the_sdist_has_the_package_and_its_tests(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert sources() <= names
    assert {"pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "Makefile", "action.yml"} <= names
    assert {"tests/packages.txt", "fixtures/images/accepted.qcow2", ".pre-commit-hooks.yaml"} <= names


def test_the_wheel_works_without_the_repository(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    run(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--no-index", "--target", tmp_path / "site", wheel),
    )
    done = subprocess.run(
        [sys.executable, tmp_path / "site" / "bin" / "preflight", "rules", "--coverage"],
        cwd=tmp_path,
        env=environment({"PYTHONPATH": str(tmp_path / "site")}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "GUESTOS.Fstab" in done.stdout
