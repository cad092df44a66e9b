import platform
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.contents.tree import Tree
from preflight.facts import Unknown
from preflight.guests.architecture import elf_architecture, read_architecture
from tests import tools
from tests.contents.phony import Content, Link, PhonyReader, Special, tree


def elf(machine: int, bits: int = 64, big: bool = False, type_: int = 3) -> bytes:
    order: Literal["big", "little"] = "big" if big else "little"
    ident = b"\x7fELF" + bytes([2 if bits == 64 else 1, 2 if big else 1, 1]) + bytes(9)
    return ident + type_.to_bytes(2, order) + machine.to_bytes(2, order) + bytes(44)


# Machine numbers from the registry of the gABI; names as `uname -m` has them, or the contract's.
@pytest.mark.parametrize(
    ("head", "architecture"),
    [
        (elf(62), "x86_64"),
        (elf(62, bits=32), "x86_64"),
        (elf(3, bits=32), "i386"),
        (elf(183), "arm64"),
        (elf(40, bits=32), "arm"),
        (elf(243), "riscv64"),
        (elf(21), "ppc64le"),
        (elf(21, big=True), "ppc64"),
        (elf(22, big=True), "s390x"),
        (elf(258), "loongarch64"),
        (elf(8, big=True), "mips64"),
        (elf(8, bits=32), "mipsel"),
        (elf(62, type_=1), "x86_64"),
        (elf(62, type_=2), "x86_64"),
        (elf(62, type_=4), None),  # a core dump
        (elf(3, bits=64), None),
        (elf(62, big=True), None),
        (elf(0), None),
        (elf(62)[:19], None),
        (b"\x7fELF" + b"\x03\x01\x01" + elf(62)[7:], None),
        (b"\x7fELF" + b"\x02\x03\x01" + elf(62)[7:], None),
        (b"\x7fELF" + b"\x02\x01\x00" + elf(62)[7:], None),
        (b"#!/bin/sh\n" + bytes(64), None),
        (b"", None),
    ],
)
def test_the_header_tells_the_architecture(head: bytes, architecture: str | None) -> None:
    assert elf_architecture(head) == architecture


def test_a_real_program_is_for_this_machine() -> None:
    names = {"x86_64": "Advanced Micro Devices X86-64", "arm64": "AArch64"}
    shell = Path("/bin/sh").resolve()
    found = elf_architecture(shell.read_bytes()[:64])
    assert found == {"x86_64": "x86_64", "aarch64": "arm64"}.get(platform.machine(), found)
    assert found is not None
    if found in names:
        assert names[found] in tools.run("readelf", "--file-header", shell)


def test_links_are_followed_to_the_program() -> None:
    files: dict[str, Content] = {"/bin": Link("usr/bin"), "/usr/bin/sh": Link("dash"), "/usr/bin/dash": elf(183)}
    assert read_architecture(tree(files)) == ("arm64", "/usr/bin/dash")
    alpine: dict[str, Content] = {"/bin/sh": Link("/bin/busybox"), "/bin/busybox": elf(62)}
    assert read_architecture(tree(alpine)) == ("x86_64", "/bin/busybox")


def test_programs_decide_and_not_the_kernel() -> None:
    files = {"/bin/bash": elf(3, bits=32), "/boot/vmlinuz": b"MZ", "/boot/kernel/kernel": elf(62)}
    assert read_architecture(tree(files)) == ("i386", "/bin/bash")


def test_scripts_and_damaged_programs_are_passed_over() -> None:
    files = {"/bin/sh": b"#!/bin/bash\n", "/usr/bin/env": b"\x7fELF", "/sbin/init": elf(62)}
    assert read_architecture(tree(files)) == ("x86_64", "/sbin/init")


def test_a_dynamic_linker_is_enough() -> None:
    assert read_architecture(tree({"/lib/ld-linux-aarch64.so.1": elf(183)}))[0] == "arm64"
    assert read_architecture(tree({"/rescue/sh": elf(62)}))[0] == "x86_64"


def test_without_programs_it_is_unknown() -> None:
    nothing: list[dict[str, Content]] = [{}, {"/bin/sh": Special()}, {"/bin/sh": Link("sh")}]
    for files in nothing:
        architecture, path = read_architecture(tree(files))
        assert isinstance(architecture, Unknown)
        assert path is None
    strange, _ = read_architecture(tree({"/bin/sh": elf(0xFFFF)}))
    assert isinstance(strange, Unknown)
    assert "machine" in strange.unknown


def test_only_heads_are_read() -> None:
    reader = PhonyReader({"/bin/sh": elf(62) + bytes(1 << 20)})
    read_architecture(Tree(reader))
    assert reader.bytes_read <= 64


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=64), st.integers(0, 63), st.integers(0, 255))
def test_any_bytes_give_a_value(data: bytes, place: int, byte: int) -> None:
    mutated = bytearray(elf(62))
    mutated[place] = byte
    for head in (data, bytes(mutated), b"\x7fELF" + data):
        assert elf_architecture(head) is None or isinstance(elf_architecture(head), str)
        architecture, _ = read_architecture(tree({"/bin/sh": head}))
        assert isinstance(architecture, str | Unknown)
