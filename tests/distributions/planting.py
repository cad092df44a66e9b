"""A defect in a recipe: what it is, where it is planted, and what is to be found of it."""

from pathlib import Path
from typing import NamedTuple

from preflight.verdicts import Declared
from tests.disks import converted
from tests.distributions import building
from tests.distributions.defects import Plant
from tests.distributions.judging import facts, findings, guest_of, judged, stated
from tests.distributions.recipes import load

FORMATS = {
    "raw": (),
    "qcow2": ("qcow2",),
    "compressed qcow2": ("qcow2", "-c"),
    "dynamic VHD": ("vpc", "-o", "subformat=dynamic,force_size=on"),
    "fixed VHD": ("vpc", "-o", "subformat=fixed,force_size=on"),
}


class Defect(NamedTuple):
    """One defect, to be found in one recipe, on a disk in one format."""

    recipe: str
    format: str
    plants: tuple[Plant, ...]
    found: dict[str, str] = {}
    """Rules by profile `aliyun`, and their severities, beside what the recipe states."""
    gone: tuple[str, ...] = ()
    """Rules that the recipe states and that no longer apply."""
    declared: Declared = Declared()
    facts: dict[str, object] = {}
    undetermined: tuple[str, ...] = ()


def is_found(defect: Defect, folder: Path) -> None:
    """The rule that names the defect finds it, and nothing else is found that the recipe does not state."""
    recipe = load(defect.recipe)
    for plant in defect.plants:
        plant(recipe)
    disk = building.build(folder, recipe)
    if options := FORMATS[defect.format]:
        ending = {"qcow2": ".qcow2", "vpc": ".vhd"}[options[0]]
        disk = converted(disk, disk.with_suffix(ending), *options)
    image, guest = guest_of(disk)
    assert image.problems == ()
    found = facts(image, guest)
    assert {fact: (found[fact], value) for fact, value in defect.facts.items() if found[fact] != value} == {}
    expected = stated(recipe, "aliyun")
    expected = {level: [rule for rule in rules if rule not in defect.gone] for level, rules in expected.items()}
    for rule, severity in defect.found.items():
        expected[severity] = sorted({*expected.get(severity, ()), rule})
    report = judged(image, "aliyun", defect.declared)
    assert findings(report) == {severity: rules for severity, rules in expected.items() if rules}
    assert tuple(one.rule for one in report.undetermined) == defect.undetermined
    assert report.verdict == ("not-ready" if "error" in defect.found.values() else "ready")
