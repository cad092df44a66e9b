"""The request as a script: it runs with the real SDK."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from alibabacloud_ecs20140526 import models
from alibabacloud_ecs20140526.client import Client

from preflight.import_requests import ImportRequest
from preflight.targets import parameters
from preflight.targets.python_sdk import TARGET
from tests.targets import requests
from tests.targets.server import Server
from tests.targets.test_sdks import told, wire


def run(request: ImportRequest, server: Server, folder: Path) -> str:
    script = folder / "send.py"
    script.write_text(TARGET.render(request), encoding="utf-8", newline="")
    environment = {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": "id",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "secret",
        "ALIBABA_CLOUD_ECS_ENDPOINT": f"http://{server.address}",
        "HOME": str(folder),
    }
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=False, env=environment, cwd=folder, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def written(text: str) -> object:
    """The request that a script holds, read without running it."""
    (value,) = [
        node.value
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "REQUEST"
    ]
    return ast.literal_eval(value)


def test_the_script_sends_the_request(server: Server, tmp_path: Path) -> None:
    said = run(requests.everything(), server, tmp_path)
    assert told(server) == wire(requests.everything())
    assert "m-1" in said


def test_the_script_sends_any_name_as_it_was(server: Server, tmp_path: Path) -> None:
    key = "".join(requests.HOSTILE)
    run(requests.with_key(key), server, tmp_path)
    assert told(server)["DiskDeviceMapping.1.OSSObject"] == key


@pytest.mark.parametrize("key", [*requests.HOSTILE, "a\udcffb", "{request}"])
def test_any_name_is_data_in_the_script(key: str) -> None:
    request = requests.with_key(key)
    text = TARGET.render(request)
    assert written(text) == parameters(request)
    assert all(character.isprintable() or character == "\n" for character in text)


def test_without_a_variable_the_script_asks_the_region_s_own_endpoint_by_https(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def import_image(self: Client, request: models.ImportImageRequest) -> models.ImportImageResponse:
        asked.append((self._protocol, self._endpoint))
        return models.ImportImageResponse(body=models.ImportImageResponseBody())

    monkeypatch.setattr(Client, "import_image", import_image)
    monkeypatch.delenv("ALIBABA_CLOUD_ECS_ENDPOINT", raising=False)
    exec(TARGET.render(requests.request()), {})
    assert asked == [("https", "ecs-cn-hangzhou.aliyuncs.com")]


def test_nothing_is_lost() -> None:
    assert not TARGET.omits(requests.everything())
