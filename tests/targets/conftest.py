"""The server in the cloud's place."""

from collections.abc import Iterator

import pytest

from tests.targets.server import Server, listening


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that has not been asked anything, and no proxy before it."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with listening() as started:
        yield started
