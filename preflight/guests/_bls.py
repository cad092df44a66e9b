"""Loader entries, as systemd-boot and the GRUB of Red Hat read them, and systemd-boot's own configuration.

Specification: UAPI.1 Boot Loader Specification, https://uapi-group.org/specifications/specs/boot_loader_specification/;
loader.conf(5). How GRUB sorts them: grub-core/commands/blscfg.c of Fedora, by the version comparison of RPM.
"""

import re
from collections.abc import Callable, Iterator

from preflight.guests._boot_menu import MAX_INITRAMFS, MAX_STANZAS, Files, Menu, Stanza, stanza
from preflight.guests._efi import Loader, read_unified_kernels
from preflight.guests._grub_values import Values
from preflight.guests._text import shown
from preflight.units import KiB

MAX_ENTRY_BYTES = 64 * KiB  # honest ones have under one
MAX_PATTERN = 256  # characters of loader.conf's `default`

SortKey = tuple[tuple[float, int, str], ...]

_SEGMENT = re.compile(r"\d++|[a-zA-Z]++|[~^]", re.ASCII)


def loader_entries(files: Files, directory: str, values: Values | None) -> list[tuple[str, Stanza]]:
    """The entries in `directory`, the newest first, each with its id. Raises `ContentsError`.

    `values`: GRUB's variables, which stand for themselves where another loader reads the entries.
    """
    found: list[tuple[str, Stanza]] = []
    paths = files.listed(directory, MAX_STANZAS, ".conf")
    for path in sorted(paths, key=lambda path: version_key(_id(path)), reverse=True):
        fields = _fields(files, path)
        if fields is not None:
            found.append((_id(path), _stanza(files, path, fields, values)))
    return found


def read_systemd_boot(esp: Files, boot: Files, loaders: list[Loader]) -> Menu | None:
    """The menu of systemd-boot on the EFI system partition `esp` and the boot partition; None where it is not used.

    Raises `ContentsError`.
    """
    settings = _settings(esp)
    if settings is None and not any(loader.name.startswith("systemd-boot") for loader in loaders):
        return None
    found: dict[str, tuple[tuple[object, ...], Stanza]] = {}
    for files, top in ((esp, ""), (boot, boot.boot)):
        for path in files.listed(f"{top}/loader/entries", MAX_STANZAS, ".conf"):
            fields = _fields(files, path)
            if fields is not None and _id(path) not in found:
                found[_id(path)] = (_order(_id(path), fields), _stanza(files, path, fields, None))
    entries = [(id, stanza) for id, (_, stanza) in sorted(found.items(), key=lambda item: item[1][0], reverse=True)]
    unified = [(stanza.read_from.rpartition("/")[2], stanza) for stanza in read_unified_kernels(esp)]
    entries = (entries + unified)[:MAX_STANZAS]
    default = _chosen((settings or {}).get("default", ""), [id for id, _ in entries])
    return Menu(tuple(stanza for _, stanza in entries), default)


def version_key(text: str) -> SortKey:
    """What sorts versions as RPM compares them: digits by value and above letters, `~` below the end, `^` above it."""
    key: list[tuple[float, int, str]] = []
    for segment in _SEGMENT.findall(text[:255]):
        if segment.isdigit():
            key.append((2, int(segment), ""))
        else:
            key.append(({"~": -1, "^": 0.5}.get(segment, 1), 0, segment))
    return (*key, (0, 0, ""))


def matches(name: str, pattern: str) -> bool:
    """Whether `pattern`, in which `*` and `?` stand for others, fits the whole of `name`, whatever the case."""
    name, pattern = name.lower(), pattern.lower()
    at = star = retry = 0
    position, has_star = 0, False
    while position < len(name):
        if at < len(pattern) and pattern[at] == "*":
            has_star, star, retry = True, at, position
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", name[position]):
            at, position = at + 1, position + 1
        elif has_star:
            retry += 1
            at, position = star + 1, retry
        else:
            return False
    return not pattern[at:].strip("*")


def _id(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".conf")


def _fields(files: Files, path: str) -> dict[str, list[str]] | None:
    text = files.text(path, MAX_ENTRY_BYTES) if files.is_file(path) else None
    if text is None:
        return None
    fields: dict[str, list[str]] = {}
    for key, value in _pairs(text):
        fields.setdefault(key, []).append(value)
    return fields


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Keys and values, which both kinds of files have a line each of."""
    for line in text.split("\n"):
        key, *value = line.split(None, 1)[:2] or [""]
        if value and not key.startswith("#"):
            yield key, value[0].strip()


def _stanza(files: Files, path: str, fields: dict[str, list[str]], values: Values | None) -> Stanza:
    expand: Callable[[str], str] = _plain if values is None else values.expand
    options = " ".join(fields.get("options", ()))
    if values is not None and not options:
        options = values.get("default_kernelopts")
    kernel = fields.get("linux") or fields.get("uki") or fields.get("efi")
    initramfs = [word for line in fields.get("initrd", ())[:MAX_INITRAMFS] for word in expand(line).split()]
    titles = fields.get("title")
    return stanza(
        titles[0] if titles else None,
        expand(kernel[0]) if kernel else None,
        initramfs,
        " ".join(expand(options).split()),
        files.shown(path),
    )


def _plain(text: str) -> str:
    return text


def _order(id: str, fields: dict[str, list[str]]) -> tuple[object, ...]:
    """What sorts entries, the greatest first: those with a sort-key before others and by it, then the newest."""
    key = fields.get("sort-key", [""])[0]
    version = fields.get("version", [""])[0] if key else ""
    return (bool(key), (*(-ord(letter) for letter in key), 1), version_key(version), version_key(id))


def _settings(esp: Files) -> dict[str, str] | None:
    """The words of loader.conf; None where there is none."""
    text = esp.text("/loader/loader.conf", MAX_ENTRY_BYTES)
    return None if text is None else dict(_pairs(text))


def _chosen(pattern: str, ids: list[str]) -> int | None:
    """Index of the entry that loader.conf names, else of the first; None where that is kept in the firmware."""
    if pattern.startswith("@") or not ids:
        return None
    wanted = pattern[:MAX_PATTERN].removesuffix(".conf")
    return next((index for index, id in enumerate(ids) if wanted and matches(shown(id), wanted)), 0)
