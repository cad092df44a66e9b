"""Finding the plugins."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import preflight.filesystems
import preflight.formats
import preflight.tables
import preflight.volumes
from preflight.filesystems import FileSystemReader
from preflight.formats import Format
from preflight.plugins import collect, load, names
from preflight.tables import Table
from preflight.volumes import VolumeReader


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A package of two plugins, a helper and a module that is none."""
    folder = tmp_path / "pluginsfortest"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "zebra.py").write_text("PLUGIN = 'z'\n")
    (folder / "apple.py").write_text("PLUGIN = 'a'\n")
    (folder / "_helper.py").write_text("raise AssertionError('helpers are not looked at')\n")
    (folder / "plain.py").write_text("OTHER = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("pluginsfortest")
    for name in [name for name in sys.modules if name.startswith("pluginsfortest")]:
        del sys.modules[name]


def test_names_are_those_of_the_modules_that_are_no_helpers(package: ModuleType) -> None:
    assert names(package) == ("apple", "plain", "zebra")


def test_plugins_come_in_the_order_of_their_modules(package: ModuleType) -> None:
    assert collect(package, "PLUGIN") == ("a", "z")


def test_a_constant_that_no_module_has_finds_nothing(package: ModuleType) -> None:
    assert collect(package, "NONE") == ()


def test_one_plugin_is_loaded_without_its_neighbours(package: ModuleType) -> None:
    assert load(package, "zebra", "PLUGIN") == "z"
    assert "pluginsfortest.apple" not in sys.modules


def test_a_module_without_the_constant_cannot_be_loaded(package: ModuleType) -> None:
    with pytest.raises(AttributeError):
        load(package, "plain", "PLUGIN")
    with pytest.raises(ModuleNotFoundError):
        load(package, "absent", "PLUGIN")


@pytest.mark.parametrize(
    ("real", "constant", "kind"),
    [
        (preflight.formats, "FORMAT", Format),
        (preflight.tables, "TABLE", Table),
        (preflight.volumes, "VOLUME", VolumeReader),
        (preflight.filesystems, "FILESYSTEM", FileSystemReader),
    ],
)
def test_every_constant_of_that_name_is_a_plugin_of_its_kind(real: ModuleType, constant: str, kind: type) -> None:
    found = collect(real, constant)
    assert found
    assert all(isinstance(plugin, kind) for plugin in found)
