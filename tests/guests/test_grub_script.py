"""GRUB's script language: what counts for the menu, and what a hostile one cannot do."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.contents import ContentsError
from preflight.guests._bls import matches, version_key
from preflight.guests._boot_menu import Files, Menu
from preflight.guests._grub2 import read_grub2
from preflight.guests._grub_conditions import Search, condition_holds, parse_search
from preflight.guests._grub_words import commands
from tests.contents.phony import Content, tree


def menu(text: str, files: dict[str, Content] | None = None, known: tuple[str, ...] = ()) -> Menu:
    boot = Files(tree({"/boot/grub/grub.cfg": text, **(files or {})}))
    found = read_grub2(boot, dict.fromkeys(known, "partition 1").get)
    assert found is not None
    return found


def booted(text: str, files: dict[str, Content] | None = None) -> tuple[str | None, str]:
    """Kernel and options of the entry that boots by itself."""
    found = menu(text, files)
    assert found.default is not None
    stanza = found.stanzas[found.default]
    return stanza.kernel, stanza.options


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b", [["a", "b"]]),
        ("a;b\nc", [["a"], ["b"], ["c"]]),
        ("a \\\n b", [["a", "b"]]),
        ("# x\na # b\na#b", [["a"], ["a#b"]]),
        ("m{ a }", [["m"], ["{"], ["a"], ["}"]]),
        ("if a; then b; fi", [["if"], ["a"], ["then"], ["b"], ["fi"]]),
        ("a 'b c' \"d e\" f\\ g", [["a", "b c", "d e", "f g"]]),
        ("a ''", [["a", ""]]),
        ("a 'b", [["a", "b"]]),
        ("a \\", [["a", "\\"]]),
    ],
)
def test_scripts_are_cut_into_commands(text: str, expected: list[list[str]]) -> None:
    assert [["".join(piece for _, piece in word) for word in command] for command in commands(text, "x")] == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("linux /v $none a", ("/v", "a")),
        ("set o='a  b'; linux /v $o c", ("/v", "a b c")),
        ("set o='a b'; linux /v \"$o\" c", ("/v", '"a b" c')),
        ("set o=b; linux /v a${o}c '$o' \"\\$o\"", ("/v", "abc $o $o")),
        ("o=x; linux /v $o", ("/v", "x")),
        ("set o=x; unset o; linux /v $o", ("/v", "")),
        ("linux ($root)/v a", ("/v", "a")),
        ("linuxefi /v a", ("/v", "a")),
        ("set s=16; linux$s /v a", ("/v", "a")),
        ("multiboot2 /xen.gz x; module2 /v a; module2 /i", ("/v", "a")),
        ("for i in 1 2; do linux /v $i; done", ("/v", "1")),
        ("function f { linux /v $1 $2; }; f a b", ("/v", "a b")),
        ("if [ -f /yes ]; then linux /v yes; else linux /v no; fi", ("/v", "yes")),
        ("if [ -f /no ]; then linux /v yes; else linux /v no; fi", ("/v", "no")),
        ("if false; then linux /v a; elif true; then linux /v b; else linux /v c; fi", ("/v", "b")),
        ("if true; then if false; then linux /v a; fi; else linux /v b; fi; linux /v c", ("/v", "c")),
        ("if keystatus --shift; then x=a; else x=b; fi; linux /v $x", ("/v", "b")),
        ("while false; do linux /v a; done; linux /v b", ("/v", "b")),
        ("source /more.cfg; linux /v $more", ("/v", "included")),
        ("source ($root)/more.cfg; linux /v $more", ("/v", "included")),
        ("source /more.cfg/x; linux /v $more", ("/v", "")),
    ],
)
@pytest.mark.parametrize("form", ["menuentry 'a' {{\n{}\n}}", "{}\nboot"])
def test_the_kernel_and_its_command_line_are_followed(line: str, expected: tuple[str, str], form: str) -> None:
    assert booted(form.format(line), {"/yes": b"", "/boot/more.cfg": "more=included"}) == expected


def test_what_an_entry_sets_is_gone_behind_it() -> None:
    found = menu("o=a\nmenuentry x {\n o=b\n linux /v $o\n}\nmenuentry y {\n linux /v $o\n}\n")
    assert [stanza.options for stanza in found.stanzas] == ["b", "a"]


def test_entries_inside_of_entries_are_none() -> None:
    found = menu("menuentry x {\n menuentry y {\n linux /y\n }\n linux /x\n}\n")
    assert [(stanza.title, stanza.kernel) for stanza in found.stanzas] == [("x", "/x")]


def test_an_id_may_hold_what_parts_the_levels() -> None:
    text = "set default='s>a>>b'\nmenuentry first {\n}\nsubmenu S --id s {\nmenuentry a {\n}\nmenuentry 'a>b' {\n}\n}\n"
    assert menu(text).default == 2


def test_a_submenu_that_is_named_alone_means_its_first_entry() -> None:
    assert menu("set default=1\nmenuentry a {\n}\nsubmenu S {\nmenuentry b {\n}\n}\n").default == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("-n x", True),
        ("-z x", False),
        ("a = a ]", True),
        ("a != a ]", False),
        ("! a = b ]", True),
        ("-n x -a a = b", False),
        ("-n x -a a = b -o c = c", True),
        ("3 -gt 20", False),
        ("x -eq 0", True),
        ("a ~ b", None),
        ("a ~ b -o x", True),
        ("a ~ b -a x = y", False),
        ("-f /a -a -d /d -a -e /d", True),
        ("-s /d", False),
        ("", False),
    ],
)
def test_conditions(words: str, expected: bool | None) -> None:
    assert condition_holds(words.split(), {"/a": "file", "/d": "directory"}.get) is expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("search --no-floppy --fs-uuid --set=root --hint-bios=hd0,gpt1 1-2", Search("UUID=1-2", "root")),
        ("search --no-floppy --fs-uuid --set=root --hint hd0,gpt1 1-2", Search("UUID=1-2", "root")),
        ("search --fs-uuid 1-2 --set prefix --no-floppy", Search("UUID=1-2", "prefix")),
        ("search --set dev --label boot", Search("LABEL=boot", "dev")),
        ("search --label boot --set", Search("LABEL=boot", "root")),
        ("search --label --set boot", Search("LABEL=boot", "root")),
        ("search -n -u -s 1-2", Search("UUID=1-2", "root")),
        ("search --fs-uuid 1-2", Search("UUID=1-2", None)),
        ("search --set oem --part-label OEM --hint hd0", Search(None, "oem")),
        ("search --file --set=root /x", Search(None, "root")),
        ("search.fs_uuid 1-2 root hd0,gpt2", Search("UUID=1-2", "root")),
        ("search.fs_label boot prefix", Search("LABEL=boot", "prefix")),
        ("search.file /x root", Search(None, "root")),
        ("search", Search(None, None)),
    ],
)
def test_searches(line: str, expected: Search) -> None:
    name, *arguments = line.split()
    assert parse_search(name, arguments) == expected


def test_a_search_that_is_a_condition_need_not_find() -> None:
    text = "if search --label DATA --set root; then\nmenuentry a {\nlinux /v\n}\nfi\nsearch --label ROOT --set root\n"
    assert menu(text).searched == ("LABEL=ROOT",)
    assert menu(text).stanzas == ()
    assert len(menu(text, known=("LABEL=DATA",)).stanzas) == 1


def test_versions_sort_as_rpm_sorts_them() -> None:
    ascending = ["5.0~rc1", "5.0", "5.0^git1", "5.0.el8", "5.0.1", "5.9", "5.10"]
    shuffled = [ascending[index] for index in (3, 0, 6, 2, 5, 1, 4)]
    assert sorted(shuffled, key=version_key) == ascending


@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [
        ("arch", "ARCH", True),
        ("arch-6", "arch*", True),
        ("arch-6", "*-?", True),
        ("arch", "a?ch?", False),
        ("arch", "", False),
        ("", "**", True),
        ("a" * 250, "*a" * 120 + "b", False),
    ],
)
def test_patterns(name: str, pattern: str, expected: bool) -> None:
    assert matches(name, pattern) is expected


LIMIT = 500_000
HOSTILE = {
    "empty lines": "\n" * LIMIT,
    "lines": "insmod x\n" * 55_000,
    "entries": "menuentry a {\n}\n" * 1000,
    "open braces": "{" * LIMIT,
    "submenus": "submenu a {\n" * 40_000,
    "closing braces": "}" * 50_000 + "\n",
    "open quote": "menuentry 'a" + "b" * LIMIT,
    "open double quote": 'linux "' + "\\" * LIMIT,
    "many quotes": "linux " + "'a" * 200_000,
    "a long word": "linux " + "'a'" * 160_000,
    "conditions": "if " * 160_000,
    "open if": "if true; then " * 1000,
    "doubling": "set a=xxxxxxxx\n" + "set a=$a$a\n" * 40_000,
    "doubling in quotes": "set a=xxxxxxxx\n" + 'set a="$a$a"\n' * 35_000,
    "many words": "set a='" + "x " * 4000 + "'\nlinux " + "$a " * 150_000,
    "a long string in a function": "function f {\nset a='" + "x" * 400_000 + "'\nf\n}\nf\n",
    "a function that calls itself": "function f { f; f; }\nf\n",
    "functions that double": "".join(f"function f{n} {{ f{n + 1}; f{n + 1}; }}\n" for n in range(40)) + "f0\n",
    "a file that includes itself": "source /boot/grub/grub.cfg\n",
    "loader entries again and again": "blscfg\n" * 50_000,
    "paths": "".join(f"if [ -f /{number} ]; then x; fi\n" for number in range(20_000)),
    "variables": "".join(f"set v{number}=x\n" for number in range(40_000)),
    "searches": "".join(f"search --label --set=root {number}\n" for number in range(12_000)),
    "default": "set default='" + "0>" * 200_000 + "'\nmenuentry a {\n}\n",
    "continued": "linux " + "\\\n" * 240_000,
    "signs": "${" * 200_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_script_is_refused_or_followed_in_time(name: str) -> None:
    before = time.process_time()
    try:
        found = menu(HOSTILE[name], {"/boot/loader/entries/a.conf": "linux /v\n"})
    except ContentsError as error:
        assert str(error).startswith("/boot/grub/grub.cfg: ")
    else:
        assert len(found.stanzas) <= 512
        assert all(len(stanza.options) <= 8192 for stanza in found.stanzas)
        assert len(found.searched) <= 256
    assert time.process_time() - before < 5


TOKENS = [
    "if",
    "then",
    "else",
    "elif",
    "fi",
    "{",
    "}",
    "menuentry",
    "submenu",
    "function",
    "f",
    ";",
    "linux",
    "initrd",
    "set",
    "default=1>0",
    "source",
    "x=$x$x",
    "/boot/grub/grub.cfg",
    "for",
    "in",
    "while",
    "do",
    "done",
    "[",
    "]",
    "-f",
    "=",
    "!",
    "-a",
    "-o",
    "(",
    "'",
    '"',
    "\\",
    "#",
    "${x}",
    "$x",
    "search",
    "--set",
    "boot",
    "blscfg",
    "configfile",
    "module",
    "multiboot",
    "''",
    "><",
]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from([*TOKENS, "\n"]),
        max_size=80,
    ).map(" ".join)
)
def test_any_script_gives_a_menu_or_is_refused(text: str) -> None:
    try:
        found = menu(text)
    except ContentsError:
        return
    assert found.default is None or found.default < len(found.stanzas)
