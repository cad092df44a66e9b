"""Paths of a guest: resolved inside the guest, as its kernel would."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.contents import ContentsError, Node
from preflight.contents import tree as contents_tree
from preflight.contents.tree import MAX_DEPTH, MAX_FILE_BYTES, MAX_LINKS, Tree
from tests.contents.phony import Content, Link, PhonyReader, Special, tree


def chain(length: int) -> Tree:
    """A file behind `length` links."""
    links: dict[str, Content] = {f"/l{number}": Link(f"l{number + 1}") for number in range(length)}
    return tree({**links, f"/l{length}": "end"})


def test_a_file_is_found_by_its_path() -> None:
    guest = tree({"/etc/hostname": "web\n"})
    assert guest.text("/etc/hostname") == "web\n"
    assert guest.read("/etc/hostname") == b"web\n"
    assert guest.size("/etc/hostname") == 4
    assert guest.is_file("/etc/hostname")
    assert guest.is_directory("/etc")
    assert guest.is_directory("/")
    assert not guest.exists("/etc/hosts")


def test_slashes_and_dots_are_left_out_of_a_path() -> None:
    guest = tree({"/etc/hostname": "web"})
    assert guest.text("//etc/./hostname") == "web"
    assert guest.text("etc/hostname") == "web"
    assert guest.is_directory("/etc/.")
    assert guest.is_directory("")


def test_an_absolute_link_begins_at_the_guests_root() -> None:
    guest = tree({"/etc/os-release": Link("/usr/lib/os-release"), "/usr/lib/os-release": "ID=x"})
    found = guest.find("/etc/os-release")
    assert found is not None
    assert found.path == "/usr/lib/os-release"
    assert guest.text("/etc/os-release") == "ID=x"


def test_a_relative_link_begins_beside_itself() -> None:
    guest = tree({"/etc/os-release": Link("../usr/lib/os-release"), "/usr/lib/os-release": "ID=x"})
    assert guest.text("/etc/os-release") == "ID=x"


def test_a_link_to_a_directory_is_gone_through() -> None:
    guest = tree({"/lib": Link("usr/lib"), "/usr/lib/modules/6.1/modules.dep": "dep"})
    assert guest.text("/lib/modules/6.1/modules.dep") == "dep"
    assert guest.names("/lib/modules") == ("6.1",)


def test_two_dots_after_a_link_lead_to_the_parent_of_its_target() -> None:
    guest = tree({"/a/link": Link("/b/c"), "/b/c/": "", "/b/file": "of b", "/a/file": "of a"})
    assert guest.text("/a/link/../file") == "of b"


@pytest.mark.parametrize("path", ["/../../etc/passwd", "/../etc/passwd", "/etc/../../etc/passwd", "/up"])
def test_two_dots_do_not_leave_the_root(path: str) -> None:
    guest = tree({"/etc/passwd": "of the guest", "/up": Link("../../../../etc/passwd")})
    assert guest.text(path) == "of the guest"


@pytest.mark.parametrize("path", ["/etc/passwd/", "/etc/passwd/.", "/etc/passwd/..", "/etc/passwd/../passwd", "/l"])
def test_only_a_directory_has_something_behind_it(path: str) -> None:
    assert tree({"/etc/passwd": "x", "/l": Link("etc/passwd/")}).find(path) is None


def test_a_slash_at_the_end_follows_a_link_that_is_not_to_be_followed() -> None:
    guest = tree({"/lib": Link("usr/lib"), "/usr/lib/": ""})
    assert guest.kind("/lib", follow=False) == "symlink"
    assert guest.kind("/lib/", follow=False) == "directory"


def test_as_many_links_are_followed_as_linux_follows() -> None:
    assert MAX_LINKS == 40  # Linux: include/linux/namei.h, MAXSYMLINKS
    assert chain(40).text("/l0") == "end"


def test_one_link_more_is_not_followed() -> None:
    assert chain(41).text("/l0") is None
    assert chain(41).text("/l1") == "end"


@pytest.mark.parametrize("target", ["loop", "/loop", "other", "loop/x", "./loop", "dir/../loop", "dir/back"])
def test_a_loop_ends(target: str) -> None:
    guest = tree({"/loop": Link(target), "/other": Link("loop"), "/dir/back": Link("../loop")})
    assert guest.find("/loop") is None
    assert guest.target("/loop") == target


def test_links_that_multiply_a_path_end() -> None:
    guest = tree({"/d/": "", "/bomb": Link("d/../" * 100 + "bomb/" * 100)})
    assert guest.find("/bomb") is None


def test_a_link_may_dangle() -> None:
    guest = tree({"/etc/localtime": Link("/usr/share/zoneinfo/UTC"), "/empty": Link("")})
    assert not guest.exists("/etc/localtime")
    assert guest.kind("/etc/localtime", follow=False) == "symlink"
    assert guest.target("/etc/localtime") == "/usr/share/zoneinfo/UTC"
    assert not guest.exists("/empty")


def test_a_link_to_a_device_is_not_read() -> None:
    guest = tree({"/etc/machine-id": Link("/dev/zero"), "/dev/zero": Special()})
    assert guest.kind("/etc/machine-id") == "other"
    assert guest.read("/etc/machine-id") is None
    assert guest.head("/etc/machine-id", 10) is None
    assert guest.size("/etc/machine-id") is None
    assert list(guest.chunks("/etc/machine-id", 10, 100)) == []
    assert guest.exists("/etc/machine-id")


def test_a_directory_is_not_read() -> None:
    guest = tree({"/etc/": ""})
    assert guest.read("/etc") is None
    assert guest.names("/etc") == ()
    assert guest.target("/etc") is None


def test_a_file_holds_no_names() -> None:
    assert tree({"/etc/passwd": "x"}).names("/etc/passwd") == ()


def test_names_are_sorted() -> None:
    assert tree({"/boot/b": "", "/boot/a": "", "/boot/c/": ""}).names("/boot") == ("a", "b", "c")


def test_a_mount_hides_what_lies_below_it() -> None:
    guest = tree({"/boot/old": "x", "/boot/efi/": ""}, {"/boot": {"/vmlinuz": "kernel"}})
    assert guest.names("/boot") == ("vmlinuz",)
    assert guest.text("/boot/vmlinuz") == "kernel"
    assert not guest.exists("/boot/old")


def test_a_mount_may_lie_in_a_mount() -> None:
    guest = tree({"/boot/": ""}, {"/boot": {"/efi/": ""}, "/boot/efi": {"/EFI/BOOT/BOOTX64.EFI": "loader"}})
    assert guest.text("/boot/efi/EFI/BOOT/BOOTX64.EFI") == "loader"


def test_a_mount_is_reached_by_a_link() -> None:
    guest = tree({"/efi": Link("boot/efi"), "/boot/efi/": ""}, {"/boot/efi": {"/EFI/x": "loader"}})
    assert guest.text("/efi/EFI/x") == "loader"


def test_links_and_two_dots_lead_out_of_a_mount() -> None:
    mounted: dict[str, Content] = {"/relative": Link("../etc/fstab"), "/absolute": Link("/etc/fstab")}
    guest = tree({"/etc/fstab": "of the root", "/boot/": ""}, {"/boot": {**mounted, "/etc/fstab": "of boot"}})
    assert guest.text("/boot/relative") == "of the root"
    assert guest.text("/boot/absolute") == "of the root"
    assert guest.text("/boot/../etc/fstab") == "of the root"
    assert guest.text("/boot/etc/fstab") == "of boot"


def test_a_mount_needs_no_directory_of_its_own() -> None:
    assert tree({"/etc/": ""}, {"/boot": {"/x": "y"}}).text("/boot/x") == "y"


def test_a_file_up_to_the_limit_is_read() -> None:
    guest = tree({"/full": b"x" * MAX_FILE_BYTES, "/small": "1234"})
    assert guest.read("/full") == b"x" * MAX_FILE_BYTES
    assert guest.read("/small", 4) == b"1234"


def test_a_file_over_the_limit_is_refused() -> None:
    guest = tree({"/more": b"x" * (MAX_FILE_BYTES + 1)})
    with pytest.raises(ContentsError, match=f"has {MAX_FILE_BYTES + 1} bytes, at most {MAX_FILE_BYTES} are read"):
        guest.read("/more")
    with pytest.raises(ContentsError):
        guest.text("/more", 10)


def test_only_the_head_is_read() -> None:
    reader = PhonyReader({"/log": b"x" * 1_000_000})
    assert Tree(reader).head("/log", 4) == b"xxxx"
    assert reader.bytes_read == 4
    assert tree({"/short": "ab"}).head("/short", 4) == b"ab"


def test_chunks_end_at_the_limit_and_at_the_end() -> None:
    guest = tree({"/file": b"0123456789"})
    assert list(guest.chunks("/file", 4, 100)) == [b"0123", b"4567", b"89"]
    assert list(guest.chunks("/file", 4, 6)) == [b"0123", b"45"]
    assert list(guest.chunks("/none", 4, 6)) == []


def test_text_that_is_no_utf8_is_escaped() -> None:
    guest = tree({"/latin": b"caf\xe9", "/bom": b"\xef\xbb\xbfID=x"})
    assert guest.text("/latin") == "caf\\xe9"
    assert guest.text("/bom") == "ID=x"


@pytest.mark.parametrize(
    "name", ["a b", "größe", "日本", "bad\udcff", "new\nline", "\x1b[31m", "-rf", "a\\b", "...", "~"]
)
def test_odd_names_are_names(name: str) -> None:
    guest = tree({f"/dir/{name}": "x", "/link": Link(f"dir/{name}")})
    assert guest.names("/dir") == (name,)
    assert guest.text(f"/dir/{name}") == "x"
    assert guest.text("/link") == "x"


def test_a_path_is_resolved_once() -> None:
    class Counting(PhonyReader):
        lookups = 0

        def lookup(self, directory: Node, name: str) -> Node | None:
            self.lookups += 1
            return super().lookup(directory, name)

    reader = Counting({"/etc/passwd": "x"})
    guest = Tree(reader)
    assert [guest.text("/etc/passwd") for _ in range(3)] == ["x"] * 3
    assert reader.lookups == 2


def test_a_path_deeper_than_any_honest_one_is_not_gone_into() -> None:
    deep = "/d" * MAX_DEPTH
    guest = tree({f"{deep}/file": "x"})
    assert guest.is_directory(deep)
    assert not guest.exists(f"{deep}/file")


COMPONENT = st.sampled_from(["a", "b", "l1", "l2", "..", ".", "", "f"])
PATH = st.lists(COMPONENT, max_size=8).map("/".join)


@settings(max_examples=200, deadline=None)
@given(path=PATH, first=PATH, second=PATH)
def test_every_path_through_every_link_ends_inside(path: str, first: str, second: str) -> None:
    guest = tree(
        {"/a/b/f": "x", "/a/l1": Link(first), "/a/b/l2": Link(second), "/l1": Link(second), "/l2": Link(first)},
        {"/b": {"/f": "y", "/l1": Link(first)}},
    )
    found = guest.find(path)
    if found is not None:
        assert found.path == "/" or not found.path.endswith("/")
        again = guest.find(found.path, follow=False)
        assert again is not None
        assert (again.path, again.node.kind) == (found.path, found.node.kind)


class Looking(PhonyReader):
    """Which names were looked up."""

    def __init__(self, files: dict[str, Content]) -> None:
        super().__init__(files)
        self.looked_up: list[str] = []

    def lookup(self, directory: Node, name: str) -> Node | None:
        self.looked_up.append(name)
        return super().lookup(directory, name)

    def target(self, link: Node) -> str:
        self.looked_up.append(f"-> {link.handle}")
        return super().target(link)


def test_a_directory_is_looked_up_once() -> None:
    reader = Looking({"/usr/lib/a": "a", "/usr/lib/b": "b", "/lib": Link("usr/lib")})
    guest = Tree(reader)
    for path in ("/usr/lib/a", "/lib/b", "/lib/../../usr/lib/a", "/lib/none", "/usr/lib/none", "/lib"):
        guest.find(path)
    assert guest.text("/lib/b") == "b"
    assert sorted(reader.looked_up) == ["-> usr/lib", "a", "b", "lib", "lib", "none", "usr"]


def test_what_is_remembered_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents_tree, "MAX_REMEMBERED", 8)
    guest = Tree(
        PhonyReader({**{f"/d{n}/l": Link(f"f{n}") for n in range(20)}, **{f"/d{n}/f{n}": str(n) for n in range(20)}})
    )
    for _ in range(2):
        assert [guest.text(f"/d{number}/l") for number in range(20)] == [str(number) for number in range(20)]
        assert len(guest._entries) <= 8
        assert len(guest._targets) <= 8


def test_a_lookup_that_failed_is_done_again() -> None:
    class Failing(PhonyReader):
        failed = False

        def lookup(self, directory: Node, name: str) -> Node | None:
            if not self.failed:
                self.failed = True
                raise ContentsError("not now")
            return super().lookup(directory, name)

    guest = Tree(Failing({"/etc/hostname": "web"}))
    with pytest.raises(ContentsError, match="not now"):
        guest.find("/etc/hostname")
    assert guest.text("/etc/hostname") == "web"


def test_names_are_listed_without_looking_into_them() -> None:
    class Blind(PhonyReader):
        def entries(self, directory: Node) -> Iterator[tuple[str, Node]]:
            raise AssertionError("what is listed is not looked into")

    assert Tree(Blind({"/etc/b": "", "/etc/a": ""})).names("/etc") == ("a", "b")
