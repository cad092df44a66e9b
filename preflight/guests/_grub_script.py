"""A script of GRUB 2, followed as GRUB would up to its menu, without running anything.

Variables, conditions, functions and included files count, so that of the branches of an `if` the one is taken that
GRUB takes; where that cannot be told, all of them. Commands that set nothing which a menu needs are passed over.

Specification: GNU GRUB Manual 2.12, "Shell-like scripting" and "Commands".
"""

import re
from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from preflight.contents import ContentsError
from preflight.guests._boot_menu import MAX_INITRAMFS, Files, Stanza
from preflight.guests._grub_conditions import condition_holds, parse_search
from preflight.guests._grub_menu import GrubMenu
from preflight.guests._grub_paths import Paths
from preflight.guests._grub_values import Values
from preflight.guests._grub_words import Command, commands, literal
from preflight.guests.devices import Resolve

MAX_STEPS = 100_000  # commands followed, those of a function each time that it is called
MAX_NESTING = 64  # blocks, conditions, calls and files; GRUB's own menus have four
MAX_SEARCHED = 256  # different file systems; most menus know one or two
MAX_FUNCTIONS = 256

# The partition of Flatcar's /usr that is started first on a fresh disk, by its unique GUID (disk_layout.json).
FLATCAR_USR_A = "7130c94a-213a-4e5a-8e26-6cce9662f132"

_LINUX = re.compile(r"(?:linux|linux16|linuxefi)\Z")
_INITRD = re.compile(r"(?:initrd|initrd16|initrdefi)\Z")
_BLOCKS = ("block", "entry", "submenu", "definition", "call")

Place = tuple[list[Command], int, str]
"""Commands, the index of the next one, and the path of the file that they are from."""


class _Frame(msgspec.Struct):
    """Something that is open."""

    kind: Literal["if", "loop", "block", "entry", "submenu", "definition", "call", "file"]
    outer: bool
    """Whether what is around it is followed."""
    active: bool
    """Whether what is in it is followed."""
    condition: bool = False
    """`if`, `loop`: whether the condition is not over yet."""
    result: bool | None = None
    """Of the last command of the condition; None where it cannot be told."""
    taken: bool = False
    """`if`: whether a branch was taken for certain."""
    back: Place | None = None
    variables: dict[str, str] | None = None
    """`entry`: as they were before it."""


