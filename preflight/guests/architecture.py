"""Which processor the guest's programs are for: the ELF header of a real one.

Specification: System V ABI, gABI chapter 4, ELF header, https://gabi.xinuos.com/elf/02-eheader.html.
"""

from typing import Literal

from preflight.contents import ContentsError
from preflight.contents.tree import Tree
from preflight.facts import Unknown
from preflight.guests._text import shown

# e_ident, then the two fields that follow it: e_type at 16, e_machine at 18, in the byte order that EI_DATA states.
ELF_MAGIC = b"\x7fELF"
EI_CLASS, EI_DATA, EI_VERSION = 4, 5, 6
ELFCLASS32, ELFCLASS64 = 1, 2
ELFDATA2LSB, ELFDATA2MSB = 1, 2
EV_CURRENT = 1
E_TYPE, E_MACHINE, HEAD_SIZE = 16, 18, 20
TYPES = (1, 2, 3)  # ET_REL (kernel modules), ET_EXEC, ET_DYN

# By e_machine, bits of EI_CLASS, and byte order.
MACHINES: dict[tuple[int, int, str], str] = {
    (3, 32, "little"): "i386",
    (62, 64, "little"): "x86_64",
    (62, 32, "little"): "x86_64",  # x32 programs, which only an x86_64 kernel runs
    (183, 64, "little"): "arm64",
    (183, 64, "big"): "arm64_be",
    (40, 32, "little"): "arm",
    (40, 32, "big"): "armeb",
    (243, 64, "little"): "riscv64",
    (243, 32, "little"): "riscv32",
    (21, 64, "little"): "ppc64le",
    (21, 64, "big"): "ppc64",
    (20, 32, "big"): "ppc",
    (22, 64, "big"): "s390x",
    (22, 32, "big"): "s390",
    (258, 64, "little"): "loongarch64",
    (258, 32, "little"): "loongarch32",
    (8, 64, "little"): "mips64el",
    (8, 64, "big"): "mips64",
    (8, 32, "little"): "mipsel",
    (8, 32, "big"): "mips",
    (43, 64, "big"): "sparc64",
    (2, 32, "big"): "sparc",
    (18, 32, "big"): "sparc",
    (50, 64, "little"): "ia64",
    (0x9026, 64, "little"): "alpha",
    (15, 32, "big"): "hppa",
    (4, 32, "big"): "m68k",
}

# What every system has some of; /bin and /usr/bin may be one, or either the only one. Scripts among them are passed
# over. The last are dynamic linkers, where all programs are elsewhere.
PROGRAMS = (
    *("/bin/sh", "/usr/bin/sh", "/usr/bin/env", "/bin/bash", "/usr/bin/bash", "/bin/ls", "/usr/bin/ls"),
    *("/bin/busybox", "/usr/bin/busybox", "/usr/bin/coreutils", "/bin/echo", "/usr/bin/echo", "/bin/rm", "/bin/cat"),
    *("/usr/bin/cat", "/sbin/init", "/usr/sbin/init", "/usr/lib/systemd/systemd", "/lib/systemd/systemd"),
    *("/sbin/ldconfig", "/usr/sbin/ldconfig", "/rescue/sh", "/libexec/ld-elf.so.1", "/boot/kernel/kernel"),
    *("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1", "/lib64/ld64.so.2", "/lib/ld64.so.1"),
    *("/lib64/ld-linux-loongarch-lp64d.so.1", "/lib/ld-linux-riscv64-lp64d.so.1", "/lib/ld-linux-armhf.so.3"),
    *("/lib/ld-linux.so.2", "/lib/ld-musl-x86_64.so.1", "/lib/ld-musl-aarch64.so.1"),
)


def elf_architecture(head: bytes) -> str | None:
    """The architecture of an ELF file that begins with `head`; None where it is none, or for a machine without name."""
    if len(head) < HEAD_SIZE or not head.startswith(ELF_MAGIC) or head[EI_VERSION] != EV_CURRENT:
        return None
    bits = {ELFCLASS32: 32, ELFCLASS64: 64}.get(head[EI_CLASS])
    if bits is None or head[EI_DATA] not in (ELFDATA2LSB, ELFDATA2MSB):
        return None
    order: Literal["little", "big"] = "little" if head[EI_DATA] == ELFDATA2LSB else "big"
    if int.from_bytes(head[E_TYPE:E_MACHINE], order) not in TYPES:
        return None
    return MACHINES.get((int.from_bytes(head[E_MACHINE:HEAD_SIZE], order), bits, order))


def read_architecture(tree: Tree) -> tuple[str | Unknown, str | None]:
    """The architecture of the first program that is there, and that program's path without links.

    A 32-bit user space on a 64-bit kernel counts as what it is: its programs decide.
    """
    failure: str | None = None
    strange: str | None = None
    for path in PROGRAMS:
        try:
            head = tree.head(path, HEAD_SIZE)
            found = tree.find(path) if head else None
        except ContentsError as error:
            failure = failure or shown(str(error))
            continue
        if head is None or found is None:
            continue
        if architecture := elf_architecture(head):
            return architecture, shown(found.path)
        if head.startswith(ELF_MAGIC):
            strange = strange or f"{path} is an ELF file for a machine that is not known, or with a damaged header"
    return Unknown(failure or strange or "no program in ELF format was found"), None
