"""The options of sshd that hold for everybody: the first value of each, with the files that are included.

Specification: sshd_config(5), https://man.openbsd.org/sshd_config.
"""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

from preflight.contents.tree import Tree
from preflight.facts import Unknown
from preflight.guests._text import bare, lines

# openSUSE and its kin keep the packaged one in /usr/etc, for where the administrator has none.
MAIN = ("/etc/ssh/sshd_config", "/usr/etc/ssh/sshd_config")
MAX_FILES = 64  # read in all; one that includes itself ends here, and sshd refuses it
MAX_PATTERNS = 64  # of all Include lines
MAX_PATTERN = 255  # NAME_MAX of Linux
LINE = re.compile(r"""(\w{1,64})(?:[ \t]*=[ \t]*|[ \t]+)(.{1,4096})""")


def sshd_options(tree: Tree, read_from: list[str]) -> Mapping[str, str] | Unknown:
    """The values by keyword in lower case, without quotes; the files that were read are added to `read_from`.

    Raises `ContentsError`.
    """
    values: dict[str, str] = {}
    main = next((path for path in MAIN if tree.is_file(path)), None)
    if main is None:
        return values
    read_from.append(main)
    files, patterns = 1, 0
    # What is still to be read, the innermost file last, and whether its lines hold for everybody.
    stack = [(iter(lines(tree.text(main) or "")), True)]
    while stack:
        rest, applies = stack[-1]
        line = next(rest, None)
        if line is None:
            stack.pop()  # a Match ends with the file that it is in
            continue
        found = LINE.match(line)
        if found is None:
            continue
        keyword, words = found[1].lower(), _words(found[2])
        if keyword == "match":
            stack[-1] = (rest, [word.lower() for word in words] == ["all"])
        elif applies and keyword == "include":
            patterns += len(words)
            included = [path for word in words[:MAX_PATTERNS] for path in _paths(tree, word)]
            files += len(included)
            if files > MAX_FILES or patterns > MAX_PATTERNS:
                return Unknown(f"{main} includes too much: at most {MAX_FILES} files are read, {MAX_PATTERNS} patterns")
            for path in reversed(included):
                read_from.append(path)
                stack.append((iter(lines(tree.text(path) or "")), True))
        elif applies and words:
            values.setdefault(keyword, words[0])
    return values


def _words(text: str) -> list[str]:
    """The arguments of a line, up to a comment."""
    words = text.split()
    comment = next((index for index, word in enumerate(words) if word.startswith("#")), len(words))
    return [bare(word) for word in words[:comment]]


def _paths(tree: Tree, pattern: str) -> list[str]:
    """The files that a pattern names, in their order; wildcards count in its last part only."""
    if not pattern.startswith("/"):
        pattern = f"/etc/ssh/{pattern}"
    directory, _, name = pattern.rpartition("/")
    if len(name) > MAX_PATTERN:
        return []
    if not any(character in name for character in "*?["):
        return [pattern] if tree.is_file(pattern) else []
    names = [found for found in tree.names(directory) if fnmatchcase(found, name) and not found.startswith(".")]
    return [path for found in names[:MAX_FILES] if tree.is_file(path := f"{directory}/{found}")]
