"""What holds for every command: exit codes, streams, output files, names, terminals."""

import errno
import json
import os
import re
import select
import signal
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from preflight import __version__
from preflight.cli import cli
from preflight.errors import StructureError
from preflight.units import GiB, MiB
from tests import disks
from tests.cli.conftest import Command
from tests.cli.running import COMMAND, at_terminal, environment, process, shell
from tests.tables.disks import entry, gpt_disk
from tests.tools import run, sparse

ESCAPE = "\x1b"
COLOUR = re.compile(r"\x1b\[(?:\d+;)*3[0-7]m")
COMMANDS = (
    *("inspect", "check", "payload", "hook", "baseline", "config"),
    *("rules", "explain", "profiles", "policy", "schema", "help", "completion"),
)


# help, version, usage


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_lists_the_commands_and_the_exit_codes(preflight: Command, option: str) -> None:
    told = preflight(option)
    assert (told.code, told.err) == (0, "")
    for word in (
        *COMMANDS,
        "0  done",
        "1  judged not ready",
        "2  wrong usage",
        "3  an image could",
        "130  interrupted",
    ):
        assert word in told.out
    assert "..." not in told.out.replace("COMMAND [ARGS]...", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_the_common_options(preflight: Command, command: str) -> None:
    told = preflight(command, "--help")
    assert told.code == 0
    output = "[FORMAT=]FILE" if command in ("inspect", "check", "hook") else "FILE"
    for option in (f"-o, --output {output}", "-q, --quiet", "--no-color", "--version", "-h, --help"):
        assert option in told.out
    if command not in ("payload", "baseline", "schema", "help", "completion"):
        assert "--format [" in told.out


@pytest.mark.parametrize("arguments", [(), *((command,) for command in COMMANDS)])
def test_the_version_is_told(preflight: Command, arguments: tuple[str, ...]) -> None:
    told = preflight(*arguments, "--version")
    assert (told.code, told.out, told.err) == (0, f"preflight, version {__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("nosuch",),
        ("inspect",),
        ("inspect", "--nosuch", "x"),
        ("inspect", "--format", "yaml", "x"),
        ("check", "--role", "root", "x"),
        ("check", "--disk-image-size", "big", "x"),
        ("check", "--profile", "nosuch", "x"),
        ("check", "--ignore", "nosuch", "/dev/null"),
        ("payload", "x"),
        ("explain",),
        ("explain", "nosuch"),
        ("rules", "--profile", "nosuch"),
        ("policy", "extra"),
    ],
)
def test_wrong_usage_is_code_2_and_told_on_stderr(preflight: Command, images: Path, arguments: tuple[str, ...]) -> None:
    told = preflight(*(str(images / "system.raw") if word == "/dev/null" else word for word in arguments))
    assert (told.code, told.out) == (2, "")
    assert told.err


def test_no_command_at_all_shows_the_help(preflight: Command) -> None:
    told = preflight()
    assert told.code == 2
    assert "Commands:" in told.err


def test_the_entry_point_runs_as_a_module() -> None:
    assert process("--version").out == f"preflight, version {__version__}\n"


# never a traceback


def failing(error: BaseException) -> Callable[..., object]:
    def fail(*_: object, **__: object) -> object:
        raise error

    return fail


