"""The phony guests of fixtures/windows on real disks: hives by hivexregedit, NTFS by ntfs-3g, FAT by mtools.

What a guest is, and what is to be found in it, is told by guests.toml there.
"""

import re
import struct
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from preflight.units import GiB
from tests import disks
from tests.guests.boot_sectors import NTFS_BOOTMGR, WINDOWS_7, pe
from tests.guests.hives import merged, minimal
from tests.tools import run, sparse
from tests.windows import ntfs_volume
from tests.windows.compact import ALGORITHMS, compacted

FOLDER = Path(__file__).parents[2] / "fixtures" / "windows"
RECIPES: dict[str, dict[str, Any]] = tomllib.loads((FOLDER / "guests.toml").read_text())
COMMON = RECIPES.pop("common")
CONFIG = "/Windows/System32/config"
MACHINES = {"i386": 0x014C, "x86_64": 0x8664, "arm64": 0xAA64}
FALLBACK = {"i386": "bootia32.efi", "x86_64": "bootx64.efi", "arm64": "bootaa64.efi"}
DISK_SIZE = 24 * GiB
START = 2048  # sectors: the first partition, as Windows has it since Vista
BOOT_CODE = slice(0x54, 510)  # of an NTFS boot sector, behind the BPB

_BASIC, _RECOVERY = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", "DE94BBA4-06D1-4D40-A16A-BFD50179D6AC"
_ESP, _MSR = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "E3C9E316-0B5C-4DB8-817D-F92DF00215AE"
_GPT = "label: gpt\n"
LAYOUTS = {
    "mbr": "label: dos\nlabel-id: 0xd4c3b2a1\nstart=2048, size=350M, type=7, bootable\ntype=7\n",
    "mbr-single": "label: dos\nlabel-id: 0xd4c3b2a1\nstart=2048, type=7, bootable\n",
    "gpt": (
        f'{_GPT}start=2048, size=100M, type={_ESP}, name="EFI system partition"\n'
        f'size=16M, type={_MSR}, name="Microsoft reserved partition"\n'
        f'size=22G, type={_BASIC}, name="Basic data partition"\nsize=500M, type={_RECOVERY}\n'
    ),
    "gpt-recovery-first": (
        f'{_GPT}start=2048, size=450M, type={_RECOVERY}, name="Basic data partition"\n'
        f'size=100M, type={_ESP}, name="EFI system partition"\n'
        f'size=16M, type={_MSR}, name="Microsoft reserved partition"\n'
        f'type={_BASIC}, name="Basic data partition"\n'
    ),
}
# Number of the partition that has each role.
ROLES = {
    "mbr": {"reserved": 1, "windows": 2},
    "mbr-single": {"windows": 1},
    "gpt": {"esp": 1, "windows": 3, "recovery": 4},
    "gpt-recovery-first": {"recovery": 1, "esp": 2, "windows": 4},
}


class Changes(NamedTuple):
    """How a guest differs from its recipe."""

    registry: Mapping[str, str] = {}
    """Text of a .reg file that is merged last into the hive of this name."""
    files: Mapping[str, bytes | None] = {}
    """Files on the volume of Windows that are replaced, or with None taken away."""
    boot_files: Mapping[str, bytes | None] = {}
    """The same on the partition from which it starts."""
    dirty: bool = False
    options: Sequence[str] = ()
    """For mkntfs."""


SOUND = Changes()


class Recipe(NamedTuple):
    """One guest of guests.toml."""

    id: str
    fields: dict[str, Any]

    @property
    def machine(self) -> str:
        return str(self.fields.get("machine", "x86_64"))

    @property
    def disk(self) -> str:
        return str(self.fields["disk"])

    @property
    def is_uefi(self) -> bool:
        return self.disk.startswith("gpt")

    @property
    def is_modern(self) -> bool:
        """Windows 10 and after it."""
        return str(self.fields["version"]).startswith("10.")

    def has(self, form: str) -> bool:
        return form in self.fields.get("files", ())

    @property
    def windows_facts(self) -> dict[str, Any]:
        """Facts of `guest_facts.Windows`."""
        unset = dict.fromkeys(("update_revision", "service_pack"))
        return {**COMMON["windows"], **unset, "product_name": self.fields["name"], **self.fields["windows"]}


def recipe(name: str) -> Recipe:
    """The guest of this name."""
    return Recipe(name, RECIPES[name])


@cache
def hive(name: str, guest: str, more: str = "") -> bytes:
    """A hive of a guest."""
    made = recipe(guest)
    texts = [FOLDER / f"{name}.reg", FOLDER / f"{name}-{guest}.reg"]
    texts += [FOLDER / f"{name}-10.reg"] if made.is_modern and name == "SYSTEM" else []
    text = "\n".join(path.read_text() for path in texts if path.exists())
    if name == "SYSTEM" and (number := made.fields.get("control_set")):
        text = text.replace("ControlSet001", f"ControlSet{number:03}")
        text = text.replace('"Current"=dword:00000001', f'"Current"=dword:{number:08x}')
        text += "\n" + (FOLDER / "SYSTEM-failed.reg").read_text()
    return merged(_complete(f"{text}\n{more}", name), minimal(3 if name == "BCD" else 5))


