"""Several outputs at once."""

import json
import os
import sys
from pathlib import Path

import pytest

from preflight import reports
from tests.cli.conftest import Command
from tests.cli.running import at_terminal, shell

FORMATS = ("github", "json", "junit", "markdown", "sarif", "text")


def test_every_format_is_offered_and_the_readme_tells_it() -> None:
    assert reports.names("reports") == FORMATS
    assert reports.names("images") == ("json", "text")
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    for name in FORMATS:
        assert reports.load(name).name == name
        assert f"| `{name}`" in readme


@pytest.mark.parametrize("name", ["yaml", "_drawing", "../x", ""])
def test_there_is_no_other(name: str) -> None:
    with pytest.raises(ValueError, match="github, json"):
        reports.load(name)


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_says_what_it_says_to_stdout(preflight: Command, images: Path, tmp_path: Path, name: str) -> None:
    plain = preflight("check", "--format", name, images / "notes.raw")
    told = preflight("check", "-o", f"{name}={tmp_path / 'out'}", images / "notes.raw")
    assert (plain.code, told.code, told.out, told.err) == (1, 1, "", "")
    assert (tmp_path / "out").read_text() == plain.out


def test_several_outputs_are_written_at_once(preflight: Command, images: Path, tmp_path: Path) -> None:
    outputs = ("--output", f"sarif={tmp_path / 'a'}", "-o", "text=-", "-o", f"junit={tmp_path / 'b'}")
    told = preflight("check", images / "notes.raw", *outputs)
    assert told.code == 1
    assert told.out == preflight("check", images / "notes.raw").out
    assert json.loads((tmp_path / "a").read_text())["version"] == "2.1.0"
    assert (tmp_path / "b").read_text().startswith("<?xml")


def test_without_a_prefix_the_format_counts(preflight: Command, images: Path, tmp_path: Path) -> None:
    told = preflight("check", "--format", "json", images / "data.raw", "-o", tmp_path / "a", "-o", "markdown=-")
    assert told.out.startswith("# preflight")
    assert json.loads((tmp_path / "a").read_text())["schema"] == "preflight/report/1"


def test_inspect_writes_several_too(preflight: Command, images: Path, tmp_path: Path) -> None:
    told = preflight("inspect", images / "data.raw", "-o", "json=-", "-o", f"text={tmp_path / 'a'}")
    assert json.loads(told.out)["schema"] == "preflight/inspection/1"
    assert "data.raw: raw" in (tmp_path / "a").read_text()


@pytest.mark.parametrize(
    ("output", "file"), [("./sarif=x", "sarif=x"), ("yaml=x", "yaml=x"), ("sarif=a=b", "a=b"), ("=x", "=x")]
)
def test_a_prefix_counts_only_where_it_names_a_format(
    preflight: Command, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, file: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert preflight("check", images / "data.raw", "-o", output).out == ""
    assert os.listdir() == [file]


def test_a_format_that_inspect_has_not_is_wrong_usage(
    preflight: Command, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in (("-o", "sarif=x"), ("--format", "junit")):
        told = preflight("inspect", images / "data.raw", *arguments)
        assert (told.code, told.out) == (2, "")
        assert "json" in told.err and "text" in told.err and "markdown" not in told.err
    assert os.listdir() == []


@pytest.mark.parametrize(
    "outputs", [("a", "a"), ("a", "sarif=./a"), ("-", "json=-"), ("a", "json=link"), ("sub/../a", "a")]
)
def test_the_same_place_twice_is_wrong_usage(
    preflight: Command, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outputs: tuple[str, str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sub").mkdir()
    Path("link").symlink_to("a")
    told = preflight("check", images / "data.raw", "-o", outputs[0], "-o", outputs[1])
    assert (told.code, told.out) == (2, "")
    assert "goes to the same place" in told.err
    assert not Path("a").exists()


def test_no_output_may_be_an_image(preflight: Command, images: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk.raw"
    disk.write_bytes(bytes(1024))
    told = preflight("check", disk, "-o", f"json={tmp_path / 'a'}", "-o", f"sarif={disk}")
    assert (told.code, told.out) == (2, "")
    assert "is one of the images" in told.err
    assert disk.read_bytes() == bytes(1024)
    assert not (tmp_path / "a").exists()


def test_nothing_is_written_before_all_is_rendered(
    preflight: Command, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(found: object, unread: object = ()) -> str:
        raise RuntimeError("no")

    broken = reports.ReportFormat(name="junit", reports=failing)
    monkeypatch.setattr("preflight.reports.junit.REPORT", broken)
    told = preflight("check", images / "data.raw", "-o", f"json={tmp_path / 'a'}", "-o", f"junit={tmp_path / 'b'}")
    assert told.code == 3
    assert os.listdir(tmp_path) == []


def test_files_are_there_though_stdout_is_full(images: Path, tmp_path: Path) -> None:
    told = shell('preflight check "$1" -o - -o "json=$2" > /dev/full', images / "data.raw", tmp_path / "a")
    assert told.code == 2
    assert (tmp_path / "a").exists()


def test_a_terminal_gets_colour_beside_a_file(images: Path, tmp_path: Path) -> None:
    told = at_terminal("check", images / "data.raw", "-o", "-", "-o", f"text={tmp_path / 'a'}")
    assert "\x1b[" in told.out and "READY" in told.out
    assert "\x1b" not in (tmp_path / "a").read_text()
    assert "READY" not in at_terminal("check", images / "data.raw", "-o", f"text={tmp_path / 'a'}").out


def test_an_inspection_imports_no_format_that_is_not_asked_for(images: Path) -> None:
    code = (
        "import sys; from preflight.cli import cli; cli.main(sys.argv[1:], standalone_mode=False); print(*sys.modules)"
    )
    told = shell(f'"{sys.executable}" -c "$1" inspect -o /dev/null "$2"', code, images / "data.raw")
    loaded = told.out.split()
    assert "preflight.reports.text" in loaded
    assert not {"preflight.reports.sarif", "preflight.reports.junit", "preflight.verdicts"} & set(loaded)


def test_every_format_for_machines_names_the_image_that_could_not_be_read(
    preflight: Command, images: Path, tmp_path: Path
) -> None:
    names = [name for name in reports.names("reports") if name != "text"]
    outputs = [word for name in names for word in ("-o", f"{name}={tmp_path / name}")]
    told = preflight("check", images / "data.raw", tmp_path / "gone.raw", *outputs)
    assert told.code == 3
    for name in names:
        written = (tmp_path / name).read_text()
        assert "gone.raw" in written and "No such file" in written, name


def test_inspect_lists_the_image_that_could_not_be_read(preflight: Command, images: Path, tmp_path: Path) -> None:
    told = preflight("inspect", "--format", "json", tmp_path / "gone.raw", images / "data.raw")
    document = json.loads(told.out)
    assert told.code == 3
    assert [image["path"] for image in document["images"]] == [str(images / "data.raw")]
    assert [image["path"] for image in document["unread"]] == [str(tmp_path / "gone.raw")]
