"""What holds for every recipe as it stands; the tests of the families give the names."""

from pathlib import Path

from tests.distributions import building
from tests.distributions.judging import facts, findings, guest_of, judged, stated
from tests.distributions.recipes import load

PROFILES = ("aliyun", "aliyun-2018")


def is_known_and_judged(name: str, folder: Path) -> None:
    """The disk of a recipe shows every fact that it states, and the profiles find exactly what it states."""
    recipe = load(name)
    image, guest = guest_of(building.build(folder, recipe))
    assert image.problems == ()
    found = facts(image, guest)
    told = {"os_type": "linux", **recipe["facts"]}
    unread = told["os_type"] == "freebsd"  # nothing reads UFS
    if not unread:
        told = {"missing_uuids": [], "hibernated": False, **told}
    assert {fact: (found[fact], value) for fact, value in told.items() if found[fact] != value} == {}
    for profile in PROFILES:
        report = judged(image, profile)
        assert findings(report) == stated(recipe, profile), profile
        reasons = {one.reason for one in report.undetermined}
        assert reasons == ({f"{guest.root}: its files are not read"} if unread else set()), profile