def test_an_interrupt_is_code_130(preflight: Command, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("preflight.cli._inspecting.inspect_all", failing(KeyboardInterrupt()))
    told = preflight("inspect", images / "system.raw")
    assert (told.code, told.out) == (130, "")
    assert told.err.strip() == "preflight: interrupted"


def test_an_interrupted_process_ends_with_130(images: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    child = subprocess.Popen(
        [*COMMAND, "inspect", "--format", "json", *[images / "system.raw"] * 100, "-o", tmp_path / "fifo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    with open(os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as fifo:
        assert select.select([fifo], [], [], 30)[0]
        assert fifo.read(1) == b"{"  # it has begun to write more than the FIFO holds
        child.send_signal(signal.SIGINT)
        os.set_blocking(fifo.fileno(), True)
        fifo.readall()
    out, err = child.communicate(timeout=20)
    assert (child.returncode, out) == (130, b"")
    assert err.decode().strip() == "preflight: interrupted"


@pytest.mark.parametrize(
    "error", [AssertionError("a bug"), StructureError("x", 1, "a bug"), RecursionError(), MemoryError()]
)
def test_a_bug_of_ours_is_a_word_and_no_traceback(
    preflight: Command, images: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr("preflight.cli._inspecting.inspect_all", failing(error))
    told = preflight("inspect", images / "system.raw")
    assert told.code in (2, 3)
    assert told.out == ""
    assert told.err.startswith("preflight: ")
    assert "Traceback" not in told.err


def test_a_bug_of_ours_can_be_traced(preflight: Command, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("preflight.cli._inspecting.inspect_all", failing(AssertionError("a bug")))
    monkeypatch.setenv("PREFLIGHT_TRACEBACK", "1")
    with pytest.raises(AssertionError, match="a bug"):
        preflight("inspect", images / "system.raw")


def test_a_bug_that_quotes_the_image_is_escaped(
    preflight: Command, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("preflight.cli._inspecting.inspect_all", failing(ValueError(f"{ESCAPE}[31m")))
    assert ESCAPE not in preflight("inspect", images / "system.raw").err


# several images


def test_output_keeps_the_order_of_the_images(preflight: Command, images: Path) -> None:
    names = ["notes.raw", "system.qcow2", "data.raw", "foreign.vmdk", "system.raw"]
    told = preflight("inspect", "--format", "json", *(images / name for name in names))
    assert told.code == 0
    assert [Path(image["path"]).name for image in json.loads(told.out)["images"]] == names


@pytest.mark.parametrize("command", ["inspect", "check"])
@pytest.mark.parametrize("format_name", ["text", "json"])
def test_unreadable_images_are_told_and_the_others_done(
    preflight: Command, images: Path, command: str, format_name: str
) -> None:
    absent = images / "absent.raw"
    told = preflight(command, "--format", format_name, images / "system.raw", absent, images, images / "data.raw")
    assert told.code == 3
    assert told.err.splitlines() == [
        f"preflight: {absent}: cannot open: No such file or directory",
        f"preflight: {images}: is a directory, not a regular file",
        "preflight: 2 of 4 images could not be read",
    ]
    first, second = str(images / "system.raw"), str(images / "data.raw")
    assert told.out.index(first) < told.out.index(second)
    if format_name == "json":
        assert [image["path"] for image in json.loads(told.out)["unread"]] == [str(absent), str(images)]
    else:
        assert str(absent) not in told.out


def test_unreadable_outweighs_not_ready(preflight: Command, images: Path) -> None:
    assert preflight("check", images / "notes.raw", images / "absent").code == 3


def test_only_unreadable_images_leave_an_empty_result(preflight: Command, images: Path) -> None:
    told = preflight("inspect", "--format", "json", images / "absent")
    document = json.loads(told.out)
    assert (told.code, document["schema"], document["images"]) == (3, "preflight/inspection/1", [])
    told = preflight("inspect", images / "absent")
    assert (told.code, told.out) == (3, "")


def test_errors_are_told_even_quietly(preflight: Command, images: Path) -> None:
    told = preflight("inspect", "--quiet", images / "absent", images / "data.raw")
    assert told.err == f"preflight: {images / 'absent'}: cannot open: No such file or directory\n"


@pytest.mark.parametrize("command", [("inspect",), ("check",), ("payload", "--region=r", "--bucket=b", "--key=k")])
def test_an_image_without_permission_is_no_wrong_usage(
    preflight: Command, images: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    refused = images / "data.raw"
    real_open, real_access = os.open, os.access

    def open_(path: str, *more: Any, **named: Any) -> int:
        if path == str(refused):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return real_open(path, *more, **named)

    monkeypatch.setattr(os, "open", open_)
    monkeypatch.setattr(os, "access", lambda path, *more, **named: path != str(refused) and real_access(path, *more))
    told = preflight(*command, refused)
    assert (told.code, told.err) == (3, f"preflight: {refused}: cannot open: Permission denied\n")


def test_a_fifo_among_the_images_hangs_nothing(preflight: Command, images: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    told = preflight("check", tmp_path / "fifo", images / "data.raw")
    assert told.code == 3
    assert "is a FIFO" in told.err


# output files


def test_output_goes_to_a_file_and_nothing_to_stdout(preflight: Command, images: Path, tmp_path: Path) -> None:
    plain = preflight("inspect", images / "system.raw")
    told = preflight("inspect", images / "system.raw", "-o", tmp_path / "out")
    assert (told.code, told.out, told.err) == (0, "", "")
    assert (tmp_path / "out").read_text() == plain.out


def test_a_dash_is_stdout(preflight: Command, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert preflight("inspect", images / "system.raw", "-o", "-").out
    assert os.listdir(tmp_path) == []


def test_a_file_that_is_replaced_keeps_its_permissions(preflight: Command, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("old")
    out.chmod(0o640)
    before = out.stat().st_ino
    assert preflight("inspect", images / "data.raw", "-o", out).code == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o640
    assert out.stat().st_ino != before  # replaced as a whole, never half written
    assert "data.raw" in out.read_text()


def test_a_new_file_has_the_permissions_that_the_mask_leaves(images: Path, tmp_path: Path) -> None:
    told = shell('umask 027; preflight inspect "$1" -o "$2"', images / "data.raw", tmp_path / "out")
    assert told.code == 0
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o640


def test_a_link_is_followed_and_stays_a_link(preflight: Command, images: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    assert preflight("inspect", images / "data.raw", "-o", tmp_path / "link").code == 0
    assert (tmp_path / "link").is_symlink()
    assert "data.raw" in (tmp_path / "target").read_text()


def test_a_device_is_written_to_and_not_replaced(images: Path) -> None:
    told = process("inspect", images / "data.raw", "-o", "/dev/null")
    assert (told.code, told.out, told.err) == (0, "", "")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_full_device_is_an_error(images: Path) -> None:
    told = process("inspect", images / "data.raw", "-o", "/dev/full")
    assert (told.code, told.err) == (2, "preflight: cannot write /dev/full: No space left on device\n")


@pytest.mark.parametrize("place", ["absent/out", ".", ""])
def test_a_place_that_cannot_be_written_is_an_error(
    preflight: Command, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    told = preflight("inspect", images / "data.raw", "-o", place)
    assert (told.code, told.out) == (2, "")
    assert told.err.startswith(f"preflight: cannot write {place}: ")


def test_an_unwritable_folder_is_an_error_and_the_old_output_stays(
    preflight: Command, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.write_text("old")
    monkeypatch.setattr("tempfile.mkstemp", failing(PermissionError(13, "Permission denied")))
    told = preflight("inspect", images / "data.raw", "-o", out)
    assert (told.code, told.err) == (2, f"preflight: cannot write {out}: Permission denied\n")
    assert out.read_text() == "old"


def test_a_full_disk_is_an_error_and_the_old_output_stays(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("old")
    told = shell('ulimit -f 0; preflight inspect --format json "$1" -o "$2"', images / "system.raw", out)
    assert told.code == 2
    assert told.err.startswith(f"preflight: cannot write {out}: ")
    assert out.read_text() == "old"
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("command", ["inspect", "check", "payload"])
def test_an_output_that_is_one_of_the_images_is_refused(preflight: Command, tmp_path: Path, command: str) -> None:
    image = sparse(tmp_path / "disk.raw", 1 * MiB)
    (tmp_path / "link").symlink_to(image)
    (tmp_path / "hard").hardlink_to(image)
    needed = ("--region", "r", "--bucket", "b") if command == "payload" else ()
    for name in ("disk.raw", "link", "hard"):
        told = preflight(command, *needed, image, "-o", tmp_path / name)
        assert (told.code, told.out) == (2, "")
        assert "is one of the images" in told.err
    assert image.read_bytes() == bytes(1 * MiB)


# stdout


@pytest.mark.parametrize(
    "line", ['preflight inspect "$1"', "preflight rules", "preflight --help", "preflight check --help"]
)
def test_a_reader_that_has_seen_enough_is_no_error(images: Path, line: str) -> None:
    told = shell(f"{line} | true; exit ${{PIPESTATUS[0]}}", images / "system.raw")
    assert (told.code, told.err) == (0, "")


def test_a_reader_that_has_seen_enough_does_not_change_the_verdict(images: Path) -> None:
    assert shell('preflight check "$1" | true; exit ${PIPESTATUS[0]}', images / "notes.raw").code == 1


@pytest.mark.parametrize(
    "line", ['preflight inspect "$1"', 'preflight check "$1"', "preflight rules", "preflight --help"]
)
def test_a_full_stdout_is_an_error_and_no_traceback(images: Path, line: str) -> None:
    told = shell(f"{line} > /dev/full", images / "system.raw")
    assert told.code in (2, 3)
    assert "No space left on device" in told.err
    assert told.err.count("\n") == 1


def test_a_closed_stdout_is_an_error(images: Path) -> None:
    told = shell('preflight inspect "$1" >&-', images / "system.raw")
    assert (told.code, told.err) == (2, "preflight: cannot write to stdout: Bad file descriptor\n")


def test_a_closed_stderr_is_no_error(images: Path) -> None:
    told = shell('preflight inspect "$1" "$2" 2>&-', images / "system.raw", images / "absent")
    assert told.code == 3
    assert told.out


def test_output_is_utf_8_whatever_the_locale(images: Path, tmp_path: Path) -> None:
    path = sparse(tmp_path / "größe.raw", 1 * MiB)
    for locale in ("C", "POSIX", "de_DE.ISO-8859-1"):
        told = process("inspect", path, env={"LC_ALL": locale, "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"})
        assert told.code == 0
        assert "größe.raw" in told.out


# names and labels from hostile images


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk whose file name, partition name and label hold what terminals and editors act on."""
    folder = tmp_path_factory.mktemp("hostile")
    path = folder / f"a{ESCAPE}[31m\n::error::b\u202ec\u2028.raw"
    name = f"{ESCAPE}]0;x\x07\n\u202eevil\u200b\x7f\x9b".encode("utf-16-le")
    path.write_bytes(gpt_disk(entry(2048, 8191, name=name)))
    root = disks.ext4(folder / "root", 3 * MiB, "x")
    run("tune2fs", "-L", f"{ESCAPE}[1mX\nY\u202e", root)
    disks.put(path, 1 * MiB, root)
    return path


UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


@pytest.mark.parametrize("command", ["inspect", "check"])
@pytest.mark.parametrize("format_name", ["text", "json"])
def test_nothing_of_an_image_reaches_the_output_raw(
    preflight: Command, hostile: Path, command: str, format_name: str
) -> None:
    told = preflight(command, "--format", format_name, hostile)
    assert not UNSAFE.search(told.out)
    assert "\n::error::" not in told.out
    assert "evil" in told.out
    if format_name == "json":
        (result,) = json.loads(told.out)["images" if command == "inspect" else "reports"]
        image = result if command == "inspect" else result["image"]
        assert image["path"] == str(hostile)
        assert image["partitions"][0]["name"] == f"{ESCAPE}]0;x\x07\n\u202eevil\u200b\x7f\x9b"
        assert image["filesystems"][0]["label"].startswith(f"{ESCAPE}[1mX\nY")


def test_nothing_of_an_image_reaches_a_terminal_raw(hostile: Path) -> None:
    shown = at_terminal("check", hostile, hostile).out
    assert "evil" in shown
    # What remains are rich's own styles, and the line of progress.
    assert not UNSAFE.search(re.sub(r"\x1b\[[\d;]*[mK]|\r", "", shown))
    assert "\x1b[31m\n" not in shown
    assert f"{ESCAPE}]0" not in shown


@pytest.mark.parametrize("name", [f"{ESCAPE}[31m", "a\nb", "\u202eevil"])
def test_an_unreadable_name_is_escaped(preflight: Command, tmp_path: Path, name: str) -> None:
    told = preflight("inspect", tmp_path / name)
    assert told.code == 3
    assert not UNSAFE.search(told.err)
    assert told.err.count("\n") == 1


@pytest.mark.parametrize("word", [f"--{ESCAPE}[31m", f"{ESCAPE}[31m"])
def test_wrong_usage_is_escaped(preflight: Command, word: str) -> None:
    for arguments in (["inspect", "--format", word, "x"], [word], ["explain", word], ["check", "--profile", word, "x"]):
        told = preflight(*arguments)
        assert told.code == 2
        assert not UNSAFE.search(told.err)


def test_names_that_look_like_options_come_after_two_dashes(images: Path, tmp_path: Path) -> None:
    sparse(tmp_path / "--help", 1 * MiB)
    sparse(tmp_path / "-", 1 * MiB)
    told = process("inspect", "--", "--help", "-", cwd=tmp_path)
    assert told.code == 0
    assert [line.split(":")[0] for line in told.out.splitlines() if ": raw" in line] == ["--help", "-"]


def test_a_name_that_is_no_utf_8_is_shown(tmp_path: Path) -> None:
    sparse(Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad-\xff.raw")), 1 * MiB)
    path = os.fsencode(tmp_path) + b"/bad-\xff.raw"
    assert "bad-\\xff.raw: raw" in process("inspect", path).out
    told = process("inspect", "--format", "json", path)
    assert json.loads(told.out)["images"][0]["path"].endswith("bad-\\xff.raw")
    assert "bad-\\xff.rax" in process("inspect", path[:-1] + b"x").err.replace("\\udcff", "\\xff")


# terminals


def test_a_terminal_gets_colours_and_the_drawing(images: Path) -> None:
    told = at_terminal("check", images / "system.raw")
    assert told.code == 0
    assert COLOUR.search(told.out)
    drawing = next(line for line in plain(told.out).splitlines() if line.startswith("  |"))
    assert "|2 vfat 64 MiB =" in drawing
    assert 60 <= len(drawing) <= 80


def plain(shown: str) -> str:
    return re.sub(r"\x1b\[[\d;]*[mK]", "", shown)


@pytest.mark.parametrize(("option", "env"), [((), {"NO_COLOR": "1"}), (("--no-color",), {}), ((), {"TERM": "dumb"})])
def test_colours_can_be_had_off(images: Path, option: tuple[str, ...], env: dict[str, str]) -> None:
    told = at_terminal("check", *option, images / "system.raw", env=env)
    assert not COLOUR.search(told.out)
    assert "READY" in told.out


def test_an_empty_no_color_says_nothing(images: Path) -> None:
    assert COLOUR.search(at_terminal("inspect", images / "system.raw", env={"NO_COLOR": ""}).out)


def test_a_pipe_and_a_file_get_no_colours(images: Path, tmp_path: Path) -> None:
    assert ESCAPE not in process("check", images / "system.raw", env={"TERM": "xterm-256color"}).out
    at_terminal("check", images / "system.raw", "-o", tmp_path / "out")
    assert ESCAPE not in (tmp_path / "out").read_text()


def test_a_terminal_says_the_same_as_a_pipe(images: Path) -> None:
    arguments = ("check", images / "system.raw", images / "notes.raw")
    shown = plain(at_terminal(*arguments, "--quiet", env={"COLUMNS": "100"}).out)
    assert shown.split() == process(*arguments).out.split()


def test_json_at_a_terminal_is_plain(images: Path) -> None:
    told = at_terminal("inspect", "--format", "json", images / "system.raw")
    assert json.loads(told.out)["images"]


def test_progress_is_shown_for_several_images_and_wiped(images: Path) -> None:
    told = at_terminal("inspect", "--format", "json", images / "system.raw", images / "absent", images / "data.raw")
    assert "\x1b[K1/3 " in told.out
    assert "\x1b[K3/3 " in told.out
    # The error and the result begin lines of their own, or follow a wiped one.
    assert re.search(r"\r\x1b\[Kpreflight: [^\n]*absent[^\n]*\n", told.out)
    assert re.search(r"(\n|\r\x1b\[K){\n", told.out)
    assert re.search(r"3/3 [^\r\n]*\r\x1b\[K", told.out)


def test_quiet_shows_no_progress(images: Path) -> None:
    assert (
        ESCAPE not in at_terminal("inspect", "-q", "--format", "json", images / "system.raw", images / "data.raw").out
    )


def test_one_image_needs_no_progress(images: Path) -> None:
    assert "1/1" not in at_terminal("inspect", images / "system.raw").out


def test_progress_never_reaches_a_pipe(images: Path) -> None:
    assert process("inspect", images / "system.raw", images / "data.raw").err == ""


def test_a_terminal_that_is_not_utf_8_gets_escapes(tmp_path: Path) -> None:
    told = at_terminal("inspect", sparse(tmp_path / "\N{ROCKET}.raw", 1 * MiB), env={"PYTHONIOENCODING": "ascii"})
    assert told.code == 0
    assert "\\U0001f680.raw" in told.out


# the start


def test_a_command_is_imported_when_it_is_called(preflight: Command) -> None:
    assert cli.get_command(None, "nosuch") is None  # type: ignore[arg-type]
    assert cli.list_commands(None) == list(COMMANDS)  # type: ignore[arg-type]


def test_a_huge_sparse_image_takes_no_time(tmp_path: Path) -> None:
    path = sparse(tmp_path / "huge.raw", 10240 * GiB)
    started = time.monotonic()
    assert process("inspect", path).code == 0
    assert time.monotonic() - started < 5
