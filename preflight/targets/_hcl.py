"""HCL as `terraform fmt` would write it.

Specification: HCL Native Syntax, Quoted Templates and Literal Templates,
https://github.com/hashicorp/hcl/blob/main/hclsyntax/spec.md
"""

from collections.abc import Mapping

from preflight.targets._quoting import double_quoted


def literal_template(text: str) -> str:
    """Text that a template gives back as it is: without interpolations or directives."""
    return text.replace("${", "$${").replace("%{", "%%{")


def block(header: str, body: Mapping[str, object], depth: int = 0) -> str:
    """A block: its attributes, with their signs in one column, then the blocks in it, which are lists of mappings."""
    pad = "  " * depth
    attributes = {name: value for name, value in body.items() if not isinstance(value, list)}
    width = max(map(len, attributes), default=0)
    lines = [f"{pad}  {name:<{width}} = {_literal(value)}\n" for name, value in attributes.items()]
    for name, value in body.items():
        if isinstance(value, list):
            lines += ["\n" + block(name, entry, depth + 1) for entry in value]
    return f"{pad}{header} {{\n{''.join(lines)}{pad}}}\n"


def _literal(value: object) -> str:
    return double_quoted(literal_template(value)) if isinstance(value, str) else str(value)
