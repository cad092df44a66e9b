"""What the README shows is what the command prints."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
TRANSCRIPTS = re.findall(r"```console\n\$ preflight ([^\n]*)\n(.*?)```", README, re.DOTALL)


def test_the_readme_shows_a_refused_and_an_accepted_image() -> None:
    shown = "".join(output for _, output in TRANSCRIPTS)
    assert "NOT READY" in shown
    assert re.search(r"^  READY", shown, re.MULTILINE)


@pytest.mark.parametrize(("arguments", "shown"), TRANSCRIPTS, ids=[arguments for arguments, _ in TRANSCRIPTS])
def test_transcripts_are_what_the_command_prints(arguments: str, shown: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "preflight", *arguments.split()], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1)
    # How much of a file is allocated is the host's affair.
    assert re.sub(r", [\d.]+ \w+ allocated", "", done.stdout) == re.sub(r", [\d.]+ \w+ allocated", "", shown)


@pytest.mark.parametrize("example", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_examples_run_and_name_what_is_in_the_image(example: str) -> None:
    done = subprocess.run([sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "Debian BIOS 20"


def test_every_command_is_in_the_readme() -> None:
    from preflight.cli import cli

    for name in cli.commands if cli.commands else cli.list_commands(None):  # type: ignore[arg-type]
        assert f"preflight {name}" in README, name