class Script:
    """One configuration while it is followed."""

    def __init__(
        self,
        files: Files,
        values: Values,
        environment: Mapping[str, str],
        resolve: Resolve,
        loader_entries: Callable[[], list[tuple[str, Stanza]]],
    ) -> None:
        """`environment`: what `load_env` reads. `loader_entries`: what `blscfg` adds to the menu, with the ids."""
        self.menu = GrubMenu()
        self.values = values
        self.searched: dict[str, None] = {}
        """Specs that must be found, in their order."""
        self._files = files
        self._paths = Paths(files)
        self._environment = environment
        self._resolve = resolve
        self._loader_entries = loader_entries
        self._functions: dict[str, Place] = {}
        self._stack: list[_Frame] = []
        self._pending: tuple[Literal["definition", "entry", "submenu"], list[str]] | None = None
        self._unlocked = False
        self._commands: list[Command] = []
        self._position = 0
        self._path = ""

    def follow(self, text: str, path: str) -> None:
        """Follow the script `text`, which was read from `path`.

        Raises `ContentsError` where it is longer, deeper or more laborious than any honest one.
        """
        self._commands, self._position, self._path = commands(text, path), 0, path
        steps = 0
        try:
            while self._position < len(self._commands) or self._leave("file"):
                if self._position < len(self._commands):
                    self._position += 1
                    steps += 1
                    self._step(self._commands[self._position - 1])
                if steps > MAX_STEPS:
                    raise ContentsError(f"following it takes over {MAX_STEPS} steps")
        except ContentsError as error:
            raise ContentsError(f"{path}: {error}") from error

    def _step(self, command: Command) -> None:
        keyword = literal(command[0])
        active = self._stack[-1].active if self._stack else True
        if keyword in ("if", "while", "until"):
            self._push(_Frame("if" if keyword == "if" else "loop", active, active, condition=True))
        elif keyword == "for":
            self._push(_Frame("loop", active, active))
            if active and len(words := self.values.arguments(command[1:4])) > 2:
                self.values.set(words[0], words[2])  # a loop is gone through once
        elif keyword in ("then", "elif", "else", "fi", "do", "done"):
            self._control(keyword)
        elif keyword == "{":
            self._open(active)
        elif keyword == "}":
            self._leave(*_BLOCKS)
        elif keyword == "function":
            self._pending = ("definition", [literal(word) or "" for word in command[1:2]])
        elif active:
            result = self._run(keyword, command)
            if self._stack and self._stack[-1].condition:
                self._stack[-1].result = result

    def _push(self, frame: _Frame) -> None:
        self._stack.append(frame)
        if len(self._stack) > MAX_NESTING:
            raise ContentsError(f"nests over {MAX_NESTING} deep")

    def _control(self, keyword: str) -> None:
        """A keyword inside of an `if` or a loop; one that is out of place is passed over."""
        kind = "loop" if keyword in ("do", "done") else "if"
        if not self._stack or self._stack[-1].kind != kind:
            return
        top = self._stack[-1]
        if keyword in ("fi", "done"):
            self._stack.pop()
        elif keyword in ("then", "do"):
            top.taken = top.taken or (top.active and top.result is True)
            top.active = top.active and top.result is not False
            top.condition = False
        else:
            top.active, top.result = top.outer and not top.taken, None
            top.condition = keyword == "elif"

    def _open(self, active: bool) -> None:
        """A block begins; what it is was said by the command before it."""
        kind, arguments = self._pending or ("block", [])
        self._pending = None
        frame = _Frame(kind, active, active)
        if kind == "definition":
            frame.active = False
            if active and arguments and len(self._functions) < MAX_FUNCTIONS:
                self._functions[arguments[0]] = (self._commands, self._position, self._path)
        elif kind == "entry":
            frame.active = active and not self.menu.in_entry
            if frame.active:
                frame.variables = self.values.copy()
                self.menu.begin_entry(arguments, self._files.shown(self._path))
        elif kind == "submenu" and active:
            self.menu.begin_submenu(arguments, self._files.shown(self._path))
        self._push(frame)

    def _leave(self, *kinds: str) -> bool:
        """Close the innermost of these kinds, with what is open in it; whether there was one in this file."""
        for depth in range(len(self._stack) - 1, -1, -1):
            if self._stack[depth].kind in kinds:
                break
            if self._stack[depth].kind == "file":
                return False
        else:
            return False
        while len(self._stack) > depth:
            frame = self._stack.pop()
            if frame.kind == "entry" and frame.variables is not None:
                self.menu.end_entry()
                self.values.restore(frame.variables)
            elif frame.kind == "submenu" and frame.active:
                self.menu.end_submenu()
            elif frame.back is not None:
                self._commands, self._position, self._path = frame.back
        return True

    def _jump(self, kind: Literal["call", "file"], place: Place) -> None:
        """Go on at `place`, and come back at its end."""
        back = (self._commands, self._position, self._path)
        self._push(_Frame(kind, outer=True, active=True, back=back))
        self._commands, self._position, self._path = place

    def _run(self, keyword: str | None, command: Command) -> bool | None:
        """Follow a simple command; what it returns, None where that cannot be told."""
        kind, start = command[0][0]
        name, equals, _ = start.partition("=")
        if kind == "plain" and equals and name.isidentifier():
            self.values.set(name, self.values.joined(command[0]).partition("=")[2])
        elif keyword == "set" and len(command) > 1:
            name, _, value = self.values.joined(command[1]).partition("=")
            self.values.set(name, value)
        elif keyword in self._functions:
            for index, argument in enumerate(self.values.arguments(command[1:])[:9], start=1):
                self.values.set(str(index), argument)
            self._jump("call", self._functions[keyword])
        elif arguments := self.values.arguments(command):
            return self._command(arguments[0], arguments[1:])
        return None

    def _command(self, name: str, arguments: list[str]) -> bool | None:
        """Follow a command of GRUB's own; returns as `_run`."""
        if name in ("[", "test"):
            return condition_holds(arguments, self._paths.kind)
        if name in ("true", "false"):
            return name == "true"
        if name == "search" or name.startswith("search."):
            return self._search(name, arguments)
        if name in ("menuentry", "hiddenentry", "submenu"):
            self._pending = ("submenu" if name == "submenu" else "entry", arguments)
        elif name == "cryptomount":
            self._unlocked = True
        elif name == "unset" and arguments:
            self.values.unset(arguments[0])
        elif name == "load_env":
            for variable, value in self._environment.items():
                self.values.set(variable, value)
        elif name in ("source", ".", "configfile") and arguments:
            if (included := self._paths.include(arguments[0])) is not None:
                text, path = included
                self._jump("file", (commands(text, path), 0, path))
        elif name == "blscfg":
            self._add_loader_entries()
        elif name == "gptprio.next" and "-u" in arguments[:-1]:
            self.values.set(arguments[arguments.index("-u") + 1], FLATCAR_USR_A)
            self.values.set("?", "0")
        elif name == "boot" and not self.menu.in_entry:
            self.menu.end_entry()
        else:
            self._load(name, arguments)
        return None

    def _load(self, name: str, arguments: list[str]) -> None:
        """A command that loads a kernel or what belongs to it; others are passed over."""
        if _LINUX.match(name) or name in ("multiboot", "multiboot2"):
            entry = self.menu.needs_entry(self._files.shown(self._path))
            entry.hypervisor = name.startswith("multiboot")
            entry.load(arguments)
        elif self.menu.entry is not None and _INITRD.match(name):
            self.menu.entry.initramfs = arguments[:MAX_INITRAMFS]
        elif self.menu.entry is not None and name in ("module", "module2"):
            self.menu.entry.load_module(arguments)

    def _search(self, name: str, arguments: list[str]) -> bool | None:
        search = parse_search(name, arguments)
        if search.spec is None:
            return None
        found = self._resolve(search.spec) is not None
        asks = any(frame.condition for frame in self._stack)
        # Behind a key there are file systems that nothing on the disk shows.
        if search.variable is not None and not asks and not self._unlocked and len(self.searched) < MAX_SEARCHED:
            self.searched[search.spec] = None
        if search.variable is not None and found:
            self.values.set(search.variable, search.spec)
        return found

    def _add_loader_entries(self) -> None:
        for id, found in self._loader_entries():
            item = self.menu.add([], found.read_from, id=id)
            item.title, item.kernel, item.options = found.title, found.kernel, found.options
            item.initramfs = list(found.initramfs)