def _complete(text: str, name: str) -> str:
    """An export as regedit writes it for hivexregedit: the keys from the top of the hive, those above them included."""
    lines: list[str] = []
    written: set[str] = set()
    top = re.escape("BCD00000000" if name == "BCD" else name)
    for line in text.splitlines():
        if key := re.fullmatch(rf"\[(-?)HKEY_LOCAL_MACHINE\\{top}((?:\\.+)?)\]", line):
            names = key[2].split("\\")
            for depth in range(2, len(names)):
                above = "\\".join(names[:depth])
                if above.lower() not in written:
                    lines += [f"[{above}]", ""]
                written.add(above.lower())
            written.add(key[2].lower())
            lines.append(f"[{key[1]}{key[2] or chr(92)}]")
        elif not line.startswith("Windows Registry"):
            assert not line.startswith("["), line
            lines.append(line)
    return "\n".join(["Windows Registry Editor Version 5.00", "", *lines, ""])


def program(machine: str) -> bytes:
    """A program with some text, as large as one that is worth compressing."""
    code = bytes(number * number % 251 for number in range(64)) * 400
    return pe(MACHINES[machine], ((b".text", code), (b".data", bytes(20_000))))


def windows_files(guest: Recipe, changes: Changes) -> dict[str, bytes]:
    """All files on the volume of Windows."""
    found: dict[str, bytes] = {}
    lines = (FOLDER / "files").read_text().splitlines()
    for kind, path in (line.split(" ", 1) for line in lines if not line.startswith("#")):
        if kind == "pe":
            found[path] = program(guest.machine)
        elif kind == "hive":
            name = path.rpartition("/")[2]
            found[path] = hive(name, guest.id, changes.registry.get(name, ""))
        else:
            found[path] = b"" if kind == "log" else b"[.ShellClassInfo]\r\n"
    if guest.machine == "x86_64":
        found["/Windows/SysWOW64/kernel32.dll"] = program("i386")
        found["/Program Files (x86)/desktop.ini"] = b"\r\n"
    if guest.is_modern:
        found["/Windows/System32/drivers/stornvme.sys"] = program(guest.machine)
        found[f"{CONFIG}/DRIVERS"] = hive("DRIVERS", guest.id)
        found["/Windows/System32/winload.efi"] = program(guest.machine)
    if mum := guest.fields.get("mum"):
        found |= _manifest(guest, mum)
    if guest.disk == "mbr-single":
        found |= boot_files(guest, Changes())
    found |= {path: data for path, data in changes.files.items() if data is not None}
    return {_spelt(path, guest): data for path, data in found.items() if changes.files.get(path, b"") is not None}


def _spelt(path: str, guest: Recipe) -> str:
    """Names of the system's folders and drivers in capitals, as installers of older days left them."""
    return path.upper() if guest.has("upper") and not path.startswith(("/Users", "/Program")) else path


def _manifest(guest: Recipe, update: str) -> dict[str, bytes]:
    """The manifest of the cumulative update that is installed."""
    text = (FOLDER / f"SOFTWARE-{guest.id}.reg").read_text()
    packages = re.findall(
        r"Packages\\(Package_for_RollupFix~[^\\\]]+)\]\n(?:\".*\n)*?\"CurrentState\"=dword:00000070", text
    )
    (package,) = packages
    version = package.rpartition("~")[2]
    content = (
        '<?xml version="1.0" encoding="utf-8" standalone="yes"?>\n'
        f'<assembly xmlns="urn:schemas-microsoft-com:asm.v3" manifestVersion="1.0" description="Fix for {update}" '
        'displayName="default" company="Microsoft Corporation" copyright="Microsoft Corporation" '
        f'supportInformation="https://support.microsoft.com/help/{update[2:]}">\n'
        f'  <assemblyIdentity name="Package_for_RollupFix" version="{version}" language="neutral" '
        'processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" />\n'
        f'  <package identifier="{update}" applicabilityEvaluation="deep" releaseType="Security Update" '
        'restart="possible">\n    <parent buildCompare="EQ" integrate="separate" disposition="detect" />\n'
    )
    return {f"/Windows/servicing/Packages/{package}.mum": content.encode() + b"    <update />\n" * 9000}


