"""`preflight baseline`, and `check --baseline`."""

import json
import shutil
from pathlib import Path

import pytest

from tests import disks
from tests.cli.conftest import Command
from tests.cli.running import ROOT
from tests.cli.test_check import judged, rules


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An old repository: one image is of a format that does not import, one is no image at all."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "old.txt.raw").write_text("these are notes\n")
    disks.converted(sparse_disk(tmp_path), tmp_path / "images" / "old.vmdk", "vmdk")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sparse_disk(folder: Path) -> Path:
    from preflight.units import MiB

    return disks.partitioned(folder / "disk.raw", 64 * MiB, "label: dos\nsize=32M, type=83, bootable\n")


OLD = ("images/old.txt.raw", "images/old.vmdk")


def test_what_is_written_down_no_longer_stands_in_the_way(preflight: Command, project: Path) -> None:
    assert preflight("check", *OLD).code == 1
    told = preflight("baseline", *OLD)
    assert (told.code, told.out) == (0, "")
    assert "in preflight-baseline.json" in told.err
    told = preflight("check", "--baseline", "preflight-baseline.json", *OLD)
    assert (told.code, told.err) == (0, "")
    assert "known finding" in told.out
    assert "NOT READY" not in told.out
    reports = judged(preflight, "--baseline", "preflight-baseline.json", *OLD)
    assert [report["findings"] for report in reports] == [[], []]
    assert all(report["in_baseline"] for report in reports)


def test_only_what_is_new_is_reported(preflight: Command, project: Path) -> None:
    preflight("baseline", *OLD)
    (report,) = judged(preflight, "--baseline", "preflight-baseline.json", "--image-name", "1", "images/old.vmdk")
    assert report["verdict"] == "not-ready"
    assert {finding["subject"] for finding in report["findings"]} == {"ImageName"}  # type: ignore[attr-defined]


def test_the_file_has_no_path_of_this_host_and_is_the_same_again(
    preflight: Command, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preflight("baseline", *OLD)
    first = (project / "preflight-baseline.json").read_text()
    assert {entry["image"] for entry in json.loads(first)["findings"]} == set(OLD)
    assert str(project) not in first
    monkeypatch.chdir(project / "images")
    paths = ("old.vmdk", project / OLD[0], project / OLD[1], "../images/old.vmdk")
    assert preflight("baseline", "-o", "../preflight-baseline.json", *paths).code == 0
    assert (project / "preflight-baseline.json").read_text() == first
    assert preflight("check", "--baseline", "../preflight-baseline.json", "old.vmdk").code == 0
    assert json.loads(preflight("baseline", "-o", "-", "old.vmdk").out)["findings"][0]["image"] == "old.vmdk"


def test_the_configuration_file_names_it(preflight: Command, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "preflight.toml").write_text('baseline = "ci/known.json"\nprofile = "aliyun"')
    (project / "ci").mkdir()
    told = preflight("check", *OLD)
    assert (told.code, told.out) == (2, "")
    assert "ci/known.json: there is no such baseline; this writes it: preflight baseline" in told.err
    monkeypatch.chdir(project / "images")
    assert preflight("baseline", "old.txt.raw", "old.vmdk").code == 0
    entries = json.loads((project / "ci" / "known.json").read_text())["findings"]
    assert {(entry["profile"], entry["image"]) for entry in entries} == {("aliyun", f"../{path}") for path in OLD}
    assert preflight("check", "old.txt.raw", "old.vmdk").code == 0
    assert preflight("hook", "old.txt.raw", "old.vmdk").code == 0
    assert preflight("check", "--no-baseline", "old.vmdk").code == 1
    assert preflight("check", "--profile", "aliyun-2018", "old.vmdk").code == 1
    assert preflight("baseline", "old.txt.raw", "old.vmdk").code == 0
    assert json.loads((project / "ci" / "known.json").read_text())["findings"] == entries


def test_what_no_longer_occurs_is_hinted(preflight: Command, project: Path) -> None:
    preflight("baseline", *OLD)
    (project / "images" / "old.txt.raw").unlink()
    told = preflight("check", "--baseline", "preflight-baseline.json", "images/old.vmdk")
    assert told.code == 0
    assert "of the baseline no longer occur" in told.err
    assert "images/old.txt.raw: " in told.err
    sparse_disk(project).rename(project / "images" / "old.vmdk")
    told = preflight("check", "--baseline", "preflight-baseline.json", "images/old.vmdk")
    assert "images/old.vmdk: format-not-importable" in told.err
    assert preflight("check", "-q", "--baseline", "preflight-baseline.json", "images/old.vmdk").err == ""


def test_strict_writes_down_what_could_not_be_judged(preflight: Command, project: Path) -> None:
    shutil.copy(ROOT / "fixtures/images/refused.qcow2", "old.qcow2")  # its backing file is not there
    options = ("--role", "system", "old.qcow2")
    preflight("baseline", *options)
    told = preflight("check", "--baseline", "preflight-baseline.json", *options)
    assert (told.code, "undetermined" in told.out) == (0, True)
    assert preflight("check", "--strict", "--baseline", "preflight-baseline.json", *options).code == 1
    preflight("baseline", "--strict", *options)
    told = preflight("check", "--strict", "--baseline", "preflight-baseline.json", *options)
    assert (told.code, "undetermined" in told.out) == (0, False)


def test_an_ignored_rule_is_not_written_down(preflight: Command, project: Path) -> None:
    preflight("baseline", "--ignore", "format-not-importable", "images/old.vmdk")
    entries = json.loads((project / "preflight-baseline.json").read_text())["findings"]
    assert "format-not-importable" not in {entry["rule"] for entry in entries}


def test_nothing_is_written_where_an_image_cannot_be_read(preflight: Command, project: Path) -> None:
    told = preflight("baseline", "images/absent.img", "images/old.vmdk")
    assert (told.code, told.out) == (3, "")
    assert "no baseline is written" in told.err
    assert not (project / "preflight-baseline.json").exists()


def test_an_image_is_never_replaced(preflight: Command, project: Path) -> None:
    before = (project / "images" / "old.vmdk").read_bytes()
    assert preflight("baseline", "-o", "images/old.vmdk", *OLD).code == 2
    (project / "preflight.toml").write_text('baseline = "images/old.vmdk"')
    assert preflight("baseline", *OLD).code == 2
    assert (project / "images" / "old.vmdk").read_bytes() == before


def test_a_damaged_baseline_is_an_error_that_names_it(preflight: Command, project: Path) -> None:
    (project / "known.json").write_text("{}")
    told = preflight("check", "--baseline", "known.json", *OLD)
    assert (told.code, told.out) == (2, "")
    assert told.err.startswith("preflight: known.json: no baseline of preflight: ")
    told = preflight("check", "--baseline", "absent.json", *OLD)
    assert (told.code, "absent.json: there is no such baseline" in told.err) == (2, True)
    told = preflight("check", "--baseline", "known.json", "--no-baseline", *OLD)
    assert (told.code, "exclude each other" in told.err) == (2, True)


def test_a_name_that_is_no_utf_8_is_known_again(preflight: Command, project: Path) -> None:
    path = project / "images" / "\udcff\x1b.raw"
    path.write_text("notes, notes\n")
    preflight("baseline", str(path))
    assert "\x1b" not in (project / "preflight-baseline.json").read_text()
    assert preflight("check", "--baseline", "preflight-baseline.json", str(path)).code == 0
    assert rules(judged(preflight, str(path))[0])
