"""qemu-img as a second opinion, held on a short leash.

It is asked only about images that our own parser has passed: it opens what an image names, as old versions do a data
file (CVE-2024-32498). The format is given, never probed (CVE-2015-5162), and so is the protocol: the options say
`file`, so that no name of a file is taken for a URL or for `json:`. Backing chains are never followed.
"""

import io
import os
import shutil
from typing import TYPE_CHECKING, Any

import msgspec

from preflight.errors import ToolError
from preflight.facts import Value
from preflight.units import GiB, MiB

DRIVERS = {"raw": "raw", "vhd": "vpc", "qcow2": "qcow2"}  # QEMU's name for each format that it is asked about
SEARCH = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin", "/opt/homebrew/bin")
HOW_TO_GET = (
    "qemu-img is not installed; get it with: apt-get install qemu-utils (Debian, Ubuntu), "
    "dnf install qemu-img (Fedora, RHEL), brew install qemu (macOS)"
)

# What nova gives it: nova/virt/images.py, QEMU_IMG_LIMITS.
MAX_CPU = 30  # seconds
MAX_ADDRESS_SPACE = 2 * GiB
MAX_WALL = 60  # seconds: a dead network file system takes no CPU
MAX_OUTPUT = 8 * MiB  # an `info` of 65536 snapshots; the rest is dropped, and what is left is then no JSON
MAX_WORDS = 1000  # characters of its messages that are shown

CHECK_DONE = (0, 2, 3)  # sound, corrupt, leaked clusters: qemu-img(1), check
CHECK_NOT_SUPPORTED = 63


if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class QemuInfo(Value, frozen=True):
    """What `qemu-img info` says."""

    format: str
    """QEMU's name of the format, the one it was told to use."""
    virtual_size: int
    """In bytes."""
    actual_size: int | None
    """Bytes that the file occupies on the host's disk."""
    format_specific: dict[str, Any]
    """What only this format has, as QEMU names it; empty where there is nothing."""
    messages: tuple[str, ...]
    """Warnings, line by line, escaped."""


class QemuCheck(Value, frozen=True):
    """What `qemu-img check` says."""

    format: str
    """QEMU's name of the format, the one it was told to use."""
    supported: bool
    """Whether the format can be checked at all; where it cannot, the numbers are all zero."""
    corruptions: int
    leaks: int
    """In clusters."""
    check_errors: int
    """How many checks could not be made."""
    total_clusters: int
    allocated_clusters: int
    fragmented_clusters: int
    image_end_offset: int | None
    """Byte after the last cluster in use; None where it does not say."""
    messages: tuple[str, ...]
    """What is wrong, line by line, escaped."""


class _InfoOutput(msgspec.Struct, rename="kebab"):
    format: str
    virtual_size: int
    actual_size: int | None = None
    format_specific: dict[str, Any] = {}


class _CheckOutput(msgspec.Struct, rename="kebab"):
    format: str
    check_errors: int
    corruptions: int = 0
    leaks: int = 0
    total_clusters: int = 0
    allocated_clusters: int = 0
    fragmented_clusters: int = 0
    image_end_offset: int | None = None


def info(path: str, format: str) -> QemuInfo:
    """`qemu-img info` of the file at `path` as our `format` (raw, vhd, qcow2).

    Raises `ToolError` where qemu-img is missing, refuses the image, gives up, or says nothing that can be read.
    """
    code, output, messages = _run("info", path, format)
    if code != 0:
        raise ToolError(f"qemu-img info: {_words(messages) or f'exit code {code}'}")
    said = _decode(output, _InfoOutput, "info")
    specific = said.format_specific.get("data")
    return QemuInfo(
        said.format, said.virtual_size, said.actual_size, specific if isinstance(specific, dict) else {}, messages
    )


