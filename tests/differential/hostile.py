"""Changed headers and tables, and why we refuse some that the reference tools take."""

import json
import random
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from preflight import profiles
from preflight.checking import check
from preflight.facts import Image
from preflight.inspection import inspect
from preflight.tables._boot_sector import BOOT_RECORD
from preflight.tables._gpt_entries import PARTITION_ENTRY
from preflight.tables._gpt_header import GPT_HEADER
from preflight.units import MiB
from preflight.verdicts import Declared
from tests import disks
from tests.properties import images
from tests.properties.images import Place, Sound, Writes
from tests.tables.disks import as_sfdisk
from tests.tools import find

WHY_WE_REFUSE: Mapping[str, str] = {
    "vhd-header-checksum": "the specification demands it; QEMU does not look at the header's",
    "vhd-footer-checksum": "the specification demands it; QEMU warns and opens",
    "vhd-footer-copies-differ": "others read the copy that QEMU does not",
    "vhd-footer-missing": "QEMU takes the copy at the start; the footer is what others look for",
    "vhd-footer-invalid": "a field that the specification fixes; QEMU does not look at it",
    "vhd-header-invalid": "a field that the specification fixes; QEMU does not look at it",
    "vhd-sizes-differ": "QEMU picks one of the two sizes, Azure and Hyper-V the other",
    "vhd-table-size-mismatch": "the cloud demands that the table fits the disk",
    "vhd-bat-invalid": "QEMU looks at an entry when it reads it",
    "vhd-differencing": "its other half is in another file, which is not imported",
    "qcow2-table-invalid": "`qemu-img check` calls it corrupt, `info` does not read it",
    "qcow2-mapping-invalid": "`qemu-img check` calls it corrupt, `info` does not read it",
    "qcow2-header-extension-invalid": "the specification demands it",
    "qcow2-header-invalid": "the specification forbids it; only opening for writing fails",
    "qcow2-encrypted": "QEMU opens it for `info`; the cloud has no key",
    "qcow2-snapshots": "nothing is wrong, they are told of",
    "qcow2-dirty": "QEMU repairs it; the cloud may not",
    "qcow2-corrupt": "QEMU opens it for reading only",
    "qcow2-backing-file": "the cloud does not have it",
    "qcow2-unknown-feature": "QEMU opens some for `info`",
    "truncated-file": "bytes are missing, which QEMU finds when it reads them",
    "size-not-in-sectors": "QEMU rounds, the cloud counts",
    "partition-table-unreadable": "follows from what else is told: the first sectors are out of reach",
    "contents-unreadable": "follows from what else is told: the bytes are out of reach",
}
"""By code of a problem: why an image has it that qemu-img opens."""
KINDS = ("qcow2 v2", "qcow2 v3", "vhd fixed", "vhd dynamic")


class Case(NamedTuple):
    """A changed image: what it was, what was changed."""

    base: Path
    name: str
    writes: Writes


def picked(bases: Mapping[str, Sound], count: int, seed: int) -> list[Case]:
    """Single and double changes, always the same for a seed."""
    chance = random.Random(seed)
    changes = {name: list(images.mutations(base)) for name, base in bases.items()}
    cases = []
    for _ in range(count):
        name = chance.choice(list(bases))
        chosen = chance.sample(changes[name], chance.choice((1, 1, 2)))
        writes = [write for _, some in chosen for write in some]
        cases.append(Case(bases[name].path, f"{name}: {', '.join(what for what, _ in chosen)}", writes))
    return cases


def written(case: Case, path: Path) -> Path:
    subprocess.run(["cp", "--sparse=always", case.base, path], check=True)
    with path.open("r+b") as file:
        for offset, data in case.writes:
            file.seek(offset)
            file.write(data)
    return path


def errors(image: Image) -> set[str]:
    """The rules of the cloud that it breaks."""
    return {one.rule for one in check(image, profiles.load("aliyun"), Declared()).findings if one.severity == "error"}


def asked(command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [find(str(command[0])) or "", *map(str, command[1:])], capture_output=True, text=True, timeout=60, check=False
    )


