"""Text as literals of other languages: each comes back as it was, and none can steer a terminal."""

import shlex

import msgspec

_SHORT = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def json_text(value: object) -> str:
    """JSON, indented; what no terminal should get, such as U+202E or DEL, by its UTF-16 code units."""
    text = msgspec.json.format(msgspec.json.encode(value)).decode()
    return "".join(map(_by_code_units, text)) + "\n"


def _by_code_units(character: str) -> str:
    if character.isprintable() or character == "\n":
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in zip(units[::2], units[1::2], strict=True))


def double_quoted(text: str) -> str:
    r"""A string of HCL, YAML or Python: `\"`, `\uXXXX` and `\UXXXXXXXX` mean the same. Interpolations stay."""
    return f'"{"".join(map(_by_code_point, text))}"'


def _by_code_point(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def shell_word(text: str) -> str:
    """One word of a POSIX shell; `$'…'` (POSIX.1-2024, bash, zsh, ksh) where something in it cannot be printed."""
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(map(_by_octets, text)) + "'"


def _by_octets(character: str) -> str:
    if character in "\\'":
        return "\\" + character
    if character.isprintable():
        return character
    # Octal ends after three digits; what \x and \u end after, and which characters they make, differs among shells.
    return _SHORT.get(character) or "".join(f"\\{octet:03o}" for octet in character.encode())
