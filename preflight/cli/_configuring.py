"""Finding and reading the configuration file and the baseline; what the command line says wins over both."""

import contextlib
import functools
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from preflight.cli import _options
from preflight.reports import escape

if TYPE_CHECKING:  # most runs have no such file, and tomllib and the rules cost 30 ms
    from preflight.baseline import Entry
    from preflight.configuration import Configuration, ImageSettings

MAX_BYTES = 4 << 20  # no configuration is longer; a baseline has its own limit


class Settings:
    """The configuration file of one run, if there is one, and its baseline."""

    def __init__(self, path: str | None = None, configuration: "Configuration | None" = None) -> None:
        """`path` of the file that holds `configuration`."""
        self.path = path
        self.configuration = configuration
        self.baseline_path: str | None = None
        if path is not None and configuration is not None and configuration.baseline is not None:
            self.baseline_path = shown(os.path.join(os.path.dirname(path), configuration.baseline))

    def profile_names(self, asked: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Those to judge by: as asked, else as configured, else the default one."""
        from preflight import profiles

        configured = self.configuration.profiles if self.configuration else ()
        return tuple(dict.fromkeys(asked)) or configured or (profiles.DEFAULT,)

    def strict(self, asked: bool | None) -> bool:
        """Whether to be strict: as asked, else as configured."""
        configured = self.configuration.strict if self.configuration else None
        return bool(configured if asked is None else asked)

    def of_image(self, path: str) -> "ImageSettings":
        """What the file says of the image at `path`."""
        from preflight.configuration import ImageSettings

        if self.configuration is None or self.path is None:
            return ImageSettings()
        relative = relative_to(os.path.dirname(self.path), path)
        return self.configuration.of_image(None if relative.startswith("../") else relative)

    def ignored(self, path: str, asked: tuple[str, ...]) -> dict[str, str | None]:
        """The rules that do not count for the image at `path`, with the reasons that the file gives."""
        return {**dict.fromkeys(asked), **self.of_image(path).ignore}

    def declared(self, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Fields of `Declared` for the image at `path`: as asked, else as configured."""
        given = {field: value for field, value in asked.items() if value not in (None, ())}
        return {**asked, **self.of_image(path).declared, **given}

    def baseline(self) -> "tuple[Entry, ...] | None":
        """The entries of the baseline; None where there is to be none."""
        if self.baseline_path is None:
            return None
        from preflight import baseline

        try:
            data = _read(self.baseline_path, baseline.MAX_BYTES)
        except FileNotFoundError as error:
            raise click.ClickException(
                f"{escape(self.baseline_path)}: there is no such baseline; this writes it: preflight baseline"
            ) from error
        with complaining(self.baseline_path):
            return baseline.read(data, self.baseline_path)


@contextlib.contextmanager
def complaining(path: str) -> Iterator[None]:
    """Let what is wrong with the file at `path` be told with a line for each problem."""
    from preflight.errors import ConfigurationError

    try:
        yield
    except ConfigurationError as error:
        raise click.ClickException("\npreflight: ".join(map(escape, error.problems))) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise click.ClickException(f"{escape(path)}:{line}: no valid UTF-8") from error


def read(path: str) -> "Configuration | None":
    """The configuration in the file at `path`; None for a pyproject.toml that has none."""
    try:
        data = _read(path, MAX_BYTES)
    except FileNotFoundError as error:
        raise click.ClickException(f"{escape(path)}: there is no such file") from error
    return _parsed(data, path)


def find(folder: str) -> Settings:
    """The settings for who works in `folder`: of the nearest configuration file in it or above it, if any."""
    while True:
        path = shown(os.path.join(folder, "preflight.toml"))
        if os.path.lexists(path):
            return Settings(path, read(path))
        path = shown(os.path.join(folder, "pyproject.toml"))
        if os.path.isfile(path):
            data = _read(path, MAX_BYTES)
            # Most have nothing for us, and need no parsing; nor is it for us to say that they are broken.
            if b"preflight" in data and (found := _parsed(data, path)) is not None:
                return Settings(path, found)
        parent = os.path.dirname(folder)
        if parent == folder:
            return Settings()
        folder = parent


def _parsed(data: bytes, path: str) -> "Configuration | None":
    from preflight import configuration

    shared = os.path.basename(path) == configuration.SHARED_NAME
    with complaining(path):
        return configuration.read(data.decode("utf-8"), path, shared=shared)


def _read(path: str, maximum: int) -> bytes:
    """All bytes of the file at `path`, at most `maximum`."""
    try:
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            data = file.read(maximum + 1)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise click.ClickException(f"{escape(path)}: cannot read it: {reason}") from error
    if len(data) > maximum:
        raise click.ClickException(f"{escape(path)}: it is longer than {maximum >> 20} MiB")
    return data


def shown(path: str) -> str:
    """`path` from the current folder, where that is not the longer one."""
    relative = os.path.relpath(path)
    return relative if len(relative) <= len(path) else path


def relative_to(folder: str, path: str) -> str:
    """`path` relative to `folder`, with forward slashes; the file itself may be a link, and keeps its name."""
    real = os.path.join(os.path.realpath(os.path.dirname(path) or "."), os.path.basename(path))
    relative = os.path.relpath(real, os.path.realpath(folder or "."))
    return os.fsencode(relative.replace(os.sep, "/")).decode("utf-8", "backslashreplace")


def settings_of(config_path: str | None, no_config: bool) -> Settings:
    if config_path is not None and no_config:
        raise click.UsageError("--config and --no-config exclude each other")
    if config_path is None:
        return Settings() if no_config else find(os.getcwd())
    configuration = read(config_path)
    if configuration is None:
        raise click.ClickException(f"{escape(config_path)}: it has no [tool.preflight]")
    return Settings(config_path, configuration)


def _with_baseline(config_path: str | None, no_config: bool, baseline_path: str | None, no_baseline: bool) -> Settings:
    if baseline_path is not None and no_baseline:
        raise click.UsageError("--baseline and --no-baseline exclude each other")
    settings = settings_of(config_path, no_config)
    if no_baseline or baseline_path is not None:
        settings.baseline_path = baseline_path
    return settings


_CONFIG = (
    click.option(
        "--config",
        "config_path",
        metavar="FILE",
        type=_options.any_path,
        help="Configuration file; by default the nearest preflight.toml, or pyproject.toml with [tool.preflight], "
        "from the current folder upwards.",
    ),
    click.option("--no-config", is_flag=True, help="Use no configuration file."),
)

# They come as one argument, `settings`.
settings = _options.gathered(_options.stacked(*_CONFIG), ("config_path", "no_config"), "settings", settings_of)
_BOTH = _options.stacked(
    *_CONFIG,
    click.option(
        "--baseline",
        "baseline_path",
        metavar="FILE",
        type=_options.any_path,
        help="Report only what this file, written by `preflight baseline`, does not have.",
    ),
    click.option("--no-baseline", is_flag=True, help="Use no baseline, whatever the configuration file says."),
)
_NAMES = ("config_path", "no_config", "baseline_path", "no_baseline")
settings_and_baseline = _options.gathered(_BOTH, _NAMES, "settings", _with_baseline)
# The same as a function that reads them, for a command that may not need them.
unread_settings_and_baseline = _options.gathered(
    _BOTH, _NAMES, "settings", lambda **asked: functools.partial(_with_baseline, **asked)
)
