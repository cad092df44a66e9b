"""Imports point down, and each dangerous or costly thing has one door."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "preflight"

# The layers of the design, lowest first; a module may import its own layer and those below.
LAYERS = (
    ("errors", "units", "limits", "facts", "guest_facts", "verdicts", "import_requests", "toml_lines", "path_patterns"),
    ("source", "binary", "plugins", "tools", "containment", "sandbox", "_syscalls", "lzo1x"),
    ("formats", "tables", "volumes", "filesystems", "contents"),
    ("guests",),
    ("inspection", "guest_files", "guest_inspection", "second_opinion", "candidates"),
    ("rules", "profiles"),
    ("checking", "declaring", "decoding", "reports", "schemas", "targets", "baseline", "configuration"),
    ("api",),
    ("cli", "__main__"),
)

# Right of `Image` there is opinion and no I/O: these see nothing but facts, verdicts, and what is named here.
OPINION = {
    "verdicts": {"facts", "units"},
    "import_requests": {"facts"},
    "rules": {"facts", "guest_facts", "verdicts", "units", "rules"},
    "profiles": {"errors", "verdicts", "rules", "profiles"},
    "checking": {"errors", "facts", "guest_facts", "verdicts", "rules"},
    "reports": {"facts", "guest_facts", "verdicts", "units", "plugins", "rules", "reports"},
    "decoding": {"errors", "facts", "guest_facts", "verdicts"},
    "schemas": {"facts", "import_requests", "verdicts", "decoding"},
    "declaring": {"facts", "verdicts"},
    "targets": {"facts", "import_requests", "verdicts", "units", "plugins", "targets"},
    "baseline": {"checking", "errors", "facts", "reports", "verdicts"},
    "configuration": {"errors", "facts", "path_patterns", "profiles", "rules", "toml_lines", "verdicts"},
}

# Who may know of whom inside the reading half: inspection alone puts them together.
READING = {
    "tools": {"errors", "facts", "units", "tools"},
    "tables": {"errors", "facts", "units", "source", "binary", "tables"},
    "filesystems": {"errors", "facts", "units", "source", "binary", "filesystems"},
    "volumes": {"errors", "facts", "units", "source", "binary", "volumes"},
    "formats": {"errors", "facts", "units", "source", "binary", "plugins", "formats"},
}

ONE_DOOR = {"sh": "tools/qemu_img.py", "magic": "tools/libmagic.py", "pylibmagic": "tools/libmagic.py"}

# What a plain `inspect` has no use for, and what it would cost.
NOT_AT_START = ("rich", "sh", "magic", "pylibmagic", "tomllib", "asyncio", "subprocess", "tempfile")


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def name_of(path: Path) -> str:
    """Dotted, without the package: `formats.vhd`; empty for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(dotted: str) -> str:
    return dotted.partition(".")[0]


def imported(path: Path, nodes: ast.AST | None = None) -> Iterator[tuple[ast.stmt, str]]:
    """Every module that an import statement anywhere in the file names, absolute."""
    for node in ast.walk(nodes or tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield node, whole if is_module(whole) else str(node.module)


def is_module(dotted: str) -> bool:
    base = ROOT.joinpath(*dotted.split("."))
    return base.with_suffix(".py").exists() or (base / "__init__.py").exists()


def own_imports(path: Path) -> Iterator[tuple[int, str]]:
    """The parts of this package that the file imports, with the line."""
    for node, name in imported(path):
        if name.startswith("preflight."):
            yield node.lineno, part_of(name.removeprefix("preflight."))


def at_module_level(path: Path) -> Iterator[str]:
    """What is imported as soon as the module is."""
    waiting: list[ast.AST] = list(tree(path).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (name for _, name in imported(path, node))
        waiting.extend(ast.iter_child_nodes(node))


def rank(part: str) -> int:
    found = [number for number, layer in enumerate(LAYERS) if part in layer]
    assert len(found) == 1, f"{part} has no place in the layers"
    return found[0]


def labels(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(PACKAGE)) for path in paths]


every_module = pytest.mark.parametrize("path", modules(), ids=labels(modules()))


@every_module
def test_imports_point_down(path: Path) -> None:
    name = name_of(path)
    if not name:
        return  # the package gathers the public API from every layer
    for line, part in own_imports(path):
        assert rank(part) <= rank(part_of(name)), f"{path}:{line} imports {part} from above"


@every_module
def test_each_part_sees_only_what_it_may(path: Path) -> None:
    part = part_of(name_of(path))
    allowed = (OPINION | READING).get(part)
    if allowed is None:
        return  # the layers say all
    for line, other in own_imports(path):
        assert other in allowed, f"{path}:{line}: {part} imports {other}"


@every_module
def test_only_the_walk_puts_formats_tables_volumes_and_file_systems_together(path: Path) -> None:
    """One more may look at a neighbour: who reads the files of a file system knows its superblock by our layout."""
    name = name_of(path)
    part = part_of(name)
    readers = {"formats", "tables", "volumes", "filesystems"}
    for line, other in own_imports(path):
        if other in readers and name:
            walks = ("inspection", "guest_files", "guest_inspection", "candidates")
            assert part in (*walks, other) or (part, other) == ("contents", "filesystems"), f"{path}:{line}"


@every_module
def test_dangerous_libraries_have_one_door(path: Path) -> None:
    relative = str(path.relative_to(PACKAGE))
    for node, name in imported(path):
        top = part_of(name)
        assert ONE_DOOR.get(top, relative) == relative, f"{path}:{node.lineno} imports {top}"
        assert top != "subprocess", f"{path}:{node.lineno}: programs are run by tools/qemu_img.py"
        assert top != "rich" or relative.startswith("cli/"), f"{path}:{node.lineno}: only the command prints"
        assert top != "click" or relative.startswith("cli/"), f"{path}:{node.lineno}: only the command knows click"


@every_module
def test_layouts_are_parsed_by_binary_alone(path: Path) -> None:
    if name_of(path) == "binary":
        return
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute) and node.attr in ("parse", "parse_stream", "parse_file"):
            owner = ast.unparse(node.value)
            assert owner in ("binary", "yaml", "ast"), f"{path}:{node.lineno}: {owner}.{node.attr}"


