"""qemu-img on its leash: hostile names, hostile images, limits, and a qemu-img that misbehaves."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from preflight.errors import ToolError
from preflight.tools import qemu_img
from tests import tools

MIB = 1 << 20
HOSTILE_NAMES = [
    b"plain",
    b"comma,comma,,file.filename=other",
    b"driver=raw",
    b'json:{"driver": "nbd"}',
    b"nbd:localhost:10809",
    b"file:x",
    b"fat:rw:x",
    b"-x",
    b"--help",
    b"new\nline",
    b"\xff\xfe",
    b"\xc3\xbcml\xc3\xa4ut",
    b"~",
    b"$(touch owned) `touch owned`; touch owned & %s",
    b"*?[a-z]",
    b"\\,",
    b" ",
]


@pytest.fixture(autouse=True)
def _needs_qemu_img() -> None:
    tools.require("qemu-img")


def create(path: Path, driver: str, size: int = 10 * MIB, *options: str) -> Path:
    tools.run("qemu-img", "create", "-q", "-f", driver, *options, path, str(size))
    return path


def fake(directory: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A qemu-img that does as `script` says, in Python."""
    program = directory / "qemu-img"
    program.write_text(f"#!{sys.executable}\nimport os, sys, time, json, resource\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(directory))


@pytest.mark.parametrize(("format", "driver"), [("raw", "raw"), ("vhd", "vpc"), ("qcow2", "qcow2")])
def test_info_says_what_qemu_img_says(tmp_path: Path, format: str, driver: str) -> None:
    path = create(tmp_path / "disk", driver)
    said = json.loads(tools.run("qemu-img", "info", "-f", driver, "--output=json", path))
    info = qemu_img.info(str(path), format)
    assert (info.format, info.virtual_size, info.actual_size) == (driver, said["virtual-size"], said["actual-size"])
    assert info.messages == ()
    if format == "qcow2":
        assert info.format_specific["refcount-bits"] == 16


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_hostile_name_is_a_name(tmp_path: Path, name: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    create(tmp_path / "disk", "qcow2", 3 * MIB)
    create(tmp_path / "other", "qcow2", 5 * MIB)
    os.rename(tmp_path / "disk", os.fsencode(tmp_path) + b"/" + name)
    monkeypatch.chdir(tmp_path)
    before = sorted(os.listdir(b"."))
    assert qemu_img.info(os.fsdecode(name), "qcow2").virtual_size == 3 * MIB
    assert qemu_img.info(os.fsdecode(os.fsencode(tmp_path) + b"/" + name), "qcow2").virtual_size == 3 * MIB
    assert qemu_img.check(os.fsdecode(name), "qcow2").total_clusters == 48
    assert sorted(os.listdir(b".")) == before


def test_the_format_is_not_probed(tmp_path: Path) -> None:
    path = create(tmp_path / "disk", "qcow2", 3 * MIB)
    assert qemu_img.info(str(path), "raw").virtual_size == -(-path.stat().st_size // 512) * 512  # whole sectors


def test_a_backing_file_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    tools.run("qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", "/no/such/base", "-F", "raw", path, "3M")
    assert qemu_img.info(str(path), "qcow2").virtual_size == 3 * MIB


def test_check_of_a_sound_image(tmp_path: Path) -> None:
    check = qemu_img.check(str(create(tmp_path / "disk", "qcow2", 3 * MIB)), "qcow2")
    assert (check.supported, check.corruptions, check.leaks, check.check_errors) == (True, 0, 0, 0)
    assert (check.total_clusters, check.allocated_clusters) == (48, 0)
    assert check.messages == ()


def refcount_block(path: Path) -> int:
    """Where the first refcount block of a qcow2 begins."""
    data = path.read_bytes()
    table = int.from_bytes(data[48:56], "big")
    return int.from_bytes(data[table : table + 8], "big")


@pytest.mark.parametrize(("change", "corruptions", "leaks"), [(0, 1, 0), (2, 0, 1)])
def test_corruptions_and_leaks_are_an_answer(tmp_path: Path, change: int, corruptions: int, leaks: int) -> None:
    path = create(tmp_path / "disk", "qcow2", 3 * MIB)
    block = refcount_block(path)
    with path.open("r+b") as file:  # the count of references to the header's cluster is 1
        file.seek(block)
        file.write(change.to_bytes(2, "big"))
    check = qemu_img.check(str(path), "qcow2")
    assert (check.corruptions, check.leaks) == (corruptions, leaks)
    assert any("refcount=" in message for message in check.messages)


def test_a_format_without_a_check_is_not_an_error(tmp_path: Path) -> None:
    for format, driver in (("raw", "raw"), ("vhd", "vpc")):
        check = qemu_img.check(str(create(tmp_path / driver, driver)), format)
        assert check.supported is False


@pytest.mark.parametrize("ask", [qemu_img.info, qemu_img.check])
def test_a_refusal_is_told_in_its_own_words_escaped(tmp_path: Path, ask: object) -> None:
    assert callable(ask)
    path = tmp_path / "bad\x1b[31m\u202e"
    path.write_bytes(bytes(512))
    with pytest.raises(ToolError, match="not in qcow2 format") as caught:
        ask(str(path), "qcow2")
    assert str(caught.value).isprintable()
    with pytest.raises(ToolError, match="No such file"):
        ask(str(tmp_path / "absent\nname"), "qcow2")


def test_a_name_that_no_file_can_have_is_a_tool_error() -> None:
    with pytest.raises(ToolError):
        qemu_img.info("a\0b", "raw")


def test_a_missing_qemu_img_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(qemu_img, "SEARCH", ())
    with pytest.raises(ToolError, match=r"apt-get install qemu-utils.*dnf install qemu-img.*brew install qemu"):
        qemu_img.info("/dev/null", "raw")


def test_it_is_found_outside_of_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = create(tmp_path / "disk", "raw")
    monkeypatch.setenv("PATH", "")
    assert qemu_img.info(str(path), "raw").virtual_size == 10 * MIB


def test_limits_and_environment_of_the_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "secret")
    limits = ("RLIMIT_CPU", "RLIMIT_AS", "RLIMIT_CORE", "RLIMIT_FSIZE")
    script = (
        f"limits = {{name: resource.getrlimit(getattr(resource, name)) for name in {limits!r}}}\n"
        "said = {'limits': limits, 'env': dict(os.environ), 'args': sys.argv[1:], 'stdin': sys.stdin.read(),\n"
        "        'fds': sorted(map(int, os.listdir('/proc/self/fd')))}\n"
        "print(json.dumps({'format': 'raw', 'virtual-size': 1, 'format-specific': {'type': 'x', 'data': said}}))"
    )
    fake(tmp_path, script, monkeypatch)
    said = qemu_img.info("/a,b", "raw").format_specific
    assert said["limits"] == {
        "RLIMIT_CPU": [30, 30],
        "RLIMIT_AS": [2 << 30, 2 << 30],
        "RLIMIT_CORE": [0, 0],
        "RLIMIT_FSIZE": [0, 0],
    }
    assert said["env"]["LC_ALL"] == "C"
    assert "SECRET" not in said["env"]
    assert said["args"] == [
        *("info", "-U", "--output=json", "--image-opts", "--"),
        "driver=raw,file.driver=file,file.filename=/a,,b",
    ]
    assert said["stdin"] == ""
    assert len(said["fds"]) == 4  # the three, and the directory that is being listed


def test_a_hang_ends_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, "time.sleep(100)", monkeypatch)
    monkeypatch.setattr(qemu_img, "MAX_WALL", 1)
    with pytest.raises(ToolError, match="no answer in 1 seconds"):
        qemu_img.info("/x", "raw")


def test_a_loop_ends_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, "while True: pass", monkeypatch)
    monkeypatch.setattr(qemu_img, "MAX_CPU", 1)
    with pytest.raises(ToolError, match="ended by signal"):
        qemu_img.info("/x", "raw")


