"""Systems whose root is encrypted: what hides them is named, and nothing is made up about what cannot be read."""

from pathlib import Path

import pytest

from preflight.facts import Unknown
from preflight.inspection import inspect
from tests.distributions import building
from tests.distributions.defects import luks
from tests.distributions.judging import findings, judged
from tests.distributions.recipes import load
from tests.distributions.sound_guests import PROFILES


@pytest.mark.parametrize("version", ["luks1", "luks2"])
@pytest.mark.parametrize("name", ["rhel-9", "ubuntu-24.04"])  # with a /boot that is not
def test_an_encrypted_root_is_named_and_hides_the_guest(name: str, version: str, tmp_path: Path) -> None:
    recipe = load(name)
    luks("--type", version)(recipe)
    image = inspect(str(building.build(tmp_path, recipe)))
    assert isinstance(image.guest, Unknown)
    assert "crypto_LUKS" in image.guest.unknown
    assert [volume.kind for volume in image.volumes] == ["luks"]
    for profile in PROFILES:
        report = judged(image, profile)
        assert findings(report) == {"warning": ["encrypted-volume"]}
        assert {one.reason for one in report.undetermined} == {image.guest.unknown}
