"""Rules: a module per subject, a rule one decorated function `(image, limits, declared) → outcomes`.

A rule is named for the defect, and its id is the function's name in kebab-case. It never raises and never reads:
it yields a `Breach` for each thing that is wrong, an `Unsettled` where a fact is missing, and nothing where all is
well. Severity, the cloud's numbers and the documents are the profile's.
"""

import importlib
import inspect
import os
import pkgutil
import shlex
from collections.abc import Callable, Iterable, Iterator
from functools import cache

from preflight.facts import Image, Problem, ProblemCode
from preflight.units import SECTOR
from preflight.verdicts import Breach, Declared, Limits, Outcome, Rule

Judge = Callable[[Image, Limits, Declared], Iterable[Outcome]]


def rule(judge: Judge) -> Rule:
    """Make a rule of a function; its docstring is the rule's documentation."""
    documentation = inspect.getdoc(judge)
    assert documentation, f"the rule {judge.__name__} has no documentation"
    return Rule(
        id=judge.__name__.replace("_", "-"),
        title=documentation.partition("\n")[0],
        documentation=documentation,
        judge=judge,
    )


@cache
def all_rules() -> dict[str, Rule]:
    """Every rule of this package by id, in the order of modules and of lines."""
    rules: dict[str, Rule] = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for value in vars(module).values():
            if isinstance(value, Rule):
                assert value.id not in rules, f"two rules are named {value.id}"
                rules[value.id] = value
    return rules


def with_code(image: Image, *codes: ProblemCode) -> Iterator[Problem]:
    """The image's problems that have one of these codes."""
    return (problem for problem in image.problems if problem.code in codes)


def breaches(image: Image, remedy: str, *codes: ProblemCode) -> Iterator[Breach]:
    """One breach for each of the image's problems with these codes, all with the same remedy."""
    for problem in with_code(image, *codes):
        yield Breach(problem.message, place(problem), remedy)


def place(problem: Problem) -> str:
    """Where a problem is: the structure, and the byte where that is known."""
    return problem.where if problem.offset is None else f"{problem.where} at byte {problem.offset:#x}"


def quoted(path: str) -> str:
    """A path as one word of bash, that no program takes for an option or a protocol."""
    word = path if path.startswith(("/", "./", "../")) else f"./{path}"
    return shlex.quote(word) if word.isprintable() else f"$'{''.join(map(_escaped, word))}'"


def _escaped(character: str) -> str:
    """A character between `$'` and `'`; what a report would not show as it is becomes the bytes of its UTF-8."""
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))


def clean_copy(image: Image) -> str:
    """The path of a qcow2 copy beside the image, which is never the image itself."""
    stem, ending = os.path.splitext(image.path)
    return f"{stem}{'.clean' if ending.lower() == '.qcow2' else ''}.qcow2"


def converted(image: Image, output: str = "qcow2", target: str | None = None) -> str:
    """The command that writes the image in the format `output` to `target`, by default a clean copy beside it."""
    return f"qemu-img convert {_qemu_input(image, output)} {quoted(target or clean_copy(image))}"


def _qemu_input(image: Image, output: str) -> str:
    name = _QEMU_NAMES.get(image.format, image.format)
    footer_damaged = any(with_code(image, "vhd-footer-checksum", "vhd-footer-511"))
    if len(set(image.virtual_size_alternatives.values())) < 2 and not footer_damaged:
        return f"-f {name} -O {output} {quoted(image.path)}"
    if image.subformat == "fixed" and (image.virtual_size or 1) % SECTOR == 0:
        # The disk is the beginning of the file, whatever qemu-img thinks of the footer.
        driver = f"raw,size={image.virtual_size}"
    else:
        # Which of two sizes qemu-img takes depends on its version and on the creator, so it is told.
        counts = "chs" if image.virtual_size == image.virtual_size_alternatives.get("chs") else "current_size"
        driver = f"vpc,force_size_calc={counts}"
    doubled = image.path.replace(",", ",,")  # the quoting of QEMU's own options
    return f"--image-opts -O {output} driver={driver},file.driver=file,file.filename={quoted(doubled)}"


_QEMU_NAMES = {"vhd": "vpc"}  # what qemu-img's `-f` calls a format, where it is not our name
