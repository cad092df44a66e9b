"""Images of every kind that the tools here can make, and what those tools say of them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.differential import comparing, containers, filesystems, tables
from tests.tools import run

Disk = Callable[[int, str], Path]


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Disk:
    """Raw disks by size and kind of table, each made once."""
    made: dict[tuple[int, str], Path] = {}
    folder = tmp_path_factory.mktemp("disks")

    def give(size: int, label: str) -> Path:
        if (size, label) not in made:
            made[size, label] = containers.disk(folder / f"{len(made)}.raw", size, label)
        return made[size, label]

    return give


@pytest.mark.parametrize("recipe", containers.RECIPES, ids=lambda recipe: recipe.id)
def test_a_container_is_what_qemu_img_says_and_holds_what_it_converts(
    tmp_path: Path, disk: Disk, recipe: containers.Recipe
) -> None:
    path = containers.make(recipe, disk(recipe.size, recipe.label), tmp_path / "image")
    raw = tmp_path / "converted"
    run("qemu-img", "convert", "-f", recipe.format, "-O", "raw", path, raw)
    image = comparing.inspected(path, *recipe.problems)
    comparing.agrees_with_qemu(image, path, recipe.format)
    comparing.same_guest(path, raw)
    comparing.agrees_with_sfdisk(image, raw)
    comparing.agrees_with_blkid(image, raw)


@pytest.mark.parametrize("recipe", tables.RECIPES, ids=lambda recipe: recipe.id)
def test_a_partition_table_is_what_fdisk_and_sfdisk_say(tmp_path: Path, recipe: tables.Recipe) -> None:
    path = tables.make(recipe, tmp_path / "disk.raw")
    image = comparing.inspected(path, *recipe.problems)
    if recipe.sector_size == 512:
        comparing.agrees_with_sfdisk(image, path)
    else:
        comparing.agrees_with_fdisk(image, path, recipe.sector_size)
    assert len(image.partitions) == recipe.partitions


@pytest.mark.parametrize("layout", ["disk", "partition", "4096"])
@pytest.mark.parametrize("recipe", filesystems.RECIPES, ids=lambda recipe: recipe.id)
def test_a_file_system_is_what_blkid_says(tmp_path: Path, recipe: filesystems.Recipe, layout: str) -> None:
    path = filesystems.make(recipe, tmp_path, layout)
    image = comparing.inspected(path, *recipe.problems)
    comparing.agrees_with_blkid(image, path)
    assert image.partition_table is not None
    assert image.partition_table.sector_size == (4096 if layout == "4096" else 512)
    assert [one.type for one in image.filesystems] == [recipe.type]
