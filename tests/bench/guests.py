"""Makes the disks with a guest that are measured: `python -m tests.bench.guests FOLDER`.

Two Debians, one whose kernel has the drivers in itself, and one whose initramfs of 40 MB has to be searched to its end;
each on a disk of 10 GiB and of 2 TiB.
"""

import random
import sys
from pathlib import Path

from preflight.units import GiB
from tests import sound
from tests.bench import INITRAMFS
from tests.tools import run

SIZES = {"10 GiB": 10 * GiB, "2 TiB": 2048 * GiB}
KERNELS = ("built-in", "initramfs")
_MODULES = ("block/virtio_blk", "net/virtio_net", "virtio/virtio_pci", "scsi/virtio_scsi", "nvme/host/nvme")


def make_all(folder: Path) -> None:
    """Every guest on a disk of every size, as `SIZE.KERNEL` with a hyphen for the space: qcow2."""
    for kernel in KERNELS:
        made = folder / f"made-{kernel}"
        made.mkdir()
        tree = sound.tree(made)
        if kernel == "initramfs":
            _take_out_drivers(tree)
        disk = sound.disk(made, tree)
        for name, size in SIZES.items():
            with disk.open("r+b") as file:
                file.truncate(size)
            run("sgdisk", "-e", disk)
            run("qemu-img", "convert", "-O", "qcow2", disk, folder / f"{name.replace(' ', '-')}.{kernel}")
        run("rm", "-r", made)


def _take_out_drivers(tree: Path) -> None:
    """Make modules of the kernel's drivers, the last files of a large initramfs."""
    config = tree / f"boot/config-{sound.KERNEL}"
    config.write_text(config.read_text().replace("=y", "=m"))
    rest = tree.parent / "initramfs"
    rest.mkdir()
    rng = random.Random(40)
    for number in range(40):  # hexadecimal digits take half their size, when compressed
        (rest / f"firmware-{number:02}").write_text(rng.randbytes(INITRAMFS // 40).hex())
    names = [f"firmware-{number:02}" for number in range(40)]
    for module in _MODULES:
        path = rest / f"usr/lib/modules/{sound.KERNEL}/kernel/drivers/{module}.ko"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sound.ELF)
        names.append(str(path.relative_to(rest)))
    cpio = run("bash", "-c", f"cd {rest} && cpio --quiet -o -H newc > ../cpio", stdin="\n".join(names) + "\n")
    assert not cpio
    run("zstd", "-q", "-f", "-3", tree.parent / "cpio", "-o", tree / f"boot/initrd.img-{sound.KERNEL}")


if __name__ == "__main__":
    make_all(Path(sys.argv[1]))
