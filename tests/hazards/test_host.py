"""X: paths that are no plain files, files that change, and qemu-img on its leash."""

import os
import stat
import sys
from pathlib import Path

import pytest

from preflight.errors import UnreadableImage
from preflight.inspection import inspect
from preflight.second_opinion import compared
from preflight.source import FileSource
from preflight.tools import qemu_img
from preflight.units import GiB, MiB, TiB
from tests.formats import qcow2_images
from tests.hazards.rows import hazard, seen, told
from tests.tools import sparse


@hazard("X1")
def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo", Path("/dev/null"), tmp_path / "absent", Path("-")):
        with pytest.raises(UnreadableImage):
            inspect(str(path))


@hazard("X1")
def test_a_link_to_an_image_is_the_image_and_a_ring_of_links_is_none(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(sparse(tmp_path / "disk.raw", MiB))
    assert inspect(str(tmp_path / "link")).virtual_size == MiB
    (tmp_path / "ring").symlink_to("ring")
    with pytest.raises(UnreadableImage):
        inspect(str(tmp_path / "ring"))


@hazard("X1")
def test_a_huge_sparse_file_costs_no_full_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[FileSource] = []
    real = FileSource.__init__

    def remembering(self: FileSource, path: str, **budget: int) -> None:
        real(self, path, **budget)
        opened.append(self)

    monkeypatch.setattr(FileSource, "__init__", remembering)
    assert inspect(str(sparse(tmp_path / "disk.raw", 4 * TiB))).virtual_size == 4 * TiB
    assert opened[0].bytes_read < 8 * MiB
    assert opened[0].reads < 200


@hazard("X1")
def test_a_file_that_changes_meanwhile_is_told_and_stated_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sparse(tmp_path / "disk.raw", MiB)
    real = os.pread

    def growing(descriptor: int, size: int, offset: int) -> bytes:
        os.truncate(path, 2 * MiB)
        return real(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", growing)
    found = seen(path)
    assert found.file_size == MiB
    assert told(found) == [("changed-while-read", "the file", None)]


def recorder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A qemu-img that writes down how it was called and under which limits, then fails."""
    program = folder / "qemu-img"
    program.write_text(
        f"#!{sys.executable}\nimport os, resource, sys\n"
        "names = [str(resource.getrlimit(kind)[0]) for kind in (resource.RLIMIT_CPU, resource.RLIMIT_AS)]\n"
        f"os.makedirs(os.path.join({str(folder)!r}, 'calls'), exist_ok=True)\n"
        "for number, word in enumerate([*names, *sys.argv[1:]]):\n"
        f"    os.symlink(word, os.path.join({str(folder)!r}, 'calls', f'{{number:02}}'))\n"
        "sys.exit(1)\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder))
    return folder / "calls"


@hazard("X2")
def test_qemu_img_is_told_the_format_and_the_protocol_and_has_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "json:{}.qcow2"
    path.write_bytes(qcow2_images.image())
    calls = recorder(tmp_path, monkeypatch)
    found = compared(inspect(str(path)), str(path))
    assert "second-opinion-refused" in {code for code, _, _ in told(found)}
    words = [os.readlink(calls / name) for name in sorted(os.listdir(calls))]
    cpu, address_space, command, *rest = words
    assert (int(cpu), int(address_space), command) == (qemu_img.MAX_CPU, 2 * GiB, "info")
    assert "--output=json" in rest
    assert "--backing-chain" not in rest
    assert any("qcow2" in word for word in rest)
    assert any("file" in word and str(path) in word for word in rest)


@hazard("X2")
@pytest.mark.parametrize(
    "data",
    [
        qcow2_images.image(extensions=bytes(8) + b"/etc/passwd", backing_file_offset=112, backing_file_size=11),
        qcow2_images.image(incompatible_features=4),
        qcow2_images.image(l1_size=0xFFFF_FFFF),
        qcow2_images.image(crypt_method=1),
        qcow2_images.image(incompatible_features=1 << 63),
        qcow2_images.image()[:510] + b"\x55\xaa" + qcow2_images.image()[512:],
    ],
    ids=["backing file", "data file", "tables", "encrypted", "unknown feature", "two formats"],
)
def test_qemu_img_never_sees_a_dangerous_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    path = tmp_path / "disk.qcow2"
    path.write_bytes(data)
    calls = recorder(tmp_path, monkeypatch)
    compared(inspect(str(path)), str(path))
    assert not calls.exists()