def boot_files(guest: Recipe, changes: Changes) -> dict[str, bytes]:
    """All files on the partition from which the guest starts."""
    store = hive("BCD", guest.id, changes.registry.get("BCD", ""))
    if guest.is_uefi:
        loader = program(guest.machine)
        found = {
            "/EFI/Microsoft/Boot/bootmgfw.efi": loader,
            "/EFI/Microsoft/Boot/bootmgr.efi": loader,
            "/EFI/Microsoft/Boot/memtest.efi": loader,
            "/EFI/Microsoft/Boot/BCD": store,
            "/EFI/Microsoft/Boot/BCD.LOG": b"",
            f"/EFI/Boot/{FALLBACK[guest.machine]}": loader,
        }
    else:
        found = {
            "/bootmgr": b"\xe9\xd5\x01\xeb\x04\x90" + bytes(400_000),
            "/Boot/BCD": store,
            "/Boot/BCD.LOG": b"",
            "/Boot/memtest.exe": program(guest.machine),
            "/BOOTSECT.BAK": NTFS_BOOTMGR,
        }
    found |= {path: data for path, data in changes.boot_files.items() if data is not None}
    return {path: data for path, data in found.items() if changes.boot_files.get(path, b"") is not None}


def ntfs(path: Path, size: int, start: int, files: Mapping[str, bytes], guest: Recipe, changes: Changes) -> Path:
    """A volume of NTFS with these files, and with the boot sector that Windows writes."""
    options = ["-p", str(start), "-H", "255", "-S", "63", *changes.options]
    ntfs_volume.format_volume(path, size, *options)
    with ntfs_volume.opened(path) as volume:
        if guest.has("compressed"):
            for directory in ("/Windows/System32/config", "/Windows/System32/drivers", "/Windows/servicing/Packages"):
                volume.directory(directory, compressed=True)
        for name, data in files.items():
            if guest.has("compact") and name.endswith((".exe", ".dll", ".sys", ".mum")) and len(data) > 8192:
                algorithm = "lzx" if name.endswith("kernel32.dll") else "xpress4k"
                volume.compact(name, len(data), ALGORITHMS[algorithm], compacted(data, algorithm))
            else:
                volume.write(name, data)
        if changes.dirty:
            volume.set_dirty()
    head = path.open("rb").read(512)
    return disks.put(path, 0, b"\xeb\x52\x90" + head[3 : BOOT_CODE.start] + NTFS_BOOTMGR[BOOT_CODE] + head[510:])


def esp(path: Path, size: int, files: Mapping[str, bytes]) -> Path:
    """An EFI system partition as Windows' setup formats it."""
    sparse(path, size)
    run("mkfs.vfat", "-F", "32", "-n", "SYSTEM", path)
    content = path.with_suffix(".content")
    made: set[str] = set()
    for name, data in files.items():
        names = name.split("/")
        for depth in range(2, len(names)):
            folder = "/".join(names[:depth])
            if folder not in made:
                run("mmd", "-i", path, f"::{folder}")
                made.add(folder)
        content.write_bytes(data)
        run("mcopy", "-i", path, content, f"::{name}")
    return path


def disk(folder: Path, guest: Recipe, changes: Changes = SOUND, size: int = DISK_SIZE) -> Path:
    """A raw disk with this guest."""
    path = disks.partitioned(folder / f"{guest.id}.raw", size, LAYOUTS[guest.disk])
    places = partitions(path)
    roles = ROLES[guest.disk]
    options = ("-c", str(guest.fields["cluster"])) if "cluster" in guest.fields else ()
    system = changes._replace(options=(*options, *changes.options))
    for role, number in roles.items():
        start, length = places[number]
        part = folder / role
        if role == "esp":
            esp(part, length, boot_files(guest, changes))
        elif role == "reserved":
            ntfs(part, length, start // 512, boot_files(guest, changes), guest, Changes())
        elif role == "recovery":
            ntfs(part, length, start // 512, {"/Recovery/WindowsRE/Winre.wim": b"MSWIM\0\0\0"}, guest, Changes())
        else:
            ntfs(part, length, start // 512, windows_files(guest, changes), guest, system)
        disks.put(path, start, part)
        part.unlink()
    return disks.put(path, 0, WINDOWS_7[:440])  # Windows writes it into the protective MBR as well


def partitions(path: Path) -> dict[int, tuple[int, int]]:
    """Start and length of each partition, in bytes, as sfdisk reads them."""
    found = re.findall(rf"{re.escape(str(path))}p?(\d+) : start= *(\d+), size= *(\d+)", run("sfdisk", "-d", path))
    return {int(number): (int(start) * 512, int(size) * 512) for number, start, size in found}


def unwritten(hive_content: bytes) -> bytes:
    """A hive whose last changes are only in its transaction log: the primary number is ahead of the secondary."""
    words = list(struct.unpack_from("<127I", hive_content))
    words[1] = words[2] + 1
    checksum = 0
    for word in words:
        checksum ^= word
    return struct.pack("<128I", *words, checksum) + hive_content[512:]
