"""`preflight hook`."""

import json
import shutil
from pathlib import Path

import pytest

from preflight import profiles
from preflight.cli.hook import DEFAULT_PROFILE
from tests.cli.conftest import Command

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"


@pytest.fixture
def project(tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("system.qcow2", "data.raw", "foreign.vmdk"):
        (tmp_path / name).hardlink_to(images / name)
    (tmp_path / "README.md").write_text("# Images\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_images_that_are_ready_pass_in_silence(preflight: Command, project: Path) -> None:
    told = preflight("hook", "README.md", "system.qcow2", "data.raw")
    assert (told.code, told.out, told.err) == (0, "", "")


def test_of_all_files_only_the_image_that_is_refused_is_reported(preflight: Command, project: Path) -> None:
    told = preflight("hook", "README.md", "system.qcow2", "foreign.vmdk", "data.raw")
    assert told.code == 1
    assert "foreign.vmdk: vmdk" in told.out
    assert "  error format-not-importable" in told.out
    assert "system.qcow2" not in told.out
    assert "README" not in told.out


def test_no_files_and_no_images_are_nothing_to_do(preflight: Command, project: Path) -> None:
    assert preflight("hook") == (0, "", "")
    (project / "preflight.toml").write_text("wrong = 1")
    assert preflight("hook", "README.md", "preflight.toml") == (0, "", "")
    assert preflight("hook", "system.qcow2").code == 2


def test_links_folders_and_what_is_gone_are_left_alone(preflight: Command, project: Path) -> None:
    (project / "link.img").symlink_to("foreign.vmdk")
    (project / "folder.img").mkdir()
    assert preflight("hook", "link.img", "folder.img", "gone.img") == (0, "", "")


def test_an_image_with_another_name_and_an_archive_with_that_of_an_image_are_caught(
    preflight: Command, project: Path
) -> None:
    (project / "foreign.vmdk").rename(project / "notes.txt")
    told = preflight("hook", "notes.txt")
    assert (told.code, "format-not-importable" in told.out) == (1, True)
    archive = Path(shutil.make_archive("packed", "zip", ".", "README.md"))
    archive.rename(project / "disk.qcow2")
    told = preflight("hook", "disk.qcow2")
    assert (told.code, "disk.qcow2: zip" in told.out) == (1, True)


def test_a_pointer_of_git_lfs_is_explained_and_fails_where_told_to(preflight: Command, project: Path) -> None:
    (project / "big.qcow2").write_text(POINTER)
    (project / "picture.png").write_text(POINTER)
    told = preflight("hook", "big.qcow2", "picture.png", "system.qcow2")
    assert (told.code, told.out) == (0, "")
    (line,) = told.err.splitlines()
    assert line.startswith("preflight: big.qcow2: not judged: ")
    assert "Git LFS" in line
    assert "git lfs pull" in line
    told = preflight("hook", "--lfs-pointers", "fail", "big.qcow2", "picture.png")
    assert (told.code, "big.qcow2: lfs-pointer" in told.out, "picture" in told.out) == (1, True, False)
    assert preflight("check", "big.qcow2").code == 1
    told = preflight("check", "--lfs-pointers", "skip", "big.qcow2", "system.qcow2")
    assert (told.code, "big.qcow2" in told.out) == (0, False)
    assert "big.qcow2: not judged" in told.err


def test_a_file_that_is_named_like_an_option_is_a_file(preflight: Command, project: Path) -> None:
    (project / "foreign.vmdk").rename(project / "--help")
    told = preflight("hook", "--help", "system.qcow2")
    assert (told.code, "./--help: vmdk" in told.out) == (1, True)
    (project / "preflight.toml").write_text("[ignore]\nformat-not-importable = 'known'\nsize-out-of-range = ''")
    (project / "--no-config").write_text("")
    assert preflight("hook", "--no-config", "system.qcow2").code == 2


def test_the_configuration_file_counts_and_options_win(preflight: Command, project: Path) -> None:
    (project / "preflight.toml").write_text("strict = true\nprofile = 'aliyun'")
    assert preflight("hook", "--no-guest", "system.qcow2").code == 1
    assert preflight("hook", "--no-guest", "--no-strict", "system.qcow2").code == 0
    told = preflight("hook", "--profile", "aliyun-2018", "foreign.vmdk")
    assert "NOT READY for aliyun-2018" in told.out
    assert "NOT READY for aliyun " in preflight("hook", "foreign.vmdk").out


def test_other_formats_have_all_images(preflight: Command, project: Path) -> None:
    told = preflight("hook", "--format", "json", "system.qcow2", "foreign.vmdk", "README.md")
    reports = json.loads(told.out)["reports"]
    assert [report["image"]["path"] for report in reports] == ["system.qcow2", "foreign.vmdk"]


def test_an_image_that_cannot_be_read_is_code_3(
    preflight: Command, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from preflight.errors import UnreadableImage

    def refuse(path: str, **_: object) -> None:
        raise UnreadableImage("cannot open: Permission denied")

    monkeypatch.setattr("preflight.inspection.FileSource", refuse)
    told = preflight("hook", "system.qcow2")
    assert (told.code, told.err) == (3, "preflight: system.qcow2: cannot open: Permission denied\n")


def test_the_default_profile_is_named_as_it_is() -> None:
    assert DEFAULT_PROFILE == profiles.DEFAULT


def test_several_outputs_have_what_each_is_for(preflight: Command, project: Path) -> None:
    told = preflight("hook", "-o", "-", "-o", "json=all.json", "system.qcow2", "foreign.vmdk", "README.md")
    assert "foreign.vmdk" in told.out and "system.qcow2" not in told.out
    assert len(json.loads((project / "all.json").read_text())["reports"]) == 2
