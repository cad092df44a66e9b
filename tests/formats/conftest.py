"""What tests of formats share."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from preflight.source import FileSource


@pytest.fixture
def sources() -> Iterator[Any]:
    """Opens files, and closes them after the test."""
    files: list[FileSource] = []

    def source(path: Path) -> FileSource:
        files.append(FileSource(str(path)))
        return files[-1]

    yield source
    for file in files:
        file.close()
