"""Booting a disk in an emulator, without KVM and without changing it, and what its serial port said."""

import os
import re
import selectors
import subprocess
import time
from pathlib import Path

import pytest

from tests.tools import REQUIRED, find, require

FIRMWARE = (Path("/usr/share/OVMF/OVMF_CODE_4M.fd"), Path("/usr/share/OVMF/OVMF_VARS_4M.fd"))
LIMIT = 300  # seconds; ten times what a machine with nothing else to do takes
MAX_TOLD = 4 << 20  # bytes: a guest that fills the log is stopped


def boot(disk: Path, *ends: str, uefi: bool = False) -> str:
    """Start the disk until one of `ends`, regular expressions, is on its serial port; return all it said till then.

    The disk is named `.raw` or `.qcow2` for what it is. Fails where the time is over before that.
    """
    require("qemu-system-x86_64")
    command = [
        find("qemu-system-x86_64") or "",
        *("-accel", "tcg,thread=multi", "-machine", "q35", "-smp", "2", "-m", "1024", "-no-reboot", "-snapshot"),
        *("-display", "none", "-monitor", "none", "-serial", "stdio", "-vga", "none"),
        *("-drive", f"file={disk},format={disk.suffix[1:]},if=virtio"),
        *("-netdev", "user,id=net,restrict=on", "-device", "virtio-net-pci,netdev=net,romfile="),
    ]
    if uefi:
        if not all(file.exists() for file in FIRMWARE):
            (pytest.fail if REQUIRED else pytest.skip)("not installed: OVMF (package ovmf)")
        for index, file in enumerate(FIRMWARE):  # -snapshot keeps the variables unchanged too
            command += ["-drive", f"if=pflash,format=raw,unit={index},file={file},readonly={'off' if index else 'on'}"]
    wanted = re.compile("|".join(ends).encode())
    told = bytearray()
    until = time.monotonic() + LIMIT
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as qemu:
        assert qemu.stdout
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(qemu.stdout, selectors.EVENT_READ)
                while time.monotonic() < until and len(told) < MAX_TOLD:
                    if selector.select(timeout=1):
                        data = os.read(qemu.stdout.fileno(), 1 << 16)
                        if not data:
                            break
                        told += data
                        if wanted.search(plain(told)):
                            return plain(told).decode("utf-8", "replace")
        finally:
            qemu.kill()
    said = plain(told).decode("utf-8", "replace")
    pytest.fail(f"none of {ends} within {LIMIT} s; the last that was said:\n{said[-3000:]}")


def plain(told: bytes | bytearray) -> bytes:
    """Without what moves a cursor and sets colours."""
    return re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]|\r", b"", bytes(told))
