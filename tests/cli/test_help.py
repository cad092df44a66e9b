"""`preflight help`, and the manual page."""

import re
from pathlib import Path

import pytest

from preflight import profiles, targets
from preflight.cli import COMMANDS
from preflight.rules import all_rules
from tests.cli.conftest import Command
from tests.tools import run

TOPICS = ("exit-codes", "formats", "targets", "limits", "configuration")


def test_commands_and_topics_are_listed(preflight: Command) -> None:
    told = preflight("help")
    assert (told.code, told.err) == (0, "")
    for name in (*COMMANDS, *TOPICS):
        assert re.search(rf"^  {name}  +\S", told.out, re.MULTILINE), name


@pytest.mark.parametrize("command", COMMANDS)
def test_help_on_a_command_is_what_its_own_option_shows(preflight: Command, command: str) -> None:
    assert preflight("help", command) == preflight(command, "--help")


@pytest.mark.parametrize("rule", ["backing-file", "no-boot-loader"])
def test_help_on_a_rule_explains_it(preflight: Command, rule: str) -> None:
    assert preflight("help", rule) == preflight("explain", rule)


@pytest.mark.parametrize("topic", TOPICS)
def test_help_on_a_topic_is_more_than_its_title(preflight: Command, topic: str) -> None:
    told = preflight("help", topic)
    assert (told.code, told.err) == (0, "")
    title, line, empty, *lines = told.out.splitlines()
    assert line == "=" * len(title)
    assert (empty, bool(lines)) == ("", True)


def test_formats_and_targets_are_all_told(preflight: Command) -> None:
    formats = preflight("help", "formats").out.splitlines()
    assert {"text", "json", "sarif", "junit", "github", "markdown"} <= set(formats)
    assert set(targets.names()) <= set(preflight("help", "targets").out.splitlines())


def test_limits_are_those_of_the_references(preflight: Command) -> None:
    told = preflight("help", "limits").out
    first, second = told.split("\naliyun: ")
    assert "  system disk: 5 to 500 GiB\n  data disk: 5 to 1000 GiB\n  disks: 1 to 17" in first
    assert "  system disk: 1 to 2048 GiB\n" in second
    assert "  boot modes: no such parameter\n" in first
    assert "  boot modes: BIOS, UEFI\n" in second
    for name in profiles.names():
        for platform in profiles.load(name).limits.platforms:
            assert platform in " ".join(told.split())


def test_exit_codes_are_all_told(preflight: Command) -> None:
    assert re.findall(r"^ +(\d+)  ", preflight("help", "exit-codes").out, re.MULTILINE) == ["0", "1", "2", "3", "130"]


@pytest.mark.parametrize(
    ("topic", "meant"), [("exit-code", "exit-codes"), ("backing-fil", "backing-file"), ("chek", "check")]
)
def test_a_misspelt_topic_gets_a_suggestion(preflight: Command, topic: str, meant: str) -> None:
    told = preflight("help", topic)
    assert (told.code, told.out) == (2, "")
    assert re.search(rf"Did you mean .*\b{meant}\b", told.err)


def test_no_topic_has_the_name_of_another() -> None:
    names = [*COMMANDS, *TOPICS, *all_rules()]
    assert len(names) == len(set(names))


# the manual page


@pytest.fixture
def page(preflight: Command, tmp_path: Path) -> Path:
    told = preflight("help", "--man", "-o", tmp_path / "preflight.1")
    assert (told.code, told.out, told.err) == (0, "", "")
    return tmp_path / "preflight.1"


@pytest.mark.parametrize("device", ["utf8", "ascii"])
def test_groff_has_no_warning_about_the_page(page: Path, device: str) -> None:
    run(
        "bash",
        "-c",
        'said=$(groff -man -ww -T"$2" "$1" 2>&1 >/dev/null); [ -z "$said" ] || { echo "$said" >&2; exit 1; }',
        "bash",
        page,
        device,
    )


def test_man_shows_every_command_and_option(page: Path, preflight: Command) -> None:
    shown = run("man", "--warnings", "-l", page, env={"MANWIDTH": "100", "MAN_KEEP_FORMATTING": "", "PAGER": "cat"})
    for heading in ("NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "EXIT STATUS", "ENVIRONMENT", "FILES", "SEE ALSO"):
        assert f"\n{heading}\n" in shown
    for command in COMMANDS:
        assert f"   preflight {command} " in shown
        for option in re.findall(r"^  (?:-\w, )?(--[a-z-]+)", preflight(command, "--help").out, re.MULTILINE):
            assert option in shown, (command, option)
    assert "130" in shown


def test_the_page_is_for_all_topics(preflight: Command) -> None:
    told = preflight("help", "--man", "check")
    assert (told.code, told.out) == (2, "")
