"""HCL read by python-hcl2, which leaves literals as they are written: here they become text again."""

import re
from typing import Any

import hcl2

_ESCAPE = re.compile(r"\\(?:([nrt\"\\])|u([0-9a-f]{4})|U([0-9a-f]{8}))|\$\$\{|%%\{|\$\{|%\{|\\", re.DOTALL)
_SHORT = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


def loads(text: str) -> dict[str, Any]:
    """The file: quotes are gone from labels and strings."""
    return dict(_plain(hcl2.loads(text)))


def decoded(literal: str) -> str:
    """Text of a quoted template, by the specification of HCL's native syntax; it must have no interpolation in it."""

    def one(found: re.Match[str]) -> str:
        short, four, eight = found.groups()
        if short:
            return _SHORT[short]
        if four or eight:
            return chr(int(four or eight, 16))
        assert found[0] in ("$${", "%%{"), f"{found[0]} is taken for more than text in {literal}"
        return found[0][1:]

    assert literal[0] == literal[-1] == '"'
    return _ESCAPE.sub(one, literal[1:-1])


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key.strip('"'): _plain(item) for key, item in value.items() if key != "__is_block__"}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return decoded(value) if isinstance(value, str) else value
