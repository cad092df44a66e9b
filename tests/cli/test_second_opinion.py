"""`--second-opinion`, of every command that reads images."""

import json
from pathlib import Path

import pytest

from preflight.units import GiB
from tests.cli.conftest import Command
from tests.fake_qemu import FakeQemu, installed
from tests.tools import sparse


@pytest.fixture
def qemu(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> FakeQemu:
    return installed(tmp_path_factory.mktemp("qemu"), monkeypatch)


@pytest.mark.parametrize("command", ["inspect", "check"])
def test_the_option_adds_what_qemu_img_says(
    preflight: Command,
    qemu: FakeQemu,
    tmp_path: Path,
    command: str,
) -> None:
    path = sparse(tmp_path / "disk.raw", 1 * GiB)
    qemu.answer("""echo '{"format": "raw", "virtual-size": 5}'""")
    told = preflight(command, "--second-opinion", "--format", "json", path)
    (result,) = json.loads(told.out)["images" if command == "inspect" else "reports"]
    image = result if command == "inspect" else result["image"]
    assert [problem["code"] for problem in image["problems"]] == ["second-opinion-differs"]


def test_nobody_is_asked_without_the_option(
    preflight: Command,
    qemu: FakeQemu,
    tmp_path: Path,
) -> None:
    path = sparse(tmp_path / "disk.raw", 1 * GiB)
    for command in ("inspect", "check"):
        preflight(command, path)
    assert qemu.calls == []


@pytest.mark.parametrize("command", ["inspect", "check", "payload"])
def test_a_missing_qemu_img_is_told_with_how_to_get_it(
    preflight: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    path = sparse(tmp_path / "disk.raw", 1 * GiB)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("preflight.tools.qemu_img.SEARCH", ())
    needed = ("--region", "r", "--bucket", "b") if command == "payload" else ()
    told = preflight(command, *needed, "--second-opinion", path)
    assert (told.code, told.out) == (2, "")
    assert told.err.startswith("preflight: qemu-img is not installed; get it with: apt-get install qemu-utils")
