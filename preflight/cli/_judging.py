"""Judging images as the command line and the configuration file say: for `check`, `hook` and `baseline`."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from preflight import profiles
from preflight.checking import check, resolve_role
from preflight.cli._configuring import Settings, relative_to
from preflight.cli._inspecting import inspected, read_back, tell_unread
from preflight.cli._output import Output
from preflight.facts import Unread
from preflight.reports import escape
from preflight.verdicts import Declared, Report

if TYPE_CHECKING:
    from preflight.baseline import Entry

MAX_STALE_NAMED = 5


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asks for; what it leaves open is the configuration file's to say."""

    profile_names: tuple[str, ...] = ()
    role: Literal["auto", "system", "data"] | None = None
    declared: dict[str, Any] = {}
    """Fields of `Declared`."""
    strict: bool | None = None
    ignore: tuple[str, ...] = ()
    no_guest: bool = False
    second_opinion: bool = False
    from_json: bool = False
    """The images are documents that `inspect` wrote."""
    lfs_pointers: Literal["skip", "fail"] = "fail"


class Judgement:
    """The reports on some images, in their order, and what is to be said when they are written."""

    def __init__(self, images: Sequence[str], asked: Asked, settings: Settings, out: Output) -> None:
        """Inspect and judge the images."""
        self.settings = settings
        self.strict = settings.strict(asked.strict)
        self.reports: list[Report] = []
        self.paths: list[str] = []
        """Of the image of each report."""
        self.unread: list[Unread] = []
        """Images that could not be read at all."""
        self._out = out
        self._known = settings.baseline()
        self._stale: list[Entry] = []
        judges = [profiles.load(name) for name in settings.profile_names(asked.profile_names)]
        if asked.from_json:
            self._found = read_back(images, out)
            images = [image.path for image in self._found]
        else:
            self._found = inspected(images, out, no_guest=asked.no_guest, second_opinion=asked.second_opinion)
        for path, image in zip(images, self._found, strict=True):
            if isinstance(image, Unread):
                self.unread.append(image)
                continue
            if image.format == "lfs-pointer" and asked.lfs_pointers == "skip":
                _explain_pointer(path, out)
                continue
            said = settings.of_image(path)
            declared = Declared(
                role=resolve_role(image, asked.role or said.role or "auto"),
                **settings.declared(path, asked.declared),
            )
            for profile in judges:
                others = profiles.newer_than(profile)
                ignored = settings.ignored(path, asked.ignore)
                report = check(image, profile, declared, strict=self.strict, ignore=ignored, others=others)
                self.reports.append(self._without_known(report, path))
                self.paths.append(path)
        self._stale += self._gone()

    def _without_known(self, report: Report, path: str) -> Report:
        """The report with what the baseline does not have."""
        if self._known is None:
            return report
        from preflight.baseline import without_known

        name = self.name_in_baseline(path)
        report, stale = without_known(report, name, self._known, strict=self.strict)
        self._stale += stale
        return report

    def _gone(self) -> "list[Entry]":
        """Entries of the baseline about images that are not there any more."""
        known = self._known or ()
        folder = os.path.dirname(self.settings.baseline_path or "")
        gone = {name for name in {entry.image for entry in known} if not os.path.lexists(os.path.join(folder, name))}
        return [entry for entry in known if entry.image in gone]

    def name_in_baseline(self, path: str) -> str:
        """The image at `path` as the baseline calls it."""
        return relative_to(os.path.dirname(self.settings.baseline_path or ""), path)

    def finish(self) -> int:
        """Say, below a long result, what else there is to say; return the exit code."""
        if self._stale:
            named = [f"{entry.image}: {entry.rule}" for entry in self._stale[:MAX_STALE_NAMED]]
            more = len(self._stale) - len(named)
            listed = escape(", ".join(named)) + (f" and {more} more" if more else "")
            self._out.hint(
                "preflight: of the baseline no longer occur, and go when it is written anew by `preflight baseline`: "
                f"{listed}"
            )
        tell_unread(self._found, self._out)
        if self.unread:
            return 3
        return 1 if any(report.verdict == "not-ready" for report in self.reports) else 0


def _explain_pointer(path: str, out: Output) -> None:
    out.hint(
        f"preflight: {escape(path)}: not judged: it is the pointer that Git LFS keeps in place of the image; "
        "to have it judged, run: git lfs pull"
    )
