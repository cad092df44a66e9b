"""The request as a command line of the CLI, through a real shell."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from preflight.import_requests import DiskDeviceMapping
from preflight.targets.aliyun_cli import TARGET
from preflight.targets.query import TARGET as QUERY
from tests import tools
from tests.targets import requests

NAMES = [key for key in requests.HOSTILE if "\0" not in key]


@pytest.fixture
def stub(tmp_path: Path) -> Path:
    """An `aliyun` that writes down its arguments, a NUL after each."""
    path = tmp_path / "aliyun"
    path.write_text('#!/bin/sh\nprintf "%s\\0" "$@" >"$ALIYUN_ARGUMENTS"\n')
    path.chmod(0o755)
    return path


def arguments(line: str, stub: Path, shell: Sequence[str] = ("bash", "--norc")) -> list[str]:
    """What the stub gets when a shell runs the line; nothing else may come of it."""
    tools.require(shell[0])
    written = stub.parent / "arguments"
    environment = {"PATH": f"{stub.parent}{os.pathsep}{tools.SEARCH_PATH}", "ALIYUN_ARGUMENTS": str(written)}
    done = subprocess.run(
        [*shell, "-c", line], env=environment, cwd=stub.parent, capture_output=True, check=True, timeout=30
    )
    assert (done.stdout, done.stderr) == (b"", b"")
    assert sorted(path.name for path in stub.parent.iterdir()) == ["aliyun", "arguments"]
    return written.read_bytes().decode().split("\0")[:-1]


def as_aliyun_reads(words: Sequence[str]) -> dict[str, str]:
    """The flags, as cli/parser.go of aliyun-cli takes them: what begins with a dash is one, up to its `=` or `:`."""
    assert words[:2] == ["ecs", "ImportImage"]
    flags: dict[str, str] = {}
    waiting = None
    for word in words[2:]:
        if word.startswith("-"):
            assert word.startswith("--")
            end = min(found for found in (word.find("="), word.find(":"), len(word)) if found >= 0)
            name, value = word[2:end], word[end + 1 :]
            assert name not in flags
            flags[name], waiting = value, None if value else name
        else:
            assert waiting is not None, word
            flags[waiting], waiting = word, None
    return flags


def test_the_flags_are_the_parameters_of_the_wire(stub: Path) -> None:
    flags = as_aliyun_reads(arguments(TARGET.render(requests.everything()), stub))
    assert {"Action": "ImportImage", **flags} == dict(
        line.split("=", 1) for line in QUERY.render(requests.everything()).splitlines()
    )
    assert not TARGET.omits(requests.everything())


@pytest.mark.parametrize("key", NAMES)
def test_any_name_gets_through_bash_and_cannot_steer_a_terminal(stub: Path, key: str) -> None:
    text = TARGET.render(requests.with_key(key))
    assert as_aliyun_reads(arguments(text, stub))["DiskDeviceMapping.1.OSSObject"] == key
    assert all(character.isprintable() or character == "\n" for character in text)


@pytest.mark.parametrize("key", ["a b", "镜像.raw", "'\"\\$(reboot)`!!", "-x", "=ls", "~root/*", ""])
def test_what_can_be_printed_needs_no_more_than_the_oldest_posix_shell(stub: Path, key: str) -> None:
    text = TARGET.render(requests.with_key(key))
    assert as_aliyun_reads(arguments(text, stub, ("dash",)))["DiskDeviceMapping.1.OSSObject"] == key


def test_every_line_but_the_last_goes_on() -> None:
    lines = TARGET.render(requests.page_request()).splitlines()
    assert lines == [
        "aliyun ecs ImportImage \\",
        "  --RegionId cn-hangzhou \\",
        "  --DiskDeviceMapping.1.Format RAW \\",
        "  --DiskDeviceMapping.1.OSSBucket ecsimageos \\",
        "  --DiskDeviceMapping.1.OSSObject CentOS_5.4_32.raw \\",
        "  --DiskDeviceMapping.1.DiskImageSize 20",
    ]


def test_a_byte_that_no_argument_can_have_is_told(stub: Path) -> None:
    request = requests.request(disk_device_mapping=(DiskDeviceMapping("RAW", "my-images", "a\0b", 5),))
    assert "DiskDeviceMapping.1.OSSObject" not in as_aliyun_reads(arguments(TARGET.render(request), stub))
    (sentence,) = TARGET.omits(request)
    assert sentence.startswith("DiskDeviceMapping.1.OSSObject is left out")
