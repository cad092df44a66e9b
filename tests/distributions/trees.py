"""The files of a recipe in a folder: its texts and links, programs cut down to their headers, kernels, initramfs."""

import os
import shutil
from pathlib import Path
from typing import Any

from tests.distributions.recipes import Recipe
from tests.tools import run

ELF = {"x86_64": (2, 62), "i386": (1, 3), "arm64": (2, 183)}  # EI_CLASS, e_machine
PE = {"x86_64": 0x8664, "i386": 0x14C, "arm64": 0xAA64}

# Where a kernel installs the modules that matter here, and the options that make them.
MODULES = {
    "CONFIG_VIRTIO": "kernel/drivers/virtio/virtio.ko",
    "CONFIG_VIRTIO_PCI": "kernel/drivers/virtio/virtio_pci.ko",
    "CONFIG_VIRTIO_BLK": "kernel/drivers/block/virtio_blk.ko",
    "CONFIG_VIRTIO_NET": "kernel/drivers/net/virtio_net.ko",
    "CONFIG_SCSI_VIRTIO": "kernel/drivers/scsi/virtio_scsi.ko",
    "CONFIG_BLK_DEV_NVME": "kernel/drivers/nvme/host/nvme.ko",
    "CONFIG_FW_CFG_SYSFS": "kernel/drivers/firmware/qemu_fw_cfg.ko",
    "CONFIG_EXT4_FS": "kernel/fs/ext4/ext4.ko",
    "CONFIG_XFS_FS": "kernel/fs/xfs/xfs.ko",
    "CONFIG_BTRFS_FS": "kernel/fs/btrfs/btrfs.ko",
}
COMPRESSORS = {
    "gzip": ("gzip", "-n", "-9", "-c"),
    "xz": ("xz", "--check=crc32", "-c"),
    "zstd": ("zstd", "-q", "-19", "-c"),
    "lz4": ("lz4", "-l", "-q", "-c"),
    "bzip2": ("bzip2", "-c"),
    "lzma": ("xz", "--format=lzma", "-c"),
}


def write(recipe: Recipe, root: Path) -> None:
    """Make the tree below `root`, which must not be there yet."""
    root.mkdir()
    architecture = recipe["facts"].get("architecture") or recipe["disk"]["machine"]
    for path in recipe["directories"]:
        _place(root, path).mkdir(parents=True, exist_ok=True)
    for path, text in recipe["files"].items():
        _put(root, path, text.encode())
    for path in recipe["programs"]:
        _put(root, path, pe(architecture) if path.endswith(".efi") else elf(architecture))
    for kernel in recipe["kernels"]:
        _kernel(root, kernel, architecture)
    for path, target in recipe["links"].items():
        link = _place(root, path)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)


def elf(architecture: str) -> bytes:
    """The header of a program for this processor."""
    bits, machine = ELF[architecture]
    head = b"\x7fELF" + bytes((bits, 1, 1)) + bytes(9) + b"\x03\0" + machine.to_bytes(2, "little") + b"\x01\0\0\0"
    return head.ljust(64, b"\0")


def pe(architecture: str) -> bytes:
    """The headers of an EFI program for this processor."""
    return b"MZ".ljust(60, b"\0") + b"\x40\0\0\0PE\0\0" + PE[architecture].to_bytes(2, "little") + bytes(442)


def vmlinuz(version: str, architecture: str) -> bytes:
    """The headers of a kernel: that of x86 with its version, and that of the EFI stub."""
    data = bytearray(4096)
    data[:2], data[0x3C:0x40], data[0x80:0x84] = b"MZ", (0x80).to_bytes(4, "little"), b"PE\0\0"
    data[0x84:0x86] = PE[architecture].to_bytes(2, "little")
    if architecture == "arm64":
        data[0x38:0x3C] = b"ARM\x64"
        return bytes(data)
    data[0x1FE:0x200], data[0x202:0x206] = b"\x55\xaa", b"HdrS"
    data[0x206:0x208] = (0x020F).to_bytes(2, "little")
    data[0x20E:0x210] = (0x600).to_bytes(2, "little")  # less 0x200
    text = f"{version} (builder@host) #1 SMP\0".encode()
    data[0x800 : 0x800 + len(text)] = text
    return bytes(data)


