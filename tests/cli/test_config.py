"""The configuration file: how it is found, what it changes, and `preflight config`."""

import json
import os
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.test_check import judged, rules
from tests.cli.test_payload import PLACE


@pytest.fixture
def project(tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with images one below."""
    (tmp_path / "images").mkdir()
    for name in ("system.qcow2", "data.raw", "foreign.vmdk"):
        (tmp_path / "images" / name).hardlink_to(images / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, text: str) -> None:
    path.write_text(text)


# finding it


def test_the_nearest_file_upwards_counts(preflight: Command, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project / "preflight.toml", 'profile = "aliyun"')
    monkeypatch.chdir(project / "images")
    assert judged(preflight, "system.qcow2")[0]["profile"] == "aliyun"
    write(project / "images" / "preflight.toml", "")
    assert judged(preflight, "system.qcow2")[0]["profile"] == "aliyun-2018"


def test_it_is_looked_for_where_one_works_and_not_where_the_image_is(preflight: Command, project: Path) -> None:
    write(project / "images" / "preflight.toml", 'profile = "aliyun"')
    assert judged(preflight, "images/system.qcow2")[0]["profile"] == "aliyun-2018"


def test_our_own_file_wins_over_the_shared_one_beside_it(preflight: Command, project: Path) -> None:
    write(project / "pyproject.toml", '[tool.preflight]\nprofile = "aliyun"')
    assert judged(preflight, "images/system.qcow2")[0]["profile"] == "aliyun"
    write(project / "preflight.toml", 'profile = "aliyun-2018"')
    assert judged(preflight, "images/system.qcow2")[0]["profile"] == "aliyun-2018"


@pytest.mark.parametrize("other", ["", "[tool.other]\nstrict = 1", "[tool.other]\nname = 'preflight'", "broken ["])
def test_a_shared_file_that_says_nothing_to_us_is_passed_by(
    preflight: Command, project: Path, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    write(project / "preflight.toml", 'profile = "aliyun"')
    write(project / "images" / "pyproject.toml", other)
    monkeypatch.chdir(project / "images")
    assert judged(preflight, "system.qcow2")[0]["profile"] == "aliyun"


def test_a_file_can_be_named_and_none_can_be_wanted(preflight: Command, project: Path) -> None:
    write(project / "preflight.toml", "wrong = 1")
    write(project / "other.toml", 'profile = "aliyun"')
    write(project / "pyproject.toml", "[project]")
    assert preflight("check", "images/system.qcow2").code == 2
    assert judged(preflight, "--config", "other.toml", "images/system.qcow2")[0]["profile"] == "aliyun"
    assert judged(preflight, "--no-config", "images/system.qcow2")[0]["profile"] == "aliyun-2018"
    for options, words in (
        (("--config", "other.toml", "--no-config"), "exclude each other"),
        (("--config", "absent.toml"), "absent.toml: there is no such file"),
        (("--config", "images"), "images: cannot read it: Is a directory"),
        (("--config", "pyproject.toml"), "pyproject.toml: it has no [tool.preflight]"),
    ):
        told = preflight("check", *options, "images/system.qcow2")
        assert (told.code, told.out) == (2, "")
        assert words in told.err


def test_what_is_wrong_is_told_line_by_line_with_file_and_line(
    preflight: Command, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project / "preflight.toml", "\nprofil = 'x'\nstrict = 1\n")
    monkeypatch.chdir(project / "images")
    for command in (("check",), ("payload", *PLACE), ("baseline",), ("hook",)):
        told = preflight(*command, "system.qcow2")
        assert (told.code, told.out) == (2, "")
        assert told.err.splitlines() == [
            "preflight: ../preflight.toml:2: there is no key 'profil'; did you mean 'profile'?",
            "preflight: ../preflight.toml:3: strict is an integer, it must be true or false",
        ]


def test_what_a_file_smuggles_in_is_escaped(preflight: Command, project: Path) -> None:
    write(project / "preflight.toml", '"\\u001b[31m" = 1\n')
    told = preflight("check", "images/system.qcow2")
    assert (told.code, "\x1b" in told.err) == (2, False)
    (project / "preflight.toml").write_bytes(b"strict = true\n# \xff\n")
    assert "preflight.toml:2: no valid UTF-8" in preflight("check", "images/system.qcow2").err


# what it changes


def test_the_command_line_wins(preflight: Command, project: Path) -> None:
    write(
        project / "preflight.toml",
        """
        profile = ["aliyun", "aliyun-2018"]
        strict = true
        [[image]]
        path = "images/*"
        role = "data"
        platform = "Ubuntu"
        disk-image-size = 50
        """,
    )
    reports = judged(preflight, "images/system.qcow2")
    assert [report["profile"] for report in reports] == ["aliyun", "aliyun-2018"]
    assert {report["role"] for report in reports} == {"data"}
    request = reports[0]["request"]
    assert isinstance(request, dict)
    assert (request["Platform"], request["DiskImageSize"]) == ("Ubuntu", 50)
    options = ("--profile", "aliyun", "--role", "auto", "--platform", "Debian", "--disk-image-size", "60")
    (report,) = judged(preflight, *options, "images/system.qcow2")
    assert (report["profile"], report["role"]) == ("aliyun", "system")
    assert report["request"]["Platform"] == "Debian"  # type: ignore[index]
    assert report["request"]["DiskImageSize"] == 60  # type: ignore[index]


def test_strict_can_be_set_and_taken_back(preflight: Command, project: Path) -> None:
    options = ("check", "--no-guest", "images/system.qcow2")
    assert preflight(*options).code == 0
    write(project / "preflight.toml", "strict = true")
    assert preflight(*options).code == 1
    assert preflight(*options, "--no-strict").code == 0


def test_an_ignored_rule_is_told_with_its_reason(preflight: Command, project: Path) -> None:
    write(
        project / "preflight.toml",
        """
        [ignore]
        dirty-bit = "never minded"
        [[image]]
        path = "images/*.vmdk"
        ignore.format-not-importable = "converted by\\nthe pipeline"
        """,
    )
    (report,) = judged(preflight, "images/foreign.vmdk")
    assert "format-not-importable" not in rules(report)
    ignored = {entry["rule"]: entry for entry in report["ignored"]}  # type: ignore[attr-defined]
    assert ignored["format-not-importable"]["reason"] == "converted by\nthe pipeline"
    assert [entry["rule"] for entry in ignored["format-not-importable"]["findings"]] == ["format-not-importable"]
    assert ignored["dirty-bit"] == {"rule": "dirty-bit", "reason": "never minded", "findings": []}
    shown = preflight("check", "images/foreign.vmdk").out
    assert "  ignored format-not-importable: converted by\\x0athe pipeline\n" in shown
    assert "dirty-bit" not in shown
    shown = preflight("check", "--no-config", "--ignore", "format-not-importable", "images/foreign.vmdk").out
    assert "  ignored format-not-importable: on the command line\n" in shown


@pytest.mark.parametrize("given", ["{}", "./{}", "../project/{}", "absolute"])
def test_a_path_is_relative_to_the_file_however_it_is_given(
    preflight: Command, tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    project = tmp_path / "project"
    (project / "images").mkdir(parents=True)
    (project / "images" / "a.raw").symlink_to(images / "data.raw")
    (tmp_path / "link").symlink_to(project)
    write(project / "preflight.toml", '[[image]]\npath = "images/a.raw"\ndisk-image-size = 77')
    monkeypatch.chdir(project)
    path = str(tmp_path / "link/images/a.raw") if given == "absolute" else given.format("images/a.raw")
    assert judged(preflight, path)[0]["request"]["DiskImageSize"] == 77  # type: ignore[index]


def test_an_image_outside_matches_nothing(
    preflight: Command, project: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project / "preflight.toml", '[[image]]\npath = "**"\ndisk-image-size = 77')
    assert judged(preflight, "images/data.raw")[0]["request"]["DiskImageSize"] == 77  # type: ignore[index]
    assert judged(preflight, images / "data.raw")[0]["request"]["DiskImageSize"] == 5  # type: ignore[index]


def test_a_payload_is_made_by_the_file_too(preflight: Command, project: Path) -> None:
    write(
        project / "preflight.toml",
        """
        profile = ["aliyun", "aliyun-2018"]
        [[image]]
        path = "images/system.qcow2"
        image-name = "web"
        tag = ["team=a"]
        disk-image-size = 44
        [[image]]
        path = "images/data.raw"
        disk-image-size = 55
        image-name = "what only mapping 1 can say"
        """,
    )
    request = json.loads(preflight("payload", *PLACE, "images/system.qcow2", "images/data.raw").out)
    assert (request["ImageName"], request["Tag"]) == ("web", [{"Key": "team", "Value": "a"}])
    assert [mapping["DiskImageSize"] for mapping in request["DiskDeviceMapping"]] == [44, 55]
    assert request["DiskDeviceMapping"][0]["Format"] == "QCOW2"
    options = ("--image-name", "other", "--disk-image-size", "66", "--profile", "aliyun-2018")
    told = preflight("payload", *PLACE, *options, "images/system.qcow2", "images/data.raw")
    request = json.loads(told.out)
    assert (request["ImageName"], "Tag" in request) == ("other", False)
    assert [mapping["DiskImageSize"] for mapping in request["DiskDeviceMapping"]] == [66, 55]


def test_a_payload_tells_what_it_was_told_to_ignore(preflight: Command, project: Path) -> None:
    write(project / "preflight.toml", '[ignore]\nformat-not-importable = "the pipeline converts it"')
    told = preflight("payload", *PLACE, "images/foreign.vmdk")
    assert "ignored: mapping 1: format-not-importable: the pipeline converts it\n" in told.err


# preflight config


def test_config_tells_what_a_good_file_says(preflight: Command, project: Path) -> None:
    write(
        project / "preflight.toml",
        'profile = "aliyun"\nstrict = true\n[ignore]\ndirty-bit = "x"\n[[image]]\npath = "*"\n[[image]]\npath = "a"',
    )
    told = preflight("config")
    assert (told.code, told.err) == (0, "")
    assert told.out == "preflight.toml: profile aliyun; strict; 1 ignored rule; 2 image entries\n"
    (found,) = json.loads(preflight("config", "--format", "json").out)["configurations"]
    assert (found["path"], found["says"]["profiles"], found["says"]["strict"]) == ("preflight.toml", ["aliyun"], True)
    assert [entry["patterns"] for entry in found["says"]["images"]] == [["*"], ["a"]]


def test_config_tells_what_is_wrong_with_each_file(preflight: Command, project: Path) -> None:
    write(project / "preflight.toml", "profil = 1")
    write(project / "pyproject.toml", "[tool.preflight]\n\nstrikt = true")
    write(project / "images" / "pyproject.toml", "[project]")
    told = preflight("config", "pyproject.toml", "preflight.toml", "images/pyproject.toml")
    assert (told.code, told.out) == (2, "")
    assert "preflight: pyproject.toml:3: there is no key 'strikt'; did you mean 'strict'?\n" in told.err
    assert "preflight: preflight.toml:1: there is no key 'profil'; did you mean 'profile'?\n" in told.err
    assert "there is no configuration in images/pyproject.toml" in told.err


def test_config_without_any_file_is_told(preflight: Command, project: Path) -> None:
    if any(os.path.exists(parent / name) for parent in project.parents for name in ("preflight.toml",)):
        pytest.skip("a folder above has one")
    told = preflight("config")
    assert (told.code, told.out) == (0, "")
    assert "no configuration here or in a folder above" in told.err


def test_config_verifies_the_baseline_too(preflight: Command, project: Path) -> None:
    write(project / "preflight.toml", 'baseline = "sub/known.json"')
    told = preflight("config")
    assert (told.code, "sub/known.json: there is no such baseline" in told.err) == (2, True)
    (project / "sub").mkdir()
    write(project / "sub" / "known.json", "{")
    told = preflight("config")
    assert (told.code, "sub/known.json: the baseline is damaged" in told.err) == (2, True)
