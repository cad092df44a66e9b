"""action.yml: its steps, run by bash with the environment that they declare, as the runner of GitHub Actions does."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.cli.running import ROOT, environment
from tests.tools import run

ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS = {step["id"]: step for step in ACTION["runs"]["steps"]}
ACCEPTED = ROOT / "fixtures/images/accepted.qcow2"
REFUSED = ROOT / "fixtures/images/refused.qcow2"
HOSTILE = (
    *("--no-guest", "-x.qcow2", "two words.qcow2", 'it\'s "quoted".qcow2', "new\nline.qcow2", "$(touch hacked).qcow2"),
    *(
        "`touch hacked`.qcow2",
        "a;touch hacked;.qcow2",
        "[ab]*?.qcow2",
        "::error::x.qcow2",
        "back\\slash.qcow2",
        "é.qcow2",
    ),
)


class Ended(NamedTuple):
    """How a step ended."""

    code: int
    out: str
    outputs: dict[str, str]
    summary: str


def step(name: str, folder: Path, env: dict[str, str], workspace: Path) -> Ended:
    """Run a step's script as the runner does; `env` is what its `env:` becomes."""
    files = {key: folder / key.lower() for key in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    for path in files.values():
        path.write_text("")
    (folder / "script.sh").write_text(STEPS[name]["run"])
    runner = {
        "RUNNER_OS": "Linux",
        "RUNNER_TEMP": str(folder),
        "GITHUB_ACTION_PATH": str(ROOT),
        "GITHUB_ACTIONS": "true",
    }
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", folder / "script.sh"],
        cwd=workspace,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment({**runner, "PYTHONPATH": "", **{key: str(path) for key, path in files.items()}, **env}),
        timeout=300,
        check=False,
    )
    outputs = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
    return Ended(
        done.returncode, (done.stdout + done.stderr).decode(), outputs, files["GITHUB_STEP_SUMMARY"].read_text()
    )


@cache
def installed(folder: Path) -> Ended:
    """The outcome of the first step, offline: with what is installed here as the dependencies."""
    folder.mkdir(parents=True, exist_ok=True)
    python = folder / "python"
    # The interpreter that it is given makes environments in which what is installed here is at hand.
    python.write_text(
        f"#!{sys.executable}\n"
        "import pathlib, site, subprocess, sys\n"
        "subprocess.run([sys.executable, *sys.argv[1:]], check=True)\n"
        "if 'venv' in sys.argv:\n"
        "    (there,) = pathlib.Path(sys.argv[-1]).glob('lib/python*/site-packages')\n"
        "    (there / 'here.pth').write_text('\\n'.join(site.getsitepackages()))\n"
    )
    python.chmod(0o755)
    env = {"INPUT_PYTHON": str(python), "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_INDEX": "1"}
    return step("install", folder, env, folder)


@pytest.fixture(scope="session")
def venv(tmp_path_factory: pytest.TempPathFactory) -> str:
    ended = installed(tmp_path_factory.mktemp("install"))
    assert ended.code == 0, ended.out
    return ended.outputs["venv"]


Check = Callable[..., Ended]


@pytest.fixture
def check(venv: str, tmp_path: Path) -> Check:
    """`check(images=…, sarif_file=…)`: the outcome of the second step with these inputs, in the folder `workspace`."""
    (tmp_path / "workspace").mkdir()

    def call(**inputs: str) -> Ended:
        given = {name.replace("_", "-"): value for name, value in inputs.items()}
        assert set(given) <= set(ACTION["inputs"])
        env = {"VENV": venv}
        for key, expression in STEPS["check"]["env"].items():
            if found := re.fullmatch(r"\$\{\{ inputs\.([a-z-]+) \}\}", expression):
                env[key] = given.get(found[1], ACTION["inputs"][found[1]].get("default", ""))
        return step("check", tmp_path, env, tmp_path / "workspace")

    return call


@pytest.fixture
def workspace(tmp_path: Path, check: Check) -> Path:
    return tmp_path / "workspace"


def place(image: Path, *names: Path) -> None:
    for name in names:
        name.parent.mkdir(parents=True, exist_ok=True)
        name.write_bytes(b"")
        run("cp", "--sparse=always", "--", image, name)


