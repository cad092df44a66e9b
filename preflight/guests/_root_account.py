"""The root account: whether and how it can log in.

Specification: passwd(5), shadow(5), crypt(5), https://man7.org/linux/man-pages/man5/shadow.5.html; FreeBSD:
master.passwd(5).
"""

import re
from typing import Literal

from preflight.contents.tree import Tree
from preflight.facts import Unknown
from preflight.guests._text import learn, lines

# The second ones are for images whose /etc is filled at first boot: Flatcar, and what nss-altfiles reads.
PASSWD = ("/etc/passwd", "/usr/share/baselayout/passwd", "/usr/lib/passwd")
SHADOW = ("/etc/shadow", "/usr/share/baselayout/shadow", "/usr/lib/shadow")
MASTER_PASSWD = ("/etc/master.passwd",)  # FreeBSD, whose /etc/passwd has a * for every account
MAX_ACCOUNTS_BYTES = 1 << 20  # a server with ten thousand accounts has that much

Account = Literal["password", "locked", "no-password", "absent"]

# crypt(5): `$id$…`, extended DES of BSDi, traditional DES. Whatever else stands there, no password gives it.
HASH = re.compile(r"\$[0-9a-z][0-9a-z-]{0,15}(?:\$|,)[^:*!]{1,512}\Z|_[./0-9A-Za-z]{19}\Z|[./0-9A-Za-z]{13}\Z")


def root_line(tree: Tree, read_from: list[str]) -> list[str] | None:
    """The seven fields of root's line in passwd; None where there is none. Raises `ContentsError`."""
    return _line(tree, PASSWD, 7, read_from)


def account(tree: Tree, root: list[str] | None, read_from: list[str]) -> Account | Unknown:
    """How root can log in by password."""
    if root is None:
        return "absent"
    password = root[1]
    elsewhere = SHADOW if password == "x" else MASTER_PASSWD if password == "*" else ()
    if elsewhere:
        shadow = learn(lambda: _line(tree, elsewhere, 2, read_from))
        if isinstance(shadow, Unknown):
            return shadow
        password = shadow[1] if shadow else "*"  # an x without its line in shadow lets nobody in
    if not password:
        return "no-password"
    return "password" if HASH.match(password) else "locked"


def _line(tree: Tree, paths: tuple[str, ...], fields: int, read_from: list[str]) -> list[str] | None:
    """The first line of root in the first of these files that is there, apart at its colons."""
    for path in paths:
        text = tree.text(path, MAX_ACCOUNTS_BYTES)
        if text is None:
            continue
        read_from.append(path)
        for line in lines(text):
            parts = line.split(":", 16)
            if parts[0] == "root" and len(parts) >= fields:
                return parts
        return None
    return None
