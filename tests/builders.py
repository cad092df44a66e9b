"""Images and requests as values, for whatever judges them: no disk is needed."""

from typing import Any

import msgspec

from preflight import profiles
from preflight.checking import check
from preflight.facts import FileSystem, Image, Partition, PartitionTable, Problem, ProblemCode
from preflight.rules import all_rules
from preflight.units import GiB, MiB
from preflight.verdicts import Breach, Declared, Outcome, Profile, Unsettled

ESP = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
LINUX_DATA = "0fc63daf-8483-4772-8e79-3d69d8477de4"


def profile() -> Profile:
    """The profile by which the tests judge."""
    return profiles.load("aliyun-2018")


def partition(number: int = 1, type: str = LINUX_DATA, **changes: Any) -> Partition:
    """A partition of 1 GiB."""
    built = Partition(
        number=number,
        start=number * GiB,
        size=GiB,
        type=type,
        type_name=None,
        name=None,
        uuid=f"00000000-0000-4000-8000-{number:012}",
        bootable=False,
    )
    return msgspec.structs.replace(built, **changes)


def gpt(**changes: Any) -> PartitionTable:
    """A GPT, without a boot loader in sector 0."""
    return msgspec.structs.replace(
        PartitionTable(type="gpt", sector_size=512, disk_id="00000000-0000-4000-8000-0000000000ff"), **changes
    )


NO_TABLE = PartitionTable(type="none", sector_size=512, disk_id=None)


def filesystem(on: str = "partition 2", type: str = "ext4") -> FileSystem:
    """A file system that fits."""
    return FileSystem(on=on, type=type, uuid="00000000-0000-4000-8000-0000000000aa", label=None, size=GiB)


def image(**changes: Any) -> Image:
    """A sound system disk of 20 GiB in a qcow2 image: GPT, an EFI system partition, ext4."""
    sound = Image(
        path="disk.qcow2",
        file_size=100 * MiB,
        allocated_size=100 * MiB,
        format="qcow2",
        subformat="v3",
        virtual_size=20 * GiB,
        virtual_size_alternatives={},
        format_details={"version": 3, "cluster_size": 65536},
        extension_matches=True,
        partition_table=gpt(),
        partitions=(partition(1, ESP), partition(2)),
        volumes=(),
        filesystems=(filesystem("partition 1", "vfat"), filesystem()),
        guest=None,
        problems=(),
    )
    return msgspec.structs.replace(sound, **changes)


def raw(**changes: Any) -> Image:
    """The same disk as a raw image."""
    return image(
        **{"path": "disk.raw", "format": "raw", "subformat": None, "format_details": {}, "file_size": 20 * GiB}
        | changes
    )


def vhd(**changes: Any) -> Image:
    """The same disk as a dynamic VHD of blocks of 2 MiB."""
    sound: dict[str, Any] = {
        "path": "disk.vhd",
        "format": "vhd",
        "subformat": "dynamic",
        "virtual_size_alternatives": {"current_size": 20 * GiB, "chs": 20 * GiB},
        "format_details": {"block_size": 2 * MiB, "max_table_entries": 10240},
    }
    return image(**sound | changes)


def unread(format_name: str, **changes: Any) -> Image:
    """A file of a format that is recognised and not read further."""
    nothing: dict[str, Any] = {
        "path": f"disk.{format_name}",
        "format": format_name,
        "subformat": None,
        "virtual_size": None,
        "format_details": {},
        "partition_table": None,
        "partitions": (),
        "filesystems": (),
    }
    return image(**nothing | changes)


def problem(code: ProblemCode, **changes: Any) -> Problem:
    """A problem that has this code."""
    return msgspec.structs.replace(
        Problem(code=code, message="this was found, that was expected", where="some structure", offset=0x200), **changes
    )


def outcomes(rule_id: str, judged: Image, declared: Declared | None = None) -> list[Outcome]:
    """What one rule says, by the profile's limits."""
    return list(all_rules()[rule_id].judge(judged, profile().limits, declared or Declared()))


def breaches(rule_id: str, judged: Image, declared: Declared | None = None) -> list[Breach]:
    """What one rule finds broken."""
    return [outcome for outcome in outcomes(rule_id, judged, declared) if isinstance(outcome, Breach)]


def unsettled(rule_id: str, judged: Image, declared: Declared | None = None) -> list[str]:
    """Why one rule cannot be judged."""
    return [outcome.reason for outcome in outcomes(rule_id, judged, declared) if isinstance(outcome, Unsettled)]


def found(judged: Image, declared: Declared | None = None) -> dict[str, str]:
    """The rules that the image breaks, each with its severity."""
    report = check(judged, profile(), declared or Declared())
    return {finding.rule: finding.severity for finding in report.findings}


def verdict(judged: Image, declared: Declared | None = None) -> str:
    """The profile's verdict on the image."""
    return check(judged, profile(), declared or Declared()).verdict
