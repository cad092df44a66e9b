"""From bytes to a verdict: what is sound is ready in every format, and what is not understood never is."""

import shutil
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from preflight.checking import check, resolve_role
from preflight.facts import Image
from preflight.inspection import inspect
from preflight.verdicts import Declared, Report
from tests import builders, sound
from tests.tools import run

IMPORTABLE = ("raw", "vhd", "qcow2")
VHD = {"fixed": "subformat=fixed,force_size=on", "dynamic": "subformat=dynamic,force_size=on"}


def judged(image: Image) -> Report:
    return check(image, builders.profile(), Declared(role=resolve_role(image, "auto")))


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small system disk with a sound Debian."""
    folder = tmp_path_factory.mktemp("disk")
    return sound.disk(folder, sound.tree(folder), name="disk.raw")


@pytest.fixture(scope="module")
def containers(disk: Path) -> dict[str, Path]:
    """The disk in every format that imports."""
    made = {"raw": disk, "qcow2": disk.with_suffix(".qcow2")}
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", disk, made["qcow2"])
    for subformat, options in VHD.items():
        made[subformat] = disk.with_name(f"{subformat}.vhd")
        run("qemu-img", "convert", "-f", "raw", "-O", "vpc", "-o", options, disk, made[subformat])
    return made


@pytest.mark.parametrize("kind", ["raw", "qcow2", "fixed", "dynamic"])
def test_a_sound_system_disk_is_faultless_in_any_format(containers: dict[str, Path], kind: str) -> None:
    report = judged(inspect(str(containers[kind])))
    assert {finding.severity for finding in report.findings} <= {"info"}
    assert report.undetermined == ()
    assert (report.role, report.verdict, report.request.disk_image_size) == ("system", "ready", 5)


@pytest.mark.parametrize("kind", ["raw", "qcow2", "fixed", "dynamic"])
def test_a_sound_system_disk_cut_anywhere_in_its_data_is_not_ready(
    containers: dict[str, Path], kind: str, tmp_path: Path
) -> None:
    whole = containers[kind]
    for part in (1, 2, 3, 4):
        cut = tmp_path / f"cut{whole.suffix}"
        shutil.copy(whole, cut)
        with cut.open("r+b") as file:
            file.truncate(whole.stat().st_size * part // 6 // 512 * 512)
        assert judged(inspect(str(cut))).verdict == "not-ready"


def not_understood_is_not_ready(path: Path) -> None:
    image = inspect(str(path))
    report = judged(image)
    if image.format not in IMPORTABLE or image.virtual_size is None or image.partition_table is None:
        assert report.verdict == "not-ready"
        assert all(finding.remedy for finding in report.findings)


def mutate(source: Path, target: Path, changes: dict[int, int]) -> None:
    shutil.copy(source, target)
    with target.open("r+b") as file:
        for offset, value in changes.items():
            file.seek(offset)
            file.write(bytes([value]))


BYTES = st.integers(0, 255)
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small images without content, quick to copy."""
    folder = tmp_path_factory.mktemp("empty")
    made = {kind: folder / kind for kind in ("qcow2", "dynamic")}
    run("qemu-img", "create", "-q", "-f", "qcow2", made["qcow2"], "64M")
    run("qemu-img", "create", "-q", "-f", "vpc", "-o", VHD["dynamic"], made["dynamic"], "64M")
    return made


@FEW
@given(changes=st.dictionaries(st.integers(4, 111), BYTES, min_size=1, max_size=4))
def test_a_qcow2_whose_size_or_table_is_not_understood_is_never_ready(
    empty: dict[str, Path], tmp_path: Path, changes: dict[int, int]
) -> None:
    mutate(empty["qcow2"], tmp_path / "x.qcow2", changes)
    not_understood_is_not_ready(tmp_path / "x.qcow2")


@FEW
@given(changes=st.dictionaries(st.integers(8, 1600), BYTES, min_size=1, max_size=4))
def test_a_vhd_whose_size_or_table_is_not_understood_is_never_ready(
    empty: dict[str, Path], tmp_path: Path, changes: dict[int, int]
) -> None:
    mutate(empty["dynamic"], tmp_path / "x.vhd", changes)
    not_understood_is_not_ready(tmp_path / "x.vhd")


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (4, struct.pack(">I", 4)),  # version
        (8, struct.pack(">QI", 0x100, 11)),  # backing_file
        (20, struct.pack(">I", 63)),  # cluster_bits
        (24, struct.pack(">Q", 1 << 63)),  # size
        (24, bytes(8)),
        (32, struct.pack(">I", 1)),  # crypt_method
        (36, struct.pack(">I", 0)),  # l1_size
        (40, struct.pack(">Q", 1 << 40)),  # l1_table_offset
        (60, struct.pack(">I", 0xFFFFFFFF)),  # nb_snapshots
        (72, struct.pack(">Q", 1 << 63)),  # incompatible_features
        (72, struct.pack(">Q", 4)),
        (96, struct.pack(">I", 63)),  # refcount_order
        (100, struct.pack(">I", 0xFFFFFFFF)),  # header_length
    ],
)
def test_a_hostile_qcow2_header_is_not_ready(empty: dict[str, Path], tmp_path: Path, offset: int, value: bytes) -> None:
    mutate(empty["qcow2"], tmp_path / "x.qcow2", dict(enumerate(value, offset)))
    assert judged(inspect(str(tmp_path / "x.qcow2"))).verdict == "not-ready"
