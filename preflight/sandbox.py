"""Give up, for good, the rights that reading an image does not need: what the kernel offers of it, and no complaint.

seccomp refuses system calls (no socket, no new process, no program, nothing written); Landlock lets no file be opened
but Python's own, which its imports need. Where either is missing, the other stands alone.

Specification: Linux, Documentation/userspace-api/seccomp_filter.rst and landlock.rst; include/uapi/linux/seccomp.h,
filter.h, audit.h, landlock.h.
"""

import errno
import os
import signal
import struct
import sys
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

import msgspec

from preflight import _syscalls as calls

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_ERRNO, SECCOMP_RET_ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
BPF_LOAD, BPF_EQUAL, BPF_GREATER_EQUAL, BPF_ANY_BIT, BPF_RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column in `_syscalls`, AUDIT_ARCH_*
X32 = 0x40000000  # numbers of the x32 interface: others than those that are listed
CLONE_THREAD = 0x00010000

LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446  # everywhere the same
LANDLOCK_CREATE_RULESET_VERSION = 1
LANDLOCK_RULE_PATH_BENEATH = 1
READ_FILE, READ_DIR = 1 << 2, 1 << 3
# LANDLOCK_ACCESS_FS_* by the version of the interface that brought the last of them.
ACCESS_FS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
ACCESS_NET = 0x3  # from version 4: bind and connect
SCOPES = 0x3  # from version 6: abstract sockets, signals

# Where the loader finds what Python's own modules are linked with.
LIBRARIES = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/etc/ld.so.cache",
    "/nix/store",
    "/gnu/store",
)


class Confinement(NamedTuple):
    """What the kernel granted."""

    landlock: bool
    seccomp: bool


def confine() -> Confinement:
    """Restrict this process, and let it end with its parent; what cannot be had is left out. There is no way back."""
    sys.dont_write_bytecode = True  # it could not
    if sys.platform != "linux":
        return Confinement(False, False)
    try:
        import ctypes
    except ImportError:  # a Python that was built without it
        return Confinement(False, False)
    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    libc.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), zero, zero, zero)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), zero, zero, zero):
        return Confinement(False, False)
    landlock = _landlock(ctypes, libc)
    return Confinement(landlock, _seccomp(ctypes, libc))


def close_others(keep: Collection[int]) -> None:
    """Close all descriptors but these and the first three."""
    try:
        opened = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:  # not Linux, or no /proc
        opened = list(range(3, min(os.sysconf("SC_OPEN_MAX"), 4096)))
    for descriptor in opened:
        if descriptor > 2 and descriptor not in keep:
            try:
                os.close(descriptor)
            except OSError:
                continue  # it was the listing's own


def _landlock(ctypes: Any, libc: Any) -> bool:
    version = libc.syscall(LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), LANDLOCK_CREATE_RULESET_VERSION)
    if version < 1:
        return False
    access = ACCESS_FS[max(known for known in ACCESS_FS if known <= version)]
    attributes = struct.pack("=Q", access)
    if version >= 4:
        attributes += struct.pack("=Q", ACCESS_NET)
    if version >= 6:
        attributes += struct.pack("=Q", SCOPES)
    rules = libc.syscall(LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if rules < 0:
        return False
    try:
        for path in _own_paths():
            _allow_reading(ctypes, libc, rules, path)
        return not libc.syscall(LANDLOCK_RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)


def _allow_reading(ctypes: Any, libc: Any, rules: int, path: str) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # it is not there
    allowed = READ_FILE | READ_DIR if os.path.isdir(path) else READ_FILE
    libc.syscall(LANDLOCK_ADD_RULE, rules, LANDLOCK_RULE_PATH_BENEATH, struct.pack("=Qi", allowed, place), 0)
    os.close(place)


def _own_paths() -> Iterable[str]:
    """Where the modules lie that may yet be imported, this package among them, and what these are linked with."""
    packages = {path for path in sys.path if path.endswith("-packages")}
    packages.add(os.path.dirname(os.path.dirname(msgspec.__file__)))  # pip install --target has another name
    standard = os.path.dirname(str(os.__file__))
    own = os.path.dirname(os.path.abspath(__file__))
    prefixes = {os.path.join(prefix, "lib") for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix)}
    return dict.fromkeys((own, standard, *prefixes, *packages, *LIBRARIES))


def _seccomp(ctypes: Any, libc: Any) -> bool:
    machine = ARCHITECTURES.get(os.uname().machine)
    if machine is None or sys.maxsize < 1 << 32:  # a 32-bit Python makes the calls of another architecture
        return False
    instructions = program(*machine, os.getpid())
    data = ctypes.create_string_buffer(instructions)
    filter_ = struct.pack("@HP", len(instructions) // 8, ctypes.addressof(data))
    zero = ctypes.c_ulong(0)
    return not libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_MODE_FILTER), filter_, zero, zero)


def program(column: int, architecture: int, pid: int) -> bytes:
    """The filter: calls of another architecture kill, what is denied fails with EPERM, all else is allowed.

    `column` is that of the architecture in `_syscalls`, `pid` the process that may be sent signals: itself.
    """
    allow = _instruction(BPF_RETURN, SECCOMP_RET_ALLOW)
    deny = _instruction(BPF_RETURN, SECCOMP_RET_ERRNO | errno.EPERM)
    no_call = _instruction(BPF_RETURN, SECCOMP_RET_ERRNO | errno.ENOSYS)
    load_number = _instruction(BPF_LOAD, NUMBER)
    parts = [
        _instruction(BPF_LOAD, ARCHITECTURE),
        _instruction(BPF_EQUAL, architecture, then=1),
        _instruction(BPF_RETURN, SECCOMP_RET_KILL_PROCESS),
        load_number,
    ]
    if column == 0:
        parts += [_instruction(BPF_GREATER_EQUAL, X32, otherwise=1), deny]
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    for numbers, argument, test in (
        (calls.OPENAT, 2, _instruction(BPF_ANY_BIT, writing, otherwise=1)),
        (calls.OPEN, 1, _instruction(BPF_ANY_BIT, writing, otherwise=1)),
        (calls.CLONE, 0, _instruction(BPF_ANY_BIT, CLONE_THREAD, then=1)),
        (calls.KILL, 0, _instruction(BPF_EQUAL, pid, then=1)),
        (calls.TGKILL, 0, _instruction(BPF_EQUAL, pid, then=1)),
    ):
        number = numbers[column]
        if number is not None:
            low_half = _instruction(BPF_LOAD, ARGUMENTS + 8 * argument)
            parts += [_instruction(BPF_EQUAL, number, otherwise=4), low_half, test, deny, allow]
    halves = [_instruction(BPF_LOAD, ARGUMENTS + 8 * 2 + half) for half in (0, 4)]  # prlimit64 sets no new limit
    null = _instruction(BPF_EQUAL, 0, then=1)
    number = calls.PRLIMIT64[column]
    assert number is not None
    parts += [_instruction(BPF_EQUAL, number, otherwise=7), halves[0], null, deny, halves[1], null, deny, allow]
    for name, columns in calls.DENIED.items():
        denied = columns[column]
        if denied is not None:  # of clone3 the C library must think that there is none: then it uses clone
            parts += [_instruction(BPF_EQUAL, denied, otherwise=1), no_call if name == "clone3" else deny]
    return b"".join((*parts, allow))


def _instruction(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    """One instruction of classic BPF; a test skips so many instructions `then`, or `otherwise`."""
    return struct.pack("=HBBI", code, then, otherwise, value)
