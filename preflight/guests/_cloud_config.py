"""`datasource_list` of cloud-init's configuration: a bounded reader of the one key, not of YAML.

Specification: YAML 1.2, chapters 6 to 8, https://yaml.org/spec/1.2.2/; the order of the files: cloud-init,
"Base configuration", https://docs.cloud-init.io/en/latest/explanation/configuration.html.

A YAML library would follow aliases and build whatever the document asks for. What is needed is one list of words,
written as `[ A, B ]` or with a dash a line.
"""

from preflight.guests._text import bare

KEY = "datasource_list"
MAX_ITEMS = 128  # cloud-init knows some 35 data sources
MAX_ITEM = 128  # characters of a name
EMPTY = ("", "null", "Null", "NULL", "~")


class NotRead(ValueError):
    """The list is written in a way that is not read here; the text says which."""


def datasource_list(text: str) -> tuple[str, ...] | None:
    """The value of the key at the top level of a YAML mapping, the last one; None where it is not there.

    Raises `NotRead`.
    """
    lines = text.split("\n")
    found: tuple[str, ...] | None = None
    for index, line in enumerate(lines):
        key, colon, rest = line.partition(":")
        if colon and bare(key.rstrip()) == KEY and (not rest or rest[0] in " \t\r"):
            found = _value(_plain(rest), lines, index + 1)
    return found


def _value(first: str, lines: list[str], following: int) -> tuple[str, ...]:
    """The value that begins with `first` and goes on in the lines from `following`."""
    if first.startswith(("*", "&", "!", "{", "|", ">")):
        raise NotRead(f"{KEY} is no plain list: {first[:MAX_ITEM]}")
    if not first:
        return _block(lines, following)
    if not first.startswith("["):
        return () if first in EMPTY else (_item(first),)
    pieces = [first]
    while "]" not in pieces[-1]:
        if following == len(lines) or len(pieces) > MAX_ITEMS:
            raise NotRead(f"{KEY} has no closing bracket")
        pieces.append(_plain(lines[following]))
        following += 1
    inside, _, after = " ".join(pieces)[1:].partition("]")
    if after.strip() or "[" in inside:
        raise NotRead(f"{KEY} is no plain list")
    return _items(inside.split(","))


def _block(lines: list[str], following: int) -> tuple[str, ...]:
    """`- Ec2`, a line each; or a list in brackets that begins on the next line."""
    items: list[str] = []
    for index in range(following, len(lines)):
        line = _plain(lines[index])
        if not line:
            continue
        if not items and line.startswith("[") and lines[index][:1].isspace():
            return _value(line, lines, index + 1)
        if line != "-" and not line.startswith("- "):
            break
        items.append(line[1:])
        if len(items) > MAX_ITEMS:
            break
    return _items(items)


def _items(items: list[str]) -> tuple[str, ...]:
    if len(items) > MAX_ITEMS:
        raise NotRead(f"{KEY} has more than {MAX_ITEMS} items")
    return tuple(_item(item) for item in items if item.strip())


def _item(item: str) -> str:
    name = bare(item.strip())
    if len(name) > MAX_ITEM or name.startswith(("*", "&", "!", "{", "[")):
        raise NotRead(f"{KEY} has an item that is no name")
    return name


def _plain(line: str) -> str:
    """A line without its comment and the blanks around it. No data source has a `#` in its name."""
    line = line.strip()
    if line.startswith("#"):
        return ""
    return line.partition(" #")[0].partition("\t#")[0].rstrip()
