"""Where results go: stdout, a terminal in colour, or a file that is replaced as a whole; and what is said on stderr."""

import contextlib
import itertools
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from preflight.reports import escape

_CLEAR_LINE = "\r\x1b[K"
_MAX_NAME = 60  # characters of a path in the line of progress, so that it stays one line


def say(message: str, *, end: str = "\n") -> None:
    """Tell the person something on stderr; where nobody listens there, that is no failure."""
    with contextlib.suppress(OSError, ValueError):
        click.echo(message + end, nl=False, err=True)


class Output:
    """How the person wants the result, from the common options."""

    def __init__(self, path: str | None, quiet: bool, no_color: bool) -> None:
        self.path = None if path == "-" else path
        self.quiet = quiet
        self.no_color = no_color
        self._progress_shown = False

    @property
    def paths(self) -> list[str]:
        """The files that are written."""
        return [] if self.path is None else [self.path]

    def refuse_images(self, images: Sequence[str]) -> None:
        """End with a usage error where the output would replace one of the images."""
        for path, image in itertools.product(self.paths, images):
            with contextlib.suppress(OSError, ValueError):
                if os.path.samefile(path, image):
                    raise click.UsageError(f"--output is one of the images: {escape(path)}")

    def write(self, text: str) -> None:
        """Write the whole result, at once."""
        write_to(self.path, text)

    def hint(self, message: str) -> None:
        """Say something on stderr, unless the person wants quiet."""
        if not self.quiet:
            say(message)

    def complain(self, path: str, error: Exception) -> None:
        """Say on stderr why an image could not be read."""
        self._clear_progress()
        say(f"preflight: {escape(path)}: {escape(str(error))}")

    def progress(self, paths: Sequence[str]) -> Iterator[str]:
        """The paths one by one, telling a person at a terminal which is at hand."""
        wanted = len(paths) > 1 and not self.quiet and is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"
        try:
            for number, path in enumerate(paths, start=1):
                if wanted:
                    say(f"{_CLEAR_LINE}{number}/{len(paths)} {escape(path)[:_MAX_NAME]}", end="")
                    self._progress_shown = True
                yield path
        finally:
            self._clear_progress()

    def _clear_progress(self) -> None:
        if self._progress_shown:
            say(_CLEAR_LINE, end="")
            self._progress_shown = False


def is_terminal(stream: Any) -> bool:
    """Whether a person reads what is written to `stream`."""
    return bool(stream.isatty())


def write_to(path: str | None, text: str) -> None:
    """Write `text` to stdout, or to the file at `path`, which is replaced as a whole."""
    data = text.encode("utf-8", "backslashreplace")
    if path is None:
        with writing_stdout():
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
    else:
        _replace(path, data)


def replace_closed_streams() -> None:
    """Occupy what is closed of the first three descriptors, before an image or a pipe is opened in their place.

    Python has no stream then. The new stdout refuses what is written to it, as a result must not be lost unseen; what
    is said to a closed stderr goes nowhere.
    """
    for descriptor, flags in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, flags)  # the lowest number that is free: this one
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  # it lives as long as the process
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def discard_stdout() -> None:
    """Let what is still buffered for stdout go nowhere: it could not be written, and must not be tried again."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def writing_stdout() -> Iterator[None]:
    """Where the block writes to stdout: who reads it may leave, and where it cannot be written the command ends."""
    try:
        yield
    except BrokenPipeError:  # the reader has seen enough; what was judged stays the exit code
        discard_stdout()
    except OSError as error:
        discard_stdout()
        raise click.ClickException(f"cannot write to stdout: {error.strerror}") from error


def _replace(path: str, data: bytes) -> None:
    """Write aside and rename, so that an old file stays whole until the new one is; a device is written to."""
    import tempfile

    target = os.path.realpath(path)
    try:
        if os.path.exists(target) and not stat.S_ISREG(os.stat(target).st_mode):
            with open(target, "wb") as file:
                file.write(data)
            return
        descriptor, aside = tempfile.mkstemp(prefix=".preflight-", dir=os.path.dirname(target))
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                os.fchmod(file.fileno(), _mode(target))
            os.replace(aside, target)
        except BaseException:
            os.unlink(aside)
            raise
    except OSError as error:
        raise click.ClickException(f"cannot write {escape(path)}: {error.strerror}") from error


def _mode(target: str) -> int:
    """Permissions of the file that is replaced, or of any new file."""
    try:
        return stat.S_IMODE(os.stat(target).st_mode)
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