@every_module
def test_nothing_but_the_command_prints_exits_or_reads_the_environment(path: Path) -> None:
    """Three exceptions: where qemu-img is looked for, the child that reads hostile bytes, and the entry point."""
    part = part_of(name_of(path))
    if part == "cli":
        return
    relative = str(path.relative_to(PACKAGE))
    allowed = {
        "tools/qemu_img.py": {"os.environ"},  # PATH, to find it; the child's own environment is fixed
        "containment.py": {"os._exit"},  # what the parent has not written yet is the parent's
        "__main__.py": {"os._exit"},  # an interrupt before there is a command
    }.get(relative, set())
    forbidden = {
        *("sys.exit", "sys.stdout", "sys.stderr", "sys.stdin", "sys.argv"),
        *("os._exit", "os.environ", "os.environb", "os.getenv", "os.putenv", "os.system", "os.popen"),
    }
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute):
            used = ast.unparse(node)
            assert used not in forbidden - allowed, f"{path}:{node.lineno}: {used}"
        if isinstance(node, ast.Name):
            assert node.id not in ("print", "input", "exit", "quit", "breakpoint"), f"{path}:{node.lineno}: {node.id}"
        if isinstance(node, ast.ImportFrom) and node.module in ("os", "sys"):
            pytest.fail(f"{path}:{node.lineno}: import {node.module}, and name it where it is used")


@every_module
def test_costly_libraries_are_imported_where_they_are_used(path: Path) -> None:
    relative = str(path.relative_to(PACKAGE))
    for name in at_module_level(path):
        top = part_of(name)
        if top == "rich":
            assert relative == "cli/_terminal.py"  # itself imported for a terminal only
        elif top == "tomllib":
            assert relative in ("profiles/__init__.py", "configuration.py")
        else:
            assert top not in (*NOT_AT_START, "dataclasses"), f"{path} imports {top} when it is imported itself"


def test_every_part_has_its_layer() -> None:
    parts = {part_of(name_of(path)) for path in modules()} - {""}
    for part in parts:
        rank(part)


def loaded_by(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has after this code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint('\\n'.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return set(done.stdout.split())


def test_an_inspection_imports_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    disk = tmp_path / "disk.raw"
    disk.write_bytes(bytes(510) + b"\x55\xaa" + bytes(1 << 20))
    loaded = loaded_by(
        f"from preflight.cli import cli\ncli.main(['inspect', '-o', '/dev/null', {str(disk)!r}], standalone_mode=False)"
    )
    assert "preflight.inspection" in loaded
    for name in ("rich", "sh", "magic", "pylibmagic", "tomllib", "asyncio", "yaml"):
        assert name not in loaded
    for part in ("preflight.rules", "preflight.verdicts", "preflight.profiles", "preflight.second_opinion"):
        assert part not in loaded
    formats = {name for name in loaded if name.startswith("preflight.formats.")}
    assert "preflight.formats.vhd" not in formats
    assert "preflight.formats.qcow2" not in formats


def test_a_hook_without_images_imports_nothing_that_judges_or_reads_them(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("# notes\n")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(4096))
    files = [str(path) for path in tmp_path.iterdir()]
    loaded = loaded_by(f"from preflight.cli import cli\ncli.main(['hook', *{files!r}], standalone_mode=False)")
    assert "preflight.candidates" in loaded
    for name in ("rich", "sh", "magic", "construct", "tomllib", "subprocess", "yaml"):
        assert name not in loaded
    for part in ("inspection", "rules", "verdicts", "profiles", "checking", "configuration", "baseline"):
        assert f"preflight.{part}" not in loaded


def test_a_check_imports_no_library_for_terminals(tmp_path: Path) -> None:
    disk = tmp_path / "disk.raw"
    disk.write_bytes(bytes(510) + b"\x55\xaa" + bytes(1 << 20))
    loaded = loaded_by(
        f"from preflight.cli import cli\ncli.main(['check', '-o', '/dev/null', {str(disk)!r}], standalone_mode=False)"
    )
    for name in ("rich", "sh", "magic"):
        assert name not in loaded
