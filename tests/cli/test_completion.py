"""`preflight completion`: what real shells do with the scripts when Tab is pressed."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from preflight import profiles, targets
from preflight.cli import COMMANDS
from preflight.rules import all_rules
from tests.cli.conftest import Command
from tests.cli.running import COMMAND, environment, process
from tests.cli.shells import Shell
from tests.tools import run

HOSTILE = "it's $HOME; `x`.raw"
SHELLS = ("bash", "zsh", "fish")
each_shell = pytest.mark.parametrize("shell", SHELLS)


def answers(shell: str, line: str, number: int | None = None, cwd: Path | None = None) -> list[str]:
    """What the command offers for a line that ends at the cursor, as it goes to the script."""
    count = len(line.split(" ")) - 1 if number is None else number
    last = line.rpartition(" ")[2] if shell == "fish" else str(count)
    told = process(
        env={"_PREFLIGHT_COMPLETE": f"{shell}_complete", "COMP_WORDS": line, "COMP_CWORD": last},
        cwd=cwd,
    )
    assert (told.code, told.err) == (0, "")
    lines = told.out.splitlines()
    if shell == "zsh":
        return lines[1::3]
    return [entry.partition(",")[2].partition("\t")[0] for entry in lines]


# at a terminal


@pytest.fixture(scope="module", params=SHELLS)
def shell_session(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    folder = tmp_path_factory.mktemp("session")
    (folder / "golden image.qcow2").touch()
    (folder / HOSTILE).touch()
    session = Shell(request.param, folder)
    yield session
    session.close()


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("preflight insp\t", ["inspect"]),
        ("preflight explain virtual-size-too-l\t", ["explain", "virtual-size-too-large"]),
        ("preflight check --ignore virtual-size-too-l\t", ["check", "--ignore", "virtual-size-too-large"]),
        ("preflight check --second\t", ["check", "--second-opinion"]),
        ("preflight check --profile aliyun-\t", ["check", "--profile", "aliyun-2018"]),
        ("preflight check --platform Custom\t", ["check", "--platform", "Customized Linux"]),
        (
            "preflight check --profile aliyun --platform Windows\\ Server\\ 2022\t",
            ["check", "--profile", "aliyun", "--platform", "Windows Server 2022"],
        ),
        ("preflight payload --as terraform-\t", ["payload", "--as", "terraform-json"]),
        ('preflight inspect "golden\t', ["inspect", "golden image.qcow2"]),
        ("preflight check gold\t", ["check", "golden image.qcow2"]),
        ("preflight help exit\t", ["help", "exit-codes"]),
    ],
)
def test_tab_completes_the_word(shell_session: Shell, typed: str, expected: list[str]) -> None:
    assert shell_session.words(typed) == expected


def test_tab_completes_the_value_behind_an_equals_sign(shell_session: Shell) -> None:
    expected = ["check", "--ignore=virtual-size-too-large"]
    assert shell_session.words("preflight check --ignore=virtual-size-too-l\t") == expected


@pytest.mark.parametrize("mark", ["'", '"'])
def test_an_open_quotation_mark_is_closed(shell_session: Shell, mark: str) -> None:
    expected = ["check", "--platform", "Customized Linux"]
    assert shell_session.words(f"preflight check --platform {mark}Customi\t") == expected


def test_files_are_completed_by_the_shell_itself(shell_session: Shell) -> None:
    assert shell_session.words("preflight check it\t") == ["check", HOSTILE]


# what is offered


@each_shell
def test_all_commands_are_offered(shell: str) -> None:
    assert answers(shell, "preflight ") == list(COMMANDS)


@each_shell
def test_the_rules_of_the_profile_can_be_ignored(shell: str) -> None:
    for name in profiles.names():
        offered = answers(shell, f"preflight check --profile {name} --ignore ")
        assert offered == list(profiles.load(name).rules)


def test_every_rule_can_be_explained() -> None:
    assert answers("zsh", "preflight explain ") == list(all_rules())


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("--platform", profiles.load("aliyun").limits.platforms),
        ("--boot-mode", ("BIOS", "UEFI")),
        ("--architecture", ("x86_64", "i386", "arm64")),
        ("--license-type", ("Aliyun", "BYOL")),
        ("--image-format", profiles.load("aliyun").limits.formats.values()),
    ],
)
def test_values_are_those_of_the_profile(option: str, expected: tuple[str, ...]) -> None:
    assert answers("zsh", f"preflight check --profile aliyun {option} ") == list(expected)


def test_the_profile_may_come_from_the_configuration(tmp_path: Path) -> None:
    assert answers("zsh", "preflight check --boot-mode ", cwd=tmp_path) == []
    (tmp_path / "preflight.toml").write_text('profile = "aliyun"\n')
    assert answers("zsh", "preflight check --boot-mode ", cwd=tmp_path) == ["BIOS", "UEFI"]


def test_regions_and_targets_of_a_payload_are_offered() -> None:
    assert "cn-hangzhou" in answers("zsh", "preflight payload --region cn-h")
    assert answers("zsh", "preflight payload --as ") == list(targets.names())


@each_shell
@pytest.mark.parametrize(
    "line",
    [
        "preflight check --profile nosuch --platform ",
        "preflight nosuch ",
        "preflight check --ignore nosuch",
        "preflight check --config absent.toml --platform nosuch",
        "preflight check 'open",
        "preflight check \\",
        "preflight check $(touch hacked) `touch hacked` ;touch hacked --platform nosuch",
    ],
)
def test_nothing_is_offered_and_nothing_said_where_there_is_nothing(shell: str, line: str, tmp_path: Path) -> None:
    told = answers(shell, line, cwd=tmp_path)
    assert not [word for word in told if word in all_rules()]
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_configuration_breaks_no_completion(tmp_path: Path) -> None:
    (tmp_path / "preflight.toml").write_text("profile = [[[\n")
    assert "CentOS" in answers("bash", "preflight check --platform Cent", cwd=tmp_path)


# the scripts


@each_shell
def test_the_script_is_one_that_the_shell_takes(preflight: Command, shell: str, tmp_path: Path) -> None:
    told = preflight("completion", shell)
    assert (told.code, told.err) == (0, "")
    (tmp_path / "script").write_text(told.out)
    run(shell, "-n", tmp_path / "script")


@each_shell
def test_the_script_is_the_one_that_the_variable_asks_for(preflight: Command, shell: str) -> None:
    assert process(env={"_PREFLIGHT_COMPLETE": f"{shell}_source"}).out == preflight("completion", shell).out


def test_an_unknown_shell_is_wrong_usage(preflight: Command) -> None:
    told = preflight("completion", "tcsh")
    assert (told.code, told.out) == (2, "")
    assert "'bash'" in told.err


def test_names_of_commands_are_completed_without_their_modules() -> None:
    code = "import sys; from preflight.cli import main, cli; import atexit\n"
    code += "atexit.register(lambda: print(*sys.modules, file=sys.stderr)); main()"
    done = subprocess.run(
        [COMMAND[0], "-c", code],
        env=environment({"_PREFLIGHT_COMPLETE": "bash_complete", "COMP_WORDS": "preflight ", "COMP_CWORD": "1"}),
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = done.stderr.split()
    assert "plain,inspect" in done.stdout.split("\n")
    assert "preflight.cli._shells" in loaded
    for name in ("preflight.cli.check", "preflight.inspection", "preflight.rules", "preflight.profiles", "tomllib"):
        assert name not in loaded