def test_too_much_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, "bytearray(3 << 30)", monkeypatch)
    with pytest.raises(ToolError, match="MemoryError"):
        qemu_img.info("/x", "raw")


def test_a_crash_is_a_tool_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, "os.kill(os.getpid(), 11)", monkeypatch)
    with pytest.raises(ToolError, match="ended by signal 11"):
        qemu_img.check("/x", "qcow2")


@pytest.mark.parametrize(
    "output",
    [
        "",
        "not json",
        "{}",
        "[" * 100_000,
        '{"format": "raw"}',
        '{"format": 1, "virtual-size": 1}',
        '{"format": "raw", "virtual-size": "1"}',
        '{"format": "raw", "virtual-size": 1e400}',
    ],
)
def test_an_answer_that_is_not_one_is_a_tool_error(
    tmp_path: Path, output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "output").write_text(output)
    fake(tmp_path, f"print(open({str(tmp_path / 'output')!r}).read())", monkeypatch)
    with pytest.raises(ToolError, match="its answer is not readable"):
        qemu_img.info("/x", "raw")


def test_bytes_that_are_no_text_are_a_tool_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, 'os.write(1, b\'{"format": "\\xff", "virtual-size": 1}\')', monkeypatch)
    with pytest.raises(ToolError, match="its answer is not readable"):
        qemu_img.info("/x", "raw")


def test_endless_output_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, "for _ in range(1000): os.write(1, b' ' * 65536); os.write(2, b'word ' * 1000)", monkeypatch)
    monkeypatch.setattr(qemu_img, "MAX_OUTPUT", 100_000)
    with pytest.raises(ToolError, match="its answer is not readable"):
        qemu_img.info("/x", "raw")


def test_long_words_are_cut_and_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, "os.write(2, b'\\x1b[31m\\xff' * 100_000); sys.exit(1)", monkeypatch)
    with pytest.raises(ToolError) as caught:
        qemu_img.info("/x", "raw")
    assert len(str(caught.value)) < 1100
    assert str(caught.value).isprintable()


def test_it_is_loaded_only_when_it_is_asked() -> None:
    program = "import sys, preflight.tools.qemu_img; sys.exit('sh' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
