"""Sound Windows guests on whole disks: every fact as the recipe has it, and nothing said of them that is not true."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from preflight.checking import check, resolve_role
from preflight.facts import Image
from preflight.guest_facts import BootLoader, Guest, Windows, WindowsDriver
from preflight.inspection import inspect
from preflight.units import GiB
from preflight.verdicts import Declared, Report
from tests import builders, disks
from tests.windows import guests

FORMATS = {
    "raw": None,
    "fixed.vhd": ("vpc", "-o", "subformat=fixed,force_size=on"),
    "dynamic.vhd": ("vpc", "-o", "subformat=dynamic,force_size=on"),
    "qcow2": ("qcow2",),
}
# A fixed VHD is as long as its disk, which is too long to write for each.
FORMAT_OF = {"2008r2": "qcow2", "2012": "dynamic.vhd", "2019": "dynamic.vhd", "2022": "qcow2", "10": "dynamic.vhd"}
DRIVERS = {
    "viostor": ("System32\\drivers\\viostor.sys", "boot", "viostor.inf_amd64_7e4e1a02"),
    "netkvm": ("\\SystemRoot\\System32\\drivers\\netkvm.sys", "demand", "netkvm.inf_amd64_805ada81"),
    "BALLOON": ("\\SystemRoot\\System32\\drivers\\balloon.sys", "demand", None),
}
STORNVME = ("System32\\drivers\\stornvme.sys", "boot", "stornvme.inf_amd64_5a1f0c11")


@pytest.fixture(scope="module", params=guests.RECIPES)
def guest(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[guests.Recipe, Image]:
    """Each guest of the recipes, in one of the formats that import."""
    recipe = guests.recipe(request.param)
    folder = tmp_path_factory.mktemp(f"windows-{recipe.id}")
    path = guests.disk(folder, recipe)
    ending = FORMAT_OF.get(recipe.id, "raw")
    if (how := FORMATS[ending]) is not None:
        converted = disks.converted(path, path.with_suffix(f".{ending}"), *how)
        path.unlink()
        path = converted
    image = inspect(str(path))
    path.unlink()
    return recipe, image


def facts(image: Image) -> tuple[Guest, Windows]:
    found = image.guest
    assert isinstance(found, Guest), (found, image.problems)
    assert isinstance(found.windows, Windows), found.windows
    return found, found.windows


def judged(image: Image, profile: str, **declared: Any) -> Report:
    role = resolve_role(image, "auto")
    assert role == "system"
    return check(image, builders.profile(profile), Declared(role=role, **declared))


def test_every_fact_of_windows_is_that_of_the_recipe(guest: tuple[guests.Recipe, Image]) -> None:
    recipe, image = guest
    _, windows = facts(image)
    found = msgspec.json.decode(msgspec.json.encode(windows))
    expected = recipe.windows_facts
    assert {name: found[name] for name in expected} == expected
    assert set(found) - set(expected) == {"drivers", "read_from"}  # the recipe leaves nothing else open


def test_drivers_are_those_of_the_recipe(guest: tuple[guests.Recipe, Image]) -> None:
    recipe, image = guest
    expected = {**DRIVERS, **({"stornvme": STORNVME} if recipe.is_modern else {})}
    assert facts(image)[1].drivers == tuple(
        WindowsDriver(name, path, start, True, package if recipe.is_modern else None)  # type: ignore[arg-type]
        for name, (path, start, package) in expected.items()
    )


def test_the_guest_is_that_of_the_recipe(guest: tuple[guests.Recipe, Image]) -> None:
    recipe, image = guest
    found, windows = facts(image)
    assert (found.os_type, found.distro) == (guests.COMMON["os_type"], guests.COMMON["distro"])
    assert (found.name, found.version, found.architecture) == (
        recipe.fields["name"],
        recipe.fields["version"],
        recipe.machine,
    )
    assert found.boot_modes == (("uefi",) if recipe.is_uefi else ("bios",))
    assert found.root == f"partition {guests.ROLES[recipe.disk]['windows']}"
    loader = found.boot_loader
    assert isinstance(loader, BootLoader)
    assert (loader.names, loader.bios_boot_code) == (("bootmgr",), "windows")
    fallback = f"EFI/Boot/{guests.FALLBACK[recipe.machine]}"
    assert loader.efi_fallback == ((fallback,) if recipe.is_uefi else ())
    assert set(loader.efi_loaders) == ({fallback, "EFI/Microsoft/Boot/bootmgfw.efi"} if recipe.is_uefi else set())
    assert {path.rpartition("/")[2].upper() for path in windows.read_from} >= {"SYSTEM", "SOFTWARE", "SAM", "BCD"}
    assert image.problems == ()


def test_the_layout_is_that_of_the_recipe(guest: tuple[guests.Recipe, Image]) -> None:
    recipe, image = guest
    assert image.partition_table is not None
    assert image.partition_table.type == ("gpt" if recipe.is_uefi else "mbr")
    roles = guests.ROLES[recipe.disk]
    on = {entry.on: entry.type for entry in image.filesystems}
    assert on == {f"partition {number}": "vfat" if role == "esp" else "ntfs" for role, number in roles.items()}


@pytest.mark.parametrize("profile", ["aliyun", "aliyun-2018"])
def test_nothing_is_said_of_a_sound_guest_but_what_the_cloud_does_not_take(
    guest: tuple[guests.Recipe, Image], profile: str
) -> None:
    recipe, image = guest
    report = judged(image, profile)
    assert {finding.rule for finding in report.findings} == set(recipe.fields.get(profile, ()))
    assert report.undetermined == ()
    assert report.request.os_type == "windows"
    assert report.request.architecture == recipe.machine
    if profile == "aliyun":
        assert report.request.platform == recipe.fields.get("platform", "Other Windows")
        assert report.request.boot_mode == ("UEFI" if recipe.is_uefi else "BIOS")
        assert report.verdict == (
            "not-ready" if "windows-client-edition" in recipe.fields.get(profile, ()) else "ready"
        )


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"os_type": "linux"}, "declared-os-type-differs"),
        ({"platform": "Windows Server 2003"}, "declared-platform-differs"),
        ({"architecture": "arm64"}, "declared-architecture-differs"),
    ],
)
def test_a_wrong_declaration_has_its_rule(
    guest: tuple[guests.Recipe, Image], declared: dict[str, str], said: str
) -> None:
    recipe, image = guest
    report = judged(image, "aliyun", **declared)
    assert said in {finding.rule for finding in report.findings} - set(recipe.fields.get("aliyun", ()))


def test_the_other_boot_mode_is_found_out(guest: tuple[guests.Recipe, Image]) -> None:
    recipe, image = guest
    report = judged(image, "aliyun", boot_mode="BIOS" if recipe.is_uefi else "UEFI")
    assert {finding.rule for finding in report.findings} == {"boot-mode-differs", *recipe.fields.get("aliyun", ())}


def test_a_fixed_vhd_is_read_as_well(tmp_path: Path) -> None:
    recipe = guests.recipe("2012")
    raw = guests.disk(tmp_path, recipe, size=2 * GiB)
    image = inspect(str(disks.converted(raw, tmp_path / "fixed.vhd", *(FORMATS["fixed.vhd"] or ()))))
    assert (image.format, image.subformat) == ("vhd", "fixed")
    assert facts(image)[0].version == recipe.fields["version"]
