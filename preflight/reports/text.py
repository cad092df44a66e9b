"""Results for a person: a line for the container, the disk to scale, tables, findings worst first, the verdict last.

The layout is made once, as lines of styled pieces. A pipe gets it plain and always the same; a terminal gets it
in its own width and colours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from preflight.facts import FileSystem, Image, Problem, Unknown
from preflight.reports import ReportFormat, _summaries, escape
from preflight.reports._drawing import draw
from preflight.reports._guest import guest_lines
from preflight.units import human_size

if TYPE_CHECKING:  # `inspect` has no need of verdicts, and the start-up counts
    from preflight.guest_facts import Guest
    from preflight.verdicts import Finding, Report

PLAIN_WIDTH = 100
MAX_SHOWN = 100  # rows or problems of one image; more than that nobody reads, and JSON has them all

_Shown = TypeVar("_Shown")


class Piece(NamedTuple):
    """Some text of a line, with a rich style."""

    text: str
    style: str = ""


Line = list[Piece]

_SEVERITY_STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}


def image_lines(image: Image, width: int) -> Iterator[Line]:
    """An image's facts, and what is wrong with it."""
    yield from _facts(image, width)
    if image.extension_matches is False:
        yield [Piece(f"  the name has the ending of another format than {escape(image.format)}", "yellow")]
    if image.problems:
        yield [Piece("  problems", "bold")]
        shown, rest = _first(image.problems)
        for problem in shown:
            yield [Piece(f"    {_place(problem)}: ", "yellow"), Piece(escape(problem.message))]
        yield from rest


def report_lines(report: Report, width: int) -> Iterator[Line]:
    """An image's facts and the judgement of one profile."""
    yield from _facts(report.image, width)
    yield from _judgement(report)


def _judgement(report: Report) -> Iterator[Line]:
    shown, rest = _first(report.findings)
    for finding in shown:
        yield from _finding(finding)
    yield from rest
    yield from _undetermined(report)
    yield from _left_out(report)
    yield _verdict(report)
    if report.also_ready_for and report.verdict == "not-ready":
        names = " or ".join(f"--profile {name}" for name in report.also_ready_for)
        yield [Piece(f"  it is ready by other rules: {escape(names)}", "cyan")]


def _first(entries: Sequence[_Shown]) -> tuple[Sequence[_Shown], list[Line]]:
    """As many entries as are shown, and a line about the rest, if any."""
    left = len(entries) - MAX_SHOWN
    if left <= 0:
        return entries, []
    return entries[:MAX_SHOWN], [[Piece(f"    ... and {left} more, all of them in --format json", "dim")]]


def _facts(image: Image, width: int) -> Iterator[Line]:
    yield from _heading(image)
    yield from _disk(image, width)


def _heading(image: Image) -> Iterator[Line]:
    name = image.format if image.subformat is None else f"{image.format} {image.subformat}"
    sizes = [f"file {human_size(image.file_size)}"]
    if image.virtual_size is not None:
        sizes.insert(0, f"disk {_exact(image.virtual_size)}")
    if image.allocated_size is not None and image.allocated_size < image.file_size:
        sizes.append(f"{human_size(image.allocated_size)} allocated")
    yield [Piece(escape(image.path), "bold"), Piece(f": {escape(name)}, {', '.join(sizes)}")]
    alternatives = image.virtual_size_alternatives
    if len(set(alternatives.values())) > 1:
        told = ", ".join(f"{name} {size} bytes" for name, size in alternatives.items())
        yield [Piece(f"  the file states several sizes: {escape(told)}", "yellow")]
    for field in ("backing_file", "data_file", "content"):
        if value := image.format_details.get(field):
            yield [Piece(f"  {field.replace('_', ' ')}: {escape(str(value))}")]


def _exact(size: int) -> str:
    """A size, in bytes too where its unit does not show it to the byte: clouds count in whole GiB, rounded up."""
    shown = human_size(size)
    return f"{shown} ({size} bytes)" if "." in shown else shown


def _disk(image: Image, width: int) -> Iterator[Line]:
    table = image.partition_table
    if table is not None and table.type != "none":
        identity = f", disk {table.disk_id}" if table.disk_id else ""
        yield [Piece(f"  {table.type} partition table, {table.sector_size}-byte sectors{escape(identity)}")]
        if cells := draw(image, width - 2):
            line = [Piece("  |", "dim")]
            for cell in cells:
                line += [Piece(cell.text, "green" if cell.is_partition else "dim"), Piece("|", "dim")]
            yield line
    rows, rest = _first(_contents(image))
    yield from _columns(rows)
    yield from rest
    if table is not None and table.type == "none" and not image.filesystems:
        yield [Piece("  no partition table, and no file system that is known", "dim")]
    elif table is not None:
        yield from _guest(image.guest)


def _guest(guest: Guest | Unknown | None) -> Iterator[Line]:
    if guest is None:
        yield [Piece("  no operating system", "dim")]
    elif isinstance(guest, Unknown):
        yield [Piece(f"  operating system unknown: {escape(guest.unknown)}", "dim")]
    else:
        for number, line in enumerate(guest_lines(guest)):
            yield [Piece(f"  {escape(line)}", "" if number else "bold")]


