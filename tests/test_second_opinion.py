"""When qemu-img is asked, what comes of it, and when it never is."""

import struct
from pathlib import Path
from typing import Any

import pytest

from preflight.inspection import inspect
from preflight.second_opinion import compared
from preflight.units import GiB
from tests import disks
from tests.fake_qemu import FakeQemu, installed
from tests.formats import qcow2_images
from tests.tools import find, run, sparse


@pytest.fixture
def qemu(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> FakeQemu:
    return installed(tmp_path_factory.mktemp("qemu"), monkeypatch)


def asked(path: Path) -> list[tuple[str, str, str]]:
    """What the second opinion adds."""
    image = inspect(str(path))
    both = compared(image, str(path))
    assert both.problems[: len(image.problems)] == image.problems
    return [(problem.code, problem.where, problem.message) for problem in both.problems[len(image.problems) :]]


# agreement


@pytest.mark.parametrize(
    ("name", "driver", "calls"),
    [("disk.raw", "raw", ["info"]), ("disk.vhd", "vpc", ["info"]), ("disk.qcow2", "qcow2", ["info", "check"])],
)
def test_a_sound_image_is_asked_about_and_nothing_is_added(
    tmp_path: Path, qemu: FakeQemu, name: str, driver: str, calls: list[str]
) -> None:
    run("qemu-img", "create", "-q", "-f", driver, tmp_path / name, "1G")
    assert asked(tmp_path / name) == []
    assert sorted(qemu.calls) == sorted(calls)


def test_a_format_that_is_not_read_is_not_asked_about(tmp_path: Path, qemu: FakeQemu) -> None:
    (tmp_path / "disk.vmdk").write_bytes(b"KDMV" + bytes(1020))
    assert asked(tmp_path / "disk.vmdk") == []
    assert qemu.calls == []


# disagreement


def test_another_size_is_told(tmp_path: Path, qemu: FakeQemu) -> None:
    path = sparse(tmp_path / "disk.raw", 1 * GiB)
    qemu.answer("""echo '{"format": "raw", "virtual-size": 5}'""")
    assert asked(path) == [
        ("second-opinion-differs", "qemu-img", "qemu-img sees a virtual size of 5 bytes, preflight 1073741824 bytes")
    ]


def test_corruption_is_told(tmp_path: Path, qemu: FakeQemu) -> None:
    run("qemu-img", "create", "-q", "-f", "qcow2", tmp_path / "disk.qcow2", "1G")
    qemu.answer(
        """if [ "$1" = info ]; then echo '{"format": "qcow2", "virtual-size": 1073741824}'
        else echo '{"format": "qcow2", "check-errors": 2, "corruptions": 3}'; exit 2; fi"""
    )
    assert asked(tmp_path / "disk.qcow2") == [
        ("second-opinion-differs", "qemu-img", "qemu-img check counts 3 corruptions and 2 errors")
    ]


def test_a_refusal_is_told_escaped(tmp_path: Path, qemu: FakeQemu) -> None:
    qemu.answer("printf 'I \\033[31mrefuse\\n' >&2; exit 1")
    ((code, where, message),) = asked(sparse(tmp_path / "disk.raw", 1 * GiB))
    assert (code, where) == ("second-opinion-refused", "qemu-img")
    assert "refuse" in message
    assert "\x1b" not in message


# never asked


def named(**fields: Any) -> bytes:
    return qcow2_images.image(**fields)


def with_backing(name: bytes, **fields: int) -> bytes:
    data = bytearray(named(backing_file_offset=512, backing_file_size=len(name), **fields))
    data[512 : 512 + len(name)] = name
    return bytes(data)


JSON_NAME = b'json:{"driver":"nbd","server":{"type":"inet","host":"127.0.0.1","port":"9"}}'
HOSTILE = {
    "Q1 a path of the host": with_backing(b"/etc/passwd"),
    "Q2 a protocol": with_backing(JSON_NAME),
    "Q2 over the limit": named(backing_file_offset=512, backing_file_size=1024),
    "Q3 itself": with_backing(b"hostile.qcow2"),
    "Q4 a data file": named(incompatible_features=4),
    "Q5 a name of 4 GiB": named(backing_file_offset=512, backing_file_size=0xFFFFFFFF),
    "Q5 a name outside of the first cluster": named(backing_file_offset=1 << 40, backing_file_size=10),
    "Q5 a name across the end of the first cluster": named(backing_file_offset=65530, backing_file_size=100),
    "Q5 a name past the end of the file": named(backing_file_offset=(1 << 63) + 5, backing_file_size=10),
    "Q6 clusters of 2^63 bytes": named(cluster_bits=63),
    "Q7 no L1 table": named(l1_size=0),
    "Q7 an L1 table of 32 GiB": named(l1_size=0xFFFFFFFF),
    "Q12 an unknown feature": named(incompatible_features=1 << 63),
    "Q16 encryption": named(crypt_method=2),
    "V10 two formats": named(extra=bytes(65024) + b"conectix" + bytes(504)),
    "V10 a boot sector": named()[:510] + b"\x55\xaa" + named()[512:],
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_leads_out_of_the_file_is_never_handed_to_qemu_img(
    tmp_path: Path, qemu: FakeQemu, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "hostile.qcow2"
    path.write_bytes(HOSTILE[case])
    image = inspect(str(path))
    assert image.format == "qcow2"
    assert image.problems
    assert compared(image, str(path)) == image
    assert qemu.calls == []


def test_images_by_qemu_that_lead_out_of_the_file_are_never_handed_back(tmp_path: Path, qemu: FakeQemu) -> None:
    create = (str(find("qemu-img")), "create", "-q", "-f", "qcow2")
    made = {
        "backing": ("-u", "-F", "raw", "-b", "/etc/passwd"),
        "protocol": ("-u", "-F", "raw", "-b", JSON_NAME.decode()),
        "data": ("-o", f"data_file={tmp_path}/data.raw"),
    }
    for name, options in made.items():
        run(*create, *options, tmp_path / f"{name}.qcow2", "1G")
    calls = qemu.calls
    for name in made:
        assert asked(tmp_path / f"{name}.qcow2") == []
    assert qemu.calls == calls


def test_a_differencing_vhd_is_never_handed_to_qemu_img(tmp_path: Path, qemu: FakeQemu) -> None:
    run(str(find("qemu-img")), "create", "-q", "-f", "vpc", tmp_path / "disk.vhd", "1G")
    data = bytearray((tmp_path / "disk.vhd").read_bytes())
    for start in (0, len(data) - 512):
        footer = data[start : start + 512]
        footer[60:64] = struct.pack(">I", 4)
        footer[64:68] = bytes(4)
        footer[64:68] = struct.pack(">I", ~sum(footer) & 0xFFFFFFFF)
        data[start : start + 512] = footer
    (tmp_path / "disk.vhd").write_bytes(data)
    calls = qemu.calls
    assert asked(tmp_path / "disk.vhd") == []
    assert qemu.calls == calls


def test_a_second_opinion_agrees_on_a_whole_disk(tmp_path: Path, qemu: FakeQemu) -> None:
    system = disks.system(tmp_path)
    for driver, name in (("qcow2", "a.qcow2"), ("vpc", "b.vhd")):
        path = tmp_path / name
        run(str(find("qemu-img")), "convert", "-f", "raw", "-O", driver, system, path)
        assert asked(path) == []