# the file


def test_it_fits_the_schema_of_actions() -> None:
    run(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-actions", ROOT / "action.yml")


def test_no_expression_stands_in_a_script() -> None:
    for told in STEPS.values():
        assert "${{" not in told["run"]
        assert told["shell"] == "bash"


def test_every_input_reaches_a_step_and_every_output_comes_from_one() -> None:
    used = "".join(value for told in STEPS.values() for value in told["env"].values())
    for name in ACTION["inputs"]:
        assert f"${{{{ inputs.{name} }}}}" in used, name
    for output in ACTION["outputs"].values():
        found = re.fullmatch(r"\$\{\{ steps\.(\w+)\.outputs\.([\w-]+) \}\}", output["value"])
        assert found
        assert found[2] in STEPS[found[1]]["run"]


# installation


def test_what_is_installed_is_the_action_s_own_checkout(venv: str, tmp_path: Path) -> None:
    code = "import preflight; print(preflight.__file__)"
    where = run(f"{venv}/bin/python", "-I", "-c", code).strip()
    assert where.startswith(venv)
    assert (Path(where).parent / "profiles" / "aliyun.toml").exists()


def test_modules_of_the_repository_are_not_run(tmp_path: Path) -> None:
    for name in ("venv", "pip", "sys", "preflight", "click"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the repository was run')")
    ended = step("install", tmp_path, {"INPUT_PYTHON": "/nonexistent/python"}, tmp_path)
    assert ended.code == 2
    ended = step(
        "install",
        tmp_path,
        {"INPUT_PYTHON": sys.executable, "PIP_NO_INDEX": "1", "PYTHONPATH": str(tmp_path)},
        tmp_path,
    )
    assert "the repository was run" not in ended.out


@pytest.mark.parametrize("changes", [{"INPUT_PYTHON": "/bin/false"}, {"RUNNER_OS": "macOS"}])
def test_a_runner_that_will_not_do_is_refused(changes: dict[str, str], tmp_path: Path) -> None:
    ended = step("install", tmp_path, {"INPUT_PYTHON": sys.executable, **changes}, tmp_path)
    assert ended.code == 2
    assert ended.out.startswith("::error title=preflight::")
    assert ended.outputs == {}


# the judgement


def test_a_good_image_is_ready(check: Check, workspace: Path) -> None:
    place(ACCEPTED, workspace / "good.qcow2")
    ended = check(images="good.qcow2", sarif_file="out.sarif", junit_file="out.xml")
    assert (ended.code, ended.outputs) == (0, {"sarif": "out.sarif", "verdict": "ready", "exit-code": "0"})
    assert json.loads((workspace / "out.sarif").read_text())["version"] == "2.1.0"
    assert (workspace / "out.xml").read_text().startswith("<?xml")
    assert "READY for aliyun-2018" in ended.out
    assert "good.qcow2" in ended.summary


def test_a_refused_image_is_not_ready_and_annotated(check: Check, workspace: Path) -> None:
    place(REFUSED, workspace / "bad.qcow2")
    ended = check(images="*.qcow2", role="system", sarif_file="out.sarif")
    assert (ended.code, ended.outputs["verdict"], ended.outputs["exit-code"]) == (1, "not-ready", "1")
    assert re.search(r"^::error .*bad\.qcow2", ended.out, re.MULTILINE)
    assert "backing-file" in ended.summary
    results = json.loads((workspace / "out.sarif").read_text())["runs"][0]["results"]
    assert "virtual-size-too-large" in {result["ruleId"] for result in results}


def test_inputs_are_the_options_of_check(check: Check, workspace: Path) -> None:
    place(REFUSED, workspace / "bad.qcow2")
    (workspace / "our.toml").write_text('strict = true\n[ignore]\nvirtual-size-too-large = "tested"\n')
    ended = check(
        images="bad.qcow2",
        config="our.toml",
        profile="aliyun\n aliyun-2018 \n\n",
        ignore="backing-file\n",
        strict="false",
        role="data",
        args="--no-guest\n--platform\nno such platform",
        annotations="false",
        summary="false",
    )
    assert "NOT READY for aliyun as a data disk" in ended.out
    assert "no such platform" in ended.out  # one argument, and refused
    assert "error backing-file" not in ended.out
    assert "virtual-size-too-large" not in ended.out.replace("ignored virtual-size-too-large", "")
    assert "for aliyun-2018" in ended.out
    assert "::error" not in ended.out
    assert ended.summary == ""
    told = check(images="bad.qcow2", ignore="nosuch")
    assert (told.code, told.outputs) == (2, {"verdict": "error", "exit-code": "2"})
    assert "nosuch" in told.out


def test_an_image_that_cannot_be_read_is_an_error(check: Check, workspace: Path) -> None:
    place(ACCEPTED, workspace / "good.qcow2")
    (workspace / "dangling.qcow2").symlink_to("absent")
    ended = check(images="*.qcow2")
    assert (ended.code, ended.outputs["verdict"], ended.outputs["exit-code"]) == (3, "error", "3")
    assert "dangling.qcow2" in ended.out
    assert "good.qcow2" in ended.summary


# names and patterns


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_one_image(check: Check, workspace: Path, name: str) -> None:
    place(REFUSED, workspace / "images" / name, workspace / name)
    ended = check(images="images/*", sarif_file="out.sarif")
    assert ended.code == 1
    found = check(images=name) if "\n" not in name else check(images="new*")
    assert (found.code, found.outputs["verdict"]) == (1, "not-ready")
    assert "1 judged" in found.summary
    assert sorted(os.listdir(workspace)) == sorted(["images", "out.sarif", name])
    for line in (*ended.out.splitlines(), *found.out.splitlines()):
        assert line.startswith(("::error file=", "::error title=", "::warning", "::notice")) or line.strip()[:2] != "::"


def test_patterns_go_into_folders_and_take_no_folder_for_an_image(check: Check, workspace: Path) -> None:
    place(ACCEPTED, workspace / "a b/deep/x.qcow2", workspace / "a b/y.qcow2", workspace / "z.qcow2")
    (workspace / "folder.qcow2").mkdir()
    ended = check(images="  **/*.qcow2  \n\na b/y.qcow2\r\n")
    assert ended.code == 0, ended.out
    assert "3 judged" in ended.summary  # each once


@pytest.mark.parametrize("images", ["absent.qcow2", "*.vhd", "good.qcow2\n*.vhd", "$(touch hacked)*", "%0A::error::x*"])
def test_a_pattern_that_nothing_fits_is_an_error_that_says_so(check: Check, workspace: Path, images: str) -> None:
    place(ACCEPTED, workspace / "good.qcow2")
    ended = check(images=images)
    assert (ended.code, ended.outputs) == (2, {"verdict": "error", "exit-code": "2"})
    assert ended.out.startswith("::error title=preflight::no file fits ")
    assert "%0A" not in ended.out
    assert len(ended.out.splitlines()) == 1
    assert os.listdir(workspace) == ["good.qcow2"]


def test_no_images_can_be_allowed(check: Check, workspace: Path) -> None:
    ended = check(images="*.vhd", allow_empty="true")
    assert (ended.code, ended.outputs) == (0, {"verdict": "none", "exit-code": "0"})
    place(ACCEPTED, workspace / "good.qcow2")
    assert check(images="*.vhd\n*.qcow2", allow_empty="true").outputs["verdict"] == "ready"


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"images": ""}, "the input images names none"),
        ({"images": "x", "strict": "yes"}, "the input strict is 'yes', and must be true or false"),
        ({"images": "x", "summary": ""}, "the input summary is '', and must be true or false"),
        ({"images": "x", "allow_empty": "$(touch hacked)\n::error::"}, "the input allow_empty is $'$(touch hacked)"),
        ({"images": "x", "sarif_file": "a\nverdict=ready"}, "the input sarif_file has more than one line"),
        ({"images": "x", "sarif_file": "-"}, "the input sarif_file must name a file, not -"),
    ],
)
def test_a_wrong_input_is_refused(check: Check, workspace: Path, inputs: dict[str, str], told: str) -> None:
    ended = check(**inputs)
    assert (ended.code, ended.outputs) == (2, {"verdict": "error", "exit-code": "2"})
    assert told in ended.out
    assert len(ended.out.splitlines()) == 1
    assert os.listdir(workspace) == []
