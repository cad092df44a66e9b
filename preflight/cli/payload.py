"""`preflight payload`: check the images, then write the import request."""

import os
from collections.abc import Sequence
from typing import Any

import click

from preflight import profiles, targets
from preflight.checking import check
from preflight.cli import _completing, _configuring, _declaring, _options
from preflight.cli._configuring import Settings
from preflight.cli._inspecting import inspected, parted, tell_unread
from preflight.cli._output import Output, say
from preflight.declaring import of_disks
from preflight.import_requests import ImportRequest
from preflight.reports import escape
from preflight.verdicts import Declared, Profile, Report, sendable


@click.command("payload")
@click.argument("system", type=click.Path(readable=False))
@click.argument("data", nargs=-1, type=click.Path(readable=False))
@click.option(
    "--region",
    metavar="ID",
    required=True,
    shell_complete=_completing.limit("regions"),
    help="RegionId: the region of the bucket, and of the new image.",
)
@click.option("--bucket", metavar="NAME", required=True, help="OSSBucket: where the image files are uploaded to.")
@click.option("--key-prefix", metavar="TEXT", default="", help="What precedes the file's name in OSSObject.")
@click.option("--key", "keys", metavar="KEY", multiple=True, help="OSSObject, for each image in order (repeatable).")
@click.option(
    "--as",
    "target_name",
    type=click.Choice(targets.names()),
    default="json",
    show_default=True,
    help="How the request is written, and for whom.",
)
@click.option("--force", is_flag=True, help="Write the request although errors stand.")
@_options.profile_name(show_default=profiles.DEFAULT)
@click.option(
    "--disk-image-size",
    "disk_image_sizes",
    metavar="GIB",
    type=int,
    multiple=True,
    help="DiskImageSize, for each image in order (repeatable).",
)
@click.option(
    "--image-format",
    "image_formats",
    metavar="VALUE",
    multiple=True,
    shell_complete=_completing.formats,
    help="Format, for each image in order.",
)
@_declaring.declared
@_options.judgement
@_configuring.settings
@_options.no_guest
@_options.second_opinion
@_options.limits
@_options.output
def command(
    system: str,
    data: tuple[str, ...],
    region: str,
    bucket: str,
    key_prefix: str,
    keys: tuple[str, ...],
    target_name: str,
    force: bool,
    profile_name: str | None,
    disk_image_sizes: tuple[int, ...],
    image_formats: tuple[str, ...],
    declared: dict[str, Any],
    strict: bool | None,
    ignore: tuple[str, ...],
    settings: Settings,
    no_guest: bool,
    second_opinion: bool,
    out: Output,
) -> int:
    """Check the images and write the ImportImage request: SYSTEM becomes mapping 1, each DATA 2 and up."""
    paths = (system, *data)
    out.refuse_images(paths)
    for option, values in (
        ("--key", keys),
        ("--disk-image-size", disk_image_sizes),
        ("--image-format", image_formats),
    ):
        if len(values) > len(paths):
            raise click.UsageError(f"{option} is given {len(values)} times for {len(paths)} images")
    profile = profiles.load(profile_name or settings.profile_names()[0])
    found = inspected(paths, out, no_guest=no_guest, second_opinion=second_opinion)
    images, unread = parted(found)
    if unread:
        tell_unread(found, out)
        return 3
    first = Declared(region_id=region, **settings.declared(system, declared))
    objects = [*keys, *(key_prefix + os.path.basename(path) for path in paths[len(keys) :])]
    configured = [settings.of_image(path).declared for path in paths]
    formats = [*image_formats, *(said.get("image_format") for said in configured[len(image_formats) :])]
    sizes = [*disk_image_sizes, *(said.get("disk_image_size") for said in configured[len(disk_image_sizes) :])]
    mappings = of_disks(first, images, objects, bucket=bucket, formats=formats, sizes=sizes)
    reports = [
        check(
            image,
            profile,
            mapping,
            strict=settings.strict(strict),
            ignore=settings.ignored(path, ignore),
            others=profiles.newer_than(profile),
        )
        for path, image, mapping in zip(paths, images, mappings, strict=True)
    ]
    _tell(reports, out)
    ready = all(report.verdict == "ready" for report in reports)
    if not ready and not force:
        _tell_others(reports, out)
        out.hint("preflight: nothing is written, as errors stand; --force writes it all the same")
        return 1
    sent = [sendable(mapping, profile.limits) for mapping in mappings]
    _write(targets.load(target_name), targets.build_request(reports, sent), out)
    _remind(profile, region, bucket, out)
    return 0 if ready else 1


def _write(target: targets.Target, request: ImportRequest, out: Output) -> None:
    """The request, and on stderr, even quietly, what of it gets lost."""
    for sentence in target.omits(request):
        say(f"warning: --as {target.name}: {escape(sentence)}")
    out.write(target.render(request))


def _tell(reports: Sequence[Report], out: Output) -> None:
    """Findings on stderr: stdout carries the request and nothing else."""
    for number, report in enumerate(reports, start=1):
        for finding in report.findings:
            if finding.severity == "error" or not out.quiet:
                say(
                    f"{finding.severity}: mapping {number}, {escape(report.image.path)}: {finding.rule}: "
                    f"{escape(finding.subject)}: {escape(finding.message)}\n  remedy: {escape(finding.remedy)}"
                )
        for entry in report.ignored:
            if entry.findings and entry.reason is not None:
                out.hint(f"ignored: mapping {number}: {entry.rule}: {escape(entry.reason)}")
        by_reason: dict[str, list[str]] = {}
        for undetermined in report.undetermined:
            by_reason.setdefault(undetermined.reason, []).append(undetermined.rule)
        for reason, rules in by_reason.items():
            out.hint(f"undetermined: mapping {number}: {', '.join(rules)}: {escape(reason)}")


def _tell_others(reports: Sequence[Report], out: Output) -> None:
    """By which other profiles all of the images would be ready."""
    refused = [set(report.also_ready_for) for report in reports if report.verdict == "not-ready"]
    for name in sorted(set.intersection(*refused)):
        out.hint(f"preflight: the request is ready by other rules: --profile {name}")


def _remind(profile: Profile, region: str, bucket: str, out: Output) -> None:
    """What only the person can see to."""
    out.hint("Before you send it:")
    for reminder in profile.reminders:
        out.hint(f"- {escape(reminder.format(region=region, bucket=bucket))}")