def _place(root: Path, path: str) -> Path:
    place = root / path.lstrip("/")
    for parent in place.relative_to(root).parents:
        assert not (root / parent).is_symlink(), f"{path} is behind the link /{parent}"
    return place


def _put(root: Path, path: str, data: bytes) -> None:
    place = _place(root, path)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)


def _kernel(root: Path, kernel: dict[str, Any], architecture: str) -> None:
    """A kernel with its configuration, modules and initramfs, each where the recipe says."""
    version, modules, options = kernel["version"], kernel["modules"], kernel["options"]
    _put(root, kernel["image"], vmlinuz(version, architecture))
    if "config" in kernel:
        _put(root, kernel["config"], _config(version, options).encode())
    suffix = kernel.get("suffix", "")
    places = MODULES | kernel.get("places", {})
    as_modules = [places[option] + suffix for option, value in options.items() if value == "m"]
    built_in = [places[option] for option, value in options.items() if value == "y" and option in places]
    for path in as_modules:
        _put(root, f"{modules}/{version}/{path}", elf(architecture))
    _put(root, f"{modules}/{version}/modules.dep", "".join(f"{path}:\n" for path in as_modules).encode())
    if kernel.get("builtin", True):
        _put(root, f"{modules}/{version}/modules.builtin", "".join(f"{path}\n" for path in built_in).encode())
    if "initramfs" in kernel:
        inside = [path for path in as_modules if Path(path).name.partition(".ko")[0] in kernel["inside"]]
        assert len(inside) == len(kernel["inside"]), f"{kernel['inside']} are not all modules of {version}"
        below = f"{kernel.get('archived', modules).lstrip('/')}/{version}"
        if "flat" in kernel:  # mkinitrd of Red Hat before dracut
            inside, below = [Path(path).name for path in inside], kernel["flat"]
        _initramfs(root, kernel, [f"{below}/{path}" for path in inside], elf(architecture))


def _config(version: str, options: dict[str, str]) -> str:
    lines = ["#", f"# Automatically generated file; DO NOT EDIT.\n# Linux/x86 {version} Kernel Configuration", "#"]
    lines += ["CONFIG_64BIT=y", "CONFIG_BLK_DEV_INITRD=y", 'CONFIG_INITRAMFS_SOURCE=""', "CONFIG_RD_GZIP=y"]
    lines += [f"{name}={value}" if value != "n" else f"# {name} is not set" for name, value in options.items()]
    return "\n".join(lines) + "\n"


def _initramfs(root: Path, kernel: dict[str, Any], modules: list[str], module: bytes) -> None:
    """cpio archives as the distribution's tool makes them: microcode first if it is told, the rest compressed."""
    work = root.parent / f"initramfs-{kernel['version']}"
    work.mkdir()
    archives = b""
    if kernel.get("early"):
        _put(work / "early", "early_cpio", b"1\n")
        _put(work / "early", "kernel/x86/microcode/GenuineIntel.bin", bytes(4096))
        archives += _archive(work / "early")
    main = work / "main"
    for path in modules:
        _put(main, path, module)
    _put(main, "init", b"#!/bin/sh\n")
    _put(main, "bin/busybox", module)
    packed = _archive(main)
    if kernel["compression"] != "none":
        (work / "plain").write_bytes(packed)
        program, *options = COMPRESSORS[kernel["compression"]]
        run("sh", "-c", '"$@" <"$0" >"$0.packed"', work / "plain", program, *options)
        packed = (work / "plain.packed").read_bytes()
    _put(root, kernel["initramfs"], archives + packed)
    shutil.rmtree(work)


def _archive(folder: Path) -> bytes:
    paths = sorted(folder.rglob("*"))
    for path in paths:
        os.utime(path, (0, 0))
    listed = "\n".join(str(path.relative_to(folder)) for path in paths)
    run(
        "cpio",
        "-o",
        "-H",
        "newc",
        "--quiet",
        "--reproducible",
        "-R",
        "0:0",
        "-D",
        folder,
        "-F",
        folder.with_suffix(".cpio"),
        stdin=listed,
    )
    return folder.with_suffix(".cpio").read_bytes()
