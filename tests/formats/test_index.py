import preflight.formats
from preflight.formats import Format, index
from preflight.plugins import collect

PLUGINS: tuple[Format, ...] = collect(preflight.formats, "FORMAT")
NAMES = [name for plugin in PLUGINS for name in plugin.names]


def test_every_format_has_one_plugin() -> None:
    assert len(NAMES) == len(set(NAMES))


def test_endings_are_of_known_formats_in_lower_case_and_unambiguous() -> None:
    assert set(index.ENDINGS) <= set(NAMES)
    endings = [ending for endings in index.ENDINGS.values() for ending in endings]
    assert len(endings) == len(set(endings))
    assert all(ending.startswith(".") and ending == ending.lower() for ending in endings)


def test_every_module_with_a_format_is_named_in_the_index() -> None:
    named = {module for _, _, module in (*index._MAGICS, *index._TAIL_MAGICS)} | {"iso9660", "plain", "raw"}
    assert {plugin.claims.__module__.rpartition(".")[2] for plugin in PLUGINS} == named
