"""Measures, prints the tables, and writes them into BENCHMARKS.md."""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.bench import INITRAMFS, processes
from tests.bench.processes import Measured

RUNS = 21
GUEST_RUNS = 5  # the peers take seconds each
ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "BENCHMARKS.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

# Targets.
MAX_RATIO = 1.5  # of a whole process, against a Python that imports click and construct
MAX_CHECK = 0.3  # seconds of a whole process that judges too
MAX_PEAK = 45_000_000  # bytes
MAX_INSIDE = 0.005  # seconds, once everything is imported
MAX_READS = 64
MAX_BYTES = 1 << 20  # without the container's own map

# Targets where the guest is read too.
MAX_GUEST = {"built-in": 0.3, "initramfs": 1.2}  # seconds of a whole process that judges
MAX_GUEST_PEAK = 90_000_000  # bytes
MAX_GUEST_READS = 400
MAX_GUEST_BYTES = 8 << 20  # beyond the initramfs

BASELINE = "`python -c 'import click, construct'`"
PROCESS_IMAGES = ("1-GiB.raw", "1-GiB.qcow2", "2-TiB.qcow2", "2-TiB.vhd-dynamic")
COMMANDS = ("inspect --no-guest", "inspect --no-guest --format json", "check --no-guest")
Row = Sequence[str]


def main() -> None:
    """Measure everything in one run."""
    preflight = Path(sys.executable).with_name("preflight")
    if not preflight.exists():
        raise SystemExit(f"{preflight} is not there: install the package beside this Python")
    with tempfile.TemporaryDirectory(prefix="preflight-bench-") as name:
        folder = Path(name)
        subprocess.run([sys.executable, "-m", "tests.bench.disks", name], cwd=ROOT, check=True)
        whole = processes.measure(_commands(folder, str(preflight)), RUNS, name)
        inside = _inside("layout", sorted(folder.iterdir()))
    with tempfile.TemporaryDirectory(prefix="preflight-bench-") as name:
        folder = Path(name)
        subprocess.run([sys.executable, "-m", "tests.bench.guests", name], cwd=ROOT, check=True)
        images = sorted(folder.iterdir())
        checked = processes.measure(_guest_commands(images, str(preflight)), GUEST_RUNS, name)
        guests_inside = _inside("guest", images)
    text = "\n".join([*_document(whole, inside), "", *_guest_document(checked, guests_inside)])
    print(text)
    _write(text)


def _commands(folder: Path, preflight: str) -> dict[str, list[str]]:
    """What is run as a whole process, by the name of its row."""
    commands = {BASELINE: [sys.executable, "-c", "import click, construct"]}
    for image in PROCESS_IMAGES:
        for command in COMMANDS:
            commands[f"`preflight {command}`, {_shown(image)}"] = [preflight, *command.split(), str(folder / image)]
    for peer in (["qemu-img", "info"], ["file"]):
        found = shutil.which(peer[0])
        if found:
            image = "1-GiB.qcow2"
            commands[f"`{' '.join(peer)}`, {_shown(image)}"] = [found, *peer[1:], str(folder / image)]
    return commands


def _guest_commands(images: Sequence[Path], preflight: str) -> dict[str, list[str]]:
    """What is run on disks with a guest, by the name of its row: ours on all, the peers on the smallest."""
    commands = {f"`preflight check`, {_shown(image.name)}": [preflight, "check", str(image)] for image in images}
    folder = str(Path(sys.executable).parent)
    for peer in (["target-info"], ["virt-inspector", "--no-applications", "--no-icon", "-a"]):
        found = shutil.which(peer[0], path=os.pathsep.join([folder, os.environ["PATH"]]))
        if found and _works(command := [found, *peer[1:], str(images[0])]):
            commands[f"`{' '.join(peer)}`, {_shown(images[0].name)}"] = command
    return commands


def _works(peer: Sequence[str]) -> bool:
    """Whether a peer can do its work here, in a time in which it can be asked again and again.

    libguestfs gets no KVM, whose machine may hang; with an emulated processor it takes half a minute.
    """
    os.environ |= {"LIBGUESTFS_BACKEND": "direct", "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"}
    try:
        return subprocess.run(peer, capture_output=True, check=False, timeout=10).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _inside(what: str, images: Sequence[Path]) -> dict[str, dict[str, Any]]:
    command = [sys.executable, "-m", "tests.bench.inside", what, str(RUNS), *map(str, images)]
    printed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    return {Path(path).name: values for path, values in json.loads(printed).items()}


