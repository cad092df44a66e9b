import preflight.volumes
from preflight.plugins import collect, load
from preflight.volumes import MANAGERS, VolumeReader


def test_every_volume_manager_is_named() -> None:
    named = {id(load(preflight.volumes, module, "VOLUME")) for module in MANAGERS.values()}
    found: tuple[VolumeReader, ...] = collect(preflight.volumes, "VOLUME")
    assert {id(plugin) for plugin in found} == named