def _contents(image: Image) -> list[list[str]]:
    """Rows of the table of partitions, volumes and what lies on them."""
    on_place: dict[str, list[FileSystem]] = {}
    for entry in image.filesystems:
        on_place.setdefault(entry.on, []).append(entry)
    rows: list[list[str]] = []
    for partition in image.partitions:
        on = f"partition {partition.number}"
        names = [partition.type_name or partition.type]
        if partition.name:
            names.append(repr(partition.name))
        if partition.bootable:
            names.append("active")
        place = [on, f"{human_size(partition.size)} at {human_size(partition.start)}", ", ".join(names)]
        rows += _with_filesystems(on_place.pop(on, ()), place, partition.size)
    for volume in image.volumes:
        label = volume.name or volume.kind
        on = f"volume {volume.group}/{label}" if volume.group else f"volume {label}"
        size = "" if volume.size is None else human_size(volume.size)
        rows += _with_filesystems(on_place.pop(on, ()), [on, size, volume.kind], volume.size)
    for on, entries in on_place.items():  # the whole disk
        rows += _with_filesystems(entries, [on, "", ""], image.virtual_size)
    return rows


def _with_filesystems(entries: Sequence[FileSystem], place: list[str], size: int | None) -> list[list[str]]:
    """A row for a place of `size` bytes, with the file system on it; a further row for each more."""
    if not entries:
        return [[*place, ""]]
    described = [_described(entry, size) for entry in entries]
    return [[*place, described[0]], *(["", "", "", more] for more in described[1:])]


def _described(entry: FileSystem, place_size: int | None) -> str:
    parts = [entry.type]
    if entry.size is not None and entry.size != place_size:
        parts.append(human_size(entry.size))
    if entry.label:
        parts.append(repr(entry.label))
    if entry.uuid:
        parts.append(entry.uuid)
    if entry.mount_point:
        parts.append(f"on {entry.mount_point}")
    return "  ".join(parts)


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[Line]:
    """Rows as lines, each column as wide as its widest entry."""
    safe = [[escape(entry) for entry in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*safe, strict=True)]
    for row in safe:
        padded = "  ".join(entry.ljust(width) for entry, width in zip(row, widths, strict=True) if width)
        yield [Piece(f"  {padded}".rstrip())]


def _finding(finding: Finding) -> Iterator[Line]:
    style = _SEVERITY_STYLES[finding.severity]
    names = [name for name in (finding.api_error, finding.detection_item) if name]
    told = f"  ({', '.join(names)})" if names else ""
    yield [Piece(f"  {finding.severity} ", style), Piece(escape(finding.rule), "bold"), Piece(escape(told), "dim")]
    yield [Piece(f"    {escape(finding.subject)}: {escape(finding.message)}")]
    action, command = _summaries.split_remedy(finding.remedy)
    yield [Piece("    remedy: ", "dim"), Piece(escape(action))]
    if command:  # on a line of its own, to be copied
        yield [Piece(f"      {escape(command)}")]


def _undetermined(report: Report) -> Iterator[Line]:
    for rules, reason in _summaries.undetermined(report):
        yield [Piece("  undetermined ", "magenta"), Piece(f"{escape(rules)}: {escape(reason)}")]


def _left_out(report: Report) -> Iterator[Line]:
    """What was found and does not count: by a rule that is ignored, or as the baseline has it."""
    for entry in report.ignored:
        if entry.findings:
            yield [Piece("  ignored ", "dim"), Piece(f"{escape(entry.rule)}: {escape(_summaries.why_ignored(entry))}")]
    if report.in_baseline:
        yield [Piece("  baseline ", "dim"), Piece(_summaries.known(report))]


def _verdict(report: Report) -> Line:
    ready = report.verdict == "ready"
    size = report.request.disk_image_size
    asks = f", DiskImageSize {size} GiB" if ready and size is not None else ""
    counts = _summaries.counts(report)
    return [
        Piece(f"  {_summaries.verdict(report)}", "bold green" if ready else "bold red"),
        Piece(f" for {escape(report.profile)} as a {report.role} disk{asks}"),
        Piece(f": {counts}" if counts else ""),
    ]


def _place(problem: Problem) -> str:
    return escape(problem.where if problem.offset is None else f"{problem.where} at byte {problem.offset:#x}")


def images(images: Sequence[Image], width: int = PLAIN_WIDTH) -> Iterator[Line]:
    """The lines that `inspect` prints."""
    for number, image in enumerate(images):
        if number:
            yield []
        yield from image_lines(image, width)


def reports(reports: Sequence[Report], width: int = PLAIN_WIDTH) -> Iterator[Line]:
    """The lines that `check` prints: facts once for each image, and a summary where there are several judgements."""
    last: Image | None = None
    for report in reports:
        if report.image is last:
            yield from _judgement(report)
            continue
        if last is not None:
            yield []
        yield from report_lines(report, width)
        last = report.image
    if len(reports) > 1:
        yield []
        yield from _summary(reports)


def _summary(reports: Sequence[Report]) -> Iterator[Line]:
    failed = [report for report in reports if report.verdict == "not-ready"]
    yield [Piece(f"{len(reports)} judged: {len(reports) - len(failed)} ready, {len(failed)} not ready", "bold")]
    for report in failed:
        told = f" for {escape(report.profile)}: {_summaries.counts(report)}"
        yield [Piece("  NOT READY ", "bold red"), Piece(escape(report.image.path)), Piece(told)]


def plain(lines: Iterator[Line]) -> str:
    """The lines without their styles."""
    return "".join("".join(piece.text for piece in line) + "\n" for line in lines)


REPORT = ReportFormat(
    name="text",
    # What could not be read has been said on stderr, as it was come across.
    images=lambda found, unread=(): plain(images(found)),
    reports=lambda found, unread=(): plain(reports(found)),
)