def qemu_disagreements(cases: Sequence[Case], folder: Path) -> list[str]:
    """What qemu-img refuses and we pass in silence; and what we refuse without a reason in the table."""

    def one(number: int) -> str | None:
        case = cases[number]
        path = written(case, folder / f"{number}")
        driver = "qcow2" if case.name.startswith("qcow2") else "vpc"
        said = asked(["qemu-img", "info", "-U", "-f", driver, "--output=json", path])
        image = inspect(str(path), guest=False)
        before = errors(inspect(str(case.base), guest=False))
        path.unlink()
        if said.returncode == 0:
            unexplained = {problem.code for problem in image.problems} - WHY_WE_REFUSE.keys()
            return f"{case.name}: we refuse for {unexplained}" if unexplained else None
        # Without its cookie it is no VHD any more, and told to be one qemu-img refuses it; we do not tell it to be one.
        if image.format == "raw" or image.problems or errors(image) - before:
            return None
        return f"{case.name}: qemu-img refuses: {said.stderr[-200:]}"

    with ThreadPoolExecutor(2) as pool:
        return [found for found in pool.map(one, range(len(cases))) if found]


def tables(folder: Path) -> dict[str, Sound]:
    """A disk with a GPT and one with an MBR, an extended partition and two logical ones."""
    size = 8 * MiB
    gpt = disks.partitioned(folder / "gpt", size, "label: gpt\nsize=1M, type=L\nsize=2M, type=L\nsize=1M, type=U\n")
    mbr = disks.partitioned(
        folder / "mbr", size, "label: dos\nsize=1M, type=83, bootable\ntype=f\nsize=1M, type=83\nsize=1M, type=82\n"
    )
    last, first = size - 512, images.gpt_seal(512)
    return {
        "gpt": Sound(
            gpt,
            (
                Place("mbr", BOOT_RECORD, 0),
                Place("header", GPT_HEADER, 512, first),
                Place("entry 1", PARTITION_ENTRY, 1024, first),
                Place("entry 2", PARTITION_ENTRY, 1024 + 128, first),
                Place("backup", GPT_HEADER, last, images.gpt_seal(last)),
            ),
        ),
        # By sfdisk's alignment: partitions at 1 and 2 MiB, logical ones 1 MiB behind their boot records.
        "mbr": Sound(
            mbr,
            (
                Place("mbr", BOOT_RECORD, 0),
                Place("first ebr", BOOT_RECORD, 2 * MiB),
                Place("second ebr", BOOT_RECORD, 4 * MiB),
            ),
        ),
    }


def sfdisk_disagreements(cases: Sequence[Case], folder: Path) -> list[str]:
    """Where sfdisk sees other partitions, and neither we nor the list of reasons tell why."""
    found = []
    for number, case in enumerate(cases):
        path = written(case, folder / f"{number}")
        said = asked(["sfdisk", "-J", path])
        image = inspect(str(path), guest=False)
        path.unlink()
        printed = said.stdout[said.stdout.find("{") :] if said.returncode == 0 else ""
        table: dict[str, Any] = json.loads(printed)["partitiontable"] if printed else {"label": None}
        theirs = {
            int(one["node"].removeprefix(str(path)).lstrip("p")): (one.get("start"), one["size"], one["type"])
            for one in table.get("partitions", [])
            if one["size"]  # a record of no sectors is no partition: Linux passes over it
        }
        ours = {
            one.number: (shown["start"], shown["size"], shown["type"] or "0")
            for one in image.partitions
            for shown in [as_sfdisk(one)]
        }
        # sfdisk takes no data partition from the second record of an extended boot record; Linux does, and so do we.
        extra = {key: value for key, value in ours.items() if key not in theirs and key >= 5}
        if image.problems or ours == theirs or {**theirs, **extra} == ours:
            continue
        # A wrong boot indicator beside records that make no sense: Linux takes it for no table at all.
        if (
            not ours
            and table["label"] == "dos"
            and image.partition_table is not None
            and (image.partition_table.type == "none")
        ):
            continue
        found.append(f"{case.name}: sfdisk {theirs}, we {ours}")
    return found