def _document(whole: Mapping[str, Measured], inside: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield from _machine()
    yield from _table(("whole process", "median", "× baseline", "target", "", "peak", "target", ""), _whole_rows(whole))
    yield ""
    yield from _table(
        ("`inspect()`, once imported", "median", "target", "", "reads", "target", "", "bytes", "target", ""),
        _inside_rows(inside),
    )


def _whole_rows(whole: Mapping[str, Measured]) -> Iterator[Row]:
    baseline = whole[BASELINE].seconds
    for name, (seconds, peak) in whole.items():
        ratio = seconds / baseline
        shown = (f"{seconds * 1000:.0f} ms", f"{ratio:.2f}")
        if name.startswith("`preflight"):
            if name.startswith("`preflight check"):
                targets = (f"≤ {MAX_CHECK * 1000:.0f} ms", _verdict(seconds <= MAX_CHECK))
            else:
                targets = (f"≤ {MAX_RATIO} ×", _verdict(ratio <= MAX_RATIO))
            memory = f"{peak / 1e6:.1f} MB"
            yield name, *shown, *targets, memory, f"≤ {MAX_PEAK / 1e6:.0f} MB", _verdict(peak <= MAX_PEAK)
        else:
            yield name, *shown, "", "", "", "", ""


def _guest_document(whole: Mapping[str, Measured], inside: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield from _table(("whole process, guest read", "median", "target", "", "peak", "target", ""), _checked_rows(whole))
    yield ""
    yield from _table(
        ("`inspect()`, guest read", "median", "reads", "target", "", "bytes", "target", ""), _guest_rows(inside)
    )


def _checked_rows(whole: Mapping[str, Measured]) -> Iterator[Row]:
    for name, (seconds, peak) in whole.items():
        if not name.startswith("`preflight"):
            yield name, f"{seconds * 1000:.0f} ms", "", "", f"{peak / 1e6:.1f} MB", "", ""
            continue
        target = next(target for kernel, target in MAX_GUEST.items() if kernel in name)
        yield (
            name,
            *(f"{seconds * 1000:.0f} ms", f"≤ {target * 1000:.0f} ms", _verdict(seconds <= target)),
            *(f"{peak / 1e6:.1f} MB", f"≤ {MAX_GUEST_PEAK / 1e6:.0f} MB", _verdict(peak <= MAX_GUEST_PEAK)),
        )


def _guest_rows(inside: Mapping[str, Mapping[str, Any]]) -> Iterator[Row]:
    for image, values in inside.items():
        initramfs = INITRAMFS if image.endswith(".initramfs") else 0
        beyond = values["bytes"] - initramfs
        shown = f"{beyond / 1024:.0f} KiB" + (f" + initramfs {initramfs >> 20} MiB" if initramfs else "")
        yield (
            *(_shown(image), f"{values['seconds'] * 1000:.0f} ms"),
            *(str(values["reads"]), f"≤ {MAX_GUEST_READS}", _verdict(values["reads"] <= MAX_GUEST_READS)),
            *(shown, f"≤ {MAX_GUEST_BYTES >> 20} MiB", _verdict(beyond <= MAX_GUEST_BYTES)),
        )


def _inside_rows(inside: Mapping[str, Mapping[str, Any]]) -> Iterator[Row]:
    for image, values in inside.items():
        seconds, reads, own, map_size = (values[key] for key in ("seconds", "reads", "bytes", "map"))
        own -= map_size
        shown = f"{own / 1024:.0f} KiB" + (f" + map {map_size / 1024:.0f} KiB" if map_size else "")
        yield (
            _shown(image),
            *(f"{seconds * 1000:.2f} ms", f"≤ {MAX_INSIDE * 1000:.0f} ms", _verdict(seconds <= MAX_INSIDE)),
            *(str(reads), f"≤ {MAX_READS}", _verdict(reads <= MAX_READS)),
            *(shown, f"≤ {MAX_BYTES // 1024} KiB", _verdict(own <= MAX_BYTES)),
        )


def _shown(image: str) -> str:
    """`2-TiB.vhd-fixed` in words."""
    size, container = image.split(".")
    return f"{size.replace('-', ' ')} {container.replace('vhd-', 'VHD, ')}"


def _verdict(met: bool) -> str:
    return "met" if met else "**missed**"


def _table(head: Row, rows: Iterator[Row]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + " --- |" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def _machine() -> Iterator[str]:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    packages = ", ".join(f"{name} {version(name)}" for name in ("click", "construct", "msgspec"))
    yield f"Measured on {time.strftime('%Y-%m-%d')}: {model}, {os.cpu_count()} cores; Python"
    yield f"{platform.python_version()}, {packages}; {_first_line('qemu-img', '--version')}."
    yield f"Medians of {RUNS} runs in turns."
    yield ""


def _first_line(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[0]


def _write(text: str) -> None:
    """Put the text between the marks of the document."""
    old = DOCUMENT.read_text(encoding="utf-8")
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{DOCUMENT}: the marks {BEGIN} and {END} are not there")
    DOCUMENT.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