def check(path: str, format: str) -> QemuCheck:
    """`qemu-img check` of the file at `path` as our `format` (raw, vhd, qcow2); repairs nothing.

    Corruptions and leaks are its answer, not an error. Raises `ToolError` as `info` does.
    """
    code, output, messages = _run("check", path, format)
    if code == CHECK_NOT_SUPPORTED:
        return QemuCheck(DRIVERS[format], False, 0, 0, 0, 0, 0, 0, None, messages)
    # It exits with 1 where it could not open the image, and also where a check of its own failed; then it prints JSON.
    if code not in CHECK_DONE and not (code == 1 and output.strip()):
        raise ToolError(f"qemu-img check: {_words(messages) or f'exit code {code}'}")
    said = _decode(output, _CheckOutput, "check")
    return QemuCheck(
        said.format,
        True,
        said.corruptions,
        said.leaks,
        said.check_errors,
        said.total_clusters,
        said.allocated_clusters,
        said.fragmented_clusters,
        said.image_end_offset,
        messages,
    )


class _Capped(io.BytesIO):
    """A writer that keeps the first `MAX_OUTPUT` bytes and drops the rest."""

    def write(self, chunk: "ReadableBuffer") -> int:
        super().write(memoryview(chunk)[: MAX_OUTPUT - self.tell()])
        return len(memoryview(chunk))


def _run(command: str, path: str, format: str) -> tuple[int, bytes, tuple[str, ...]]:
    """Exit code, output, and messages line by line."""
    import sh

    program = locate()
    output, errors = _Capped(), _Capped()
    try:
        # QemuOpts ends a value at a comma, and takes two for one.
        filename = os.fsencode(os.path.abspath(path)).replace(b",", b",,")
        image = b"driver=%s,file.driver=file,file.filename=%s" % (DRIVERS[format].encode(), filename)
        with open(os.devnull, "rb") as nothing:
            done = sh.Command(program)(
                command,
                "-U",  # someone may have it open: nothing is locked, nothing is written
                "--output=json",
                "--image-opts",
                "--",
                image.decode("latin-1"),
                _in=nothing,
                _out=output,
                _err=errors,
                _tty_out=False,
                _encoding="latin-1",  # so that each byte of the name is given as it is
                _env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
                _preexec_fn=_limit_child,
                _timeout=MAX_WALL,
                _ok_code=list(range(256)),
                _return_cmd=True,
            )
    except sh.TimeoutException as error:
        raise ToolError(f"qemu-img {command}: gave no answer in {MAX_WALL} seconds") from error
    except sh.SignalException as error:
        raise ToolError(
            f"qemu-img {command}: ended by signal {-error.exit_code}: over its limits, or crashed"
        ) from error
    except (sh.CommandNotFound, sh.ForkException, OSError) as error:
        raise ToolError(f"qemu-img {command}: cannot be run: {_escape(str(error))[:MAX_WORDS]}") from error
    lines = errors.getvalue()[: 64 * MAX_WORDS].decode("utf-8", "backslashreplace").split("\n")
    return done.exit_code, output.getvalue(), tuple(_escape(line)[:MAX_WORDS] for line in lines if line)


def locate() -> str:
    """Absolute path of the installed qemu-img; a `ToolError` that says how to get it where there is none."""
    found = shutil.which("qemu-img", path=os.pathsep.join([os.environ.get("PATH", ""), *SEARCH]))
    if found is None:
        raise ToolError(HOW_TO_GET)
    return os.path.abspath(found)


def _limit_child() -> None:
    """Run in the child, between fork and exec."""
    import resource

    limits = (
        (resource.RLIMIT_CPU, MAX_CPU),
        (resource.RLIMIT_AS, MAX_ADDRESS_SPACE),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),  # it has no file to write
    )
    for limit, value in limits:
        try:
            resource.setrlimit(limit, (value, value))
        except (ValueError, OSError):  # a lower hard limit stands already, or the system has none of this kind
            continue


def _decode(output: bytes, shape: type[Any], command: str) -> Any:
    try:
        return msgspec.json.decode(output, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ToolError(f"qemu-img {command}: its answer is not readable: {_escape(str(error))}") from error


def _words(messages: tuple[str, ...]) -> str:
    return "; ".join(messages)[:MAX_WORDS]


def _escape(line: str) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in line)
