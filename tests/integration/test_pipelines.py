"""The pipelines that the README shows: they are valid, and their scripts do what it says."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from tests.cli.running import ROOT, environment
from tests.tools import run

BLOCKS: list[str] = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
(WORKFLOW,) = [block for block in BLOCKS if "runs-on:" in block]
(GITLAB,) = [block for block in BLOCKS if "junit:" in block]


@pytest.mark.parametrize(("schema", "text"), [("github-workflows", WORKFLOW), ("gitlab-ci", GITLAB)])
def test_they_fit_their_schemas(schema: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "pipeline.yml").write_text(text)
    run(sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", tmp_path / "pipeline.yml")


def test_the_workflow_uses_inputs_and_outputs_that_the_action_has() -> None:
    action: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
    steps = yaml.safe_load(WORKFLOW)["jobs"]["preflight"]["steps"]
    (used,) = [step for step in steps if step.get("id") == "preflight"]
    assert set(used["with"]) <= set(action["inputs"])
    outputs = re.findall(r"steps\.preflight\.outputs\.([a-z-]+)", WORKFLOW)
    assert outputs
    assert set(outputs) <= set(action["outputs"])


@pytest.mark.parametrize(("image", "code"), [("accepted", 0), ("refused", 1)])
def test_the_script_for_gitlab_judges_and_leaves_the_report(image: str, code: int, tmp_path: Path) -> None:
    job = yaml.safe_load(GITLAB)["preflight"]
    install, check = job["script"]
    assert install.startswith("pip install ")
    (tmp_path / "images").mkdir()
    shutil.copy(ROOT / f"fixtures/images/{image}.qcow2", tmp_path / "images" / "my image.qcow2")
    (tmp_path / "preflight").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m preflight "$@"\n')
    (tmp_path / "preflight").chmod(0o755)
    done = subprocess.run(
        ["sh", "-e", "-c", check],
        cwd=tmp_path,
        env=environment({"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, "")
    assert "images/my image.qcow2: qcow2" in done.stdout
    report = ElementTree.parse(tmp_path / job["artifacts"]["reports"]["junit"])
    assert bool(report.findall(".//failure")) == bool(code)
