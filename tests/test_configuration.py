"""What a configuration file says, and what is wrong with it."""

import re

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.configuration import PARAMETERS, Configuration, ImageSettings, read
from preflight.errors import ConfigurationError
from tests.test_readme import README


def good(text: str) -> Configuration:
    found = read(text, "preflight.toml")
    assert found is not None
    return found


def problems(text: str, *, shared: bool = False) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        read(text, "file", shared=shared)
    return list(raised.value.problems)


def test_an_empty_file_says_nothing() -> None:
    assert good("") == Configuration()


def test_everything_that_can_be_said() -> None:
    found = good(
        """
        profile = ["aliyun", "aliyun-2018", "aliyun"]
        strict = true
        baseline = "known.json"
        ignore = { dirty-bit = "we power it off" }

        [[image]]
        path = ["*.img", "a/**"]
        role = "system"
        os-type = "linux"
        platform = "Debian"
        architecture = "arm64"
        boot-mode = "UEFI"
        image-name = "web"
        description = "the web server"
        image-format = "raw"
        disk-image-size = 40
        license-type = "BYOL"
        nvme-support = "supported"
        imds-support = "v2"
        detection-strategy = "Standard"
        role-name = "r"
        resource-group-id = "rg"
        client-token = "t"
        tag = ["a=b=c", "d="]
        dry-run = true
        ignore.backing-file = "it is built from the base in CI"
        """
    )
    assert (found.profiles, found.strict, found.baseline) == (("aliyun", "aliyun-2018"), True, "known.json")
    assert found.ignore == {"dirty-bit": "we power it off"}
    (entry,) = found.images
    assert entry.patterns == ("*.img", "a/**")
    assert entry.settings.role == "system"
    assert entry.settings.ignore == {"backing-file": "it is built from the base in CI"}
    assert entry.settings.declared == {
        "os_type": "linux",
        "platform": "Debian",
        "architecture": "arm64",
        "boot_mode": "UEFI",
        "image_name": "web",
        "description": "the web server",
        "image_format": "raw",
        "disk_image_size": 40,
        "license_type": "BYOL",
        "nvme_support": "supported",
        "imds_support": "v2",
        "detection_strategy": "Standard",
        "role_name": "r",
        "resource_group_id": "rg",
        "client_token": "t",
        "tags": (("a", "b=c"), ("d", "")),
        "dry_run": True,
    }


def test_whatever_check_can_declare_the_file_can_declare() -> None:
    from preflight.cli.check import command
    from preflight.verdicts import Declared

    fields = {*Declared.__struct_fields__} - {"role"}
    options = {
        option.opts[0].removeprefix("--")
        for option in command.params
        if isinstance(option, click.Option) and option.name in fields
    }
    assert options == set(PARAMETERS)


def test_of_entries_that_match_the_later_one_wins_key_by_key_and_ignores_add_up() -> None:
    found = good(
        """
        [ignore]
        dirty-bit = "everywhere"
        backing-file = "everywhere"
        [[image]]
        path = "**/*.img"
        role = "data"
        platform = "Debian"
        dry-run = true
        ignore = { stale-boot-root = "first", backing-file = "first" }
        [[image]]
        path = "special/*"
        platform = "Ubuntu"
        dry-run = false
        ignore = { backing-file = "second" }
        """
    )
    assert found.of_image("special/a.img") == ImageSettings(
        "data",
        {"platform": "Ubuntu", "dry_run": None},
        {"dirty-bit": "everywhere", "backing-file": "second", "stale-boot-root": "first"},
    )
    assert found.of_image("a.raw") == ImageSettings(ignore=found.ignore)
    assert found.of_image(None) == ImageSettings(ignore=found.ignore)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("\nprofil = 'aliyun'", 2, ["no key 'profil'", "did you mean 'profile'?"]),
        ("\n\n'pro file' = 1", 3, ["no key 'pro file'"]),
        ("zzz = 1", 1, ["no key 'zzz'", "there is profile, strict, baseline, ignore, image"]),
        ("strict = 1", 1, ["strict is an integer, it must be true or false"]),
        ("profile = 3", 1, ["profile is an integer, it must be a string or an array of strings"]),
        ("profile = []", 1, ["profile is an empty array"]),
        ("profile = 'aliyun-2017'", 1, ["no profile 'aliyun-2017'", "did you mean 'aliyun-2018'?"]),
        ("profile = [\n'aliyun',\n'azure',\n]", 3, ["no profile 'azure'", "aliyun-2018, aliyun"]),
        ("profile = ['aliyun',\n7]", 2, ["profile has an integer in it"]),
        ("baseline = ['a']", 1, ["baseline is an array, it must be a string"]),
        ("baseline = ' '", 1, ["baseline is empty"]),
        ("ignore = ['dirty-bit']", 1, ["ignore is an array", 'RULE = "reason"']),
        ("[ignore]\ndirty-bit = ''", 2, ["'dirty-bit' is ignored without a reason"]),
        ("[ignore]\ndirty-bit = '\t '", 2, ["'dirty-bit' is ignored without a reason"]),
        ("[ignore]\ndirty-bit = true", 2, ["the reason of 'dirty-bit' is true or false"]),
        ("[ignore]\n\ndirtybit = 'x'", 3, ["no rule 'dirtybit'", "did you mean 'dirty-bit'?"]),
        ("[ignore]\nqwertyuiop = 'x'", 2, ["no rule 'qwertyuiop'", "preflight rules"]),
        ("ignore . 'dirty-bid' = 'x'", 1, ["did you mean 'dirty-bit'?"]),
        ("[image]\npath = '*'", 1, ["image is a table", "[[image]]"]),
        ("image = 1979-05-27", 1, ["image is a date or time"]),
        ("image = [\n{ path = '*' },\n3 ]", 3, ["an image is an integer"]),
        ("strict = true\n[[image]]\nrole = 'data'", 2, ["this image has no path"]),
        ("[[image]]\npath = '/srv/*'", 2, ["'/srv/*' must be relative to the folder of file"]),
        ("[[image]]\npath = ['*',\n'a/../../b']", 3, ["must be relative"]),
        ("[[image]]\npath = 'images/'", 2, ["names no file", "folder/**"]),
        ("[[image]]\npath = ''", 2, ["names no file"]),
        ("[[image]]\npath = '*'\nrole = 'System'", 3, ["no role 'System'", "did you mean 'system'?"]),
        ("[[image]]\npath = '*'\nplatfrom = 'x'", 3, ["no key 'platfrom'", "did you mean 'platform'?"]),
        ("[[image]]\npath = '*'\nos_type = 'linux'", 3, ["no key 'os_type'", "did you mean 'os-type'?"]),
        ("[[image]]\npath = '*'\nplatform = 'debian'", 3, ["no platform 'debian'", "did you mean 'Debian'?"]),
        ("[[image]]\npath = '*'\nimage-format = 'vmdk'", 3, ["no image-format 'vmdk'"]),
        ("[[image]]\npath = '*'\ndisk-image-size = '40'", 3, ["is a string, it must be an integer"]),
        ("[[image]]\npath = '*'\ndisk-image-size = true", 3, ["is true or false, it must be an integer"]),
        ("[[image]]\npath = '*'\ndisk-image-size = 40.0", 3, ["is a number, it must be an integer"]),
        ("[[image]]\npath = '*'\ntag = ['a=b',\n'c']", 4, ["tag 'c' is not KEY=VALUE"]),
        ("[[image]]\npath = '*'\n[[image]]\npath = '*'\n[image.ignore]\ndirty-bit = ''", 6, ["without a reason"]),
        ("image = [ { path = '*', ignore = { x = 'y' } } ]", 1, ["no rule 'x'"]),
        ("a = [", 1, ["no valid TOML"]),
        ("strict = true\nstrict = false\n", 2, ["no valid TOML", "overwrite"]),
        ("x = 1\ny = '''\nz\n\n", 3, ["no valid TOML"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_the_line(text: str, line: int, words: list[str]) -> None:
    (problem,) = problems(text)
    assert problem.startswith(f"file:{line}: ")
    for word in words:
        assert word in problem


def test_all_that_is_wrong_is_told_in_the_order_of_the_lines() -> None:
    text = "strict = 1\nprofil = 2\n[[image]]\nrole = 'x'\npath = 3\n[ignore]\ndirty-bit = ''"
    assert [int(problem.split(":")[1]) for problem in problems(text)] == [1, 2, 4, 5, 7]


def test_a_pyproject_has_a_table_of_its_own() -> None:
    assert read("[tool.other]\nstrict = 1", "pyproject.toml", shared=True) is None
    assert read("tool = 3", "pyproject.toml", shared=True) is None
    assert read("[tool]\npreflight = {}", "pyproject.toml", shared=True) == Configuration()
    assert read("[tool.'preflight']\nstrict = true", "pyproject.toml", shared=True) == Configuration(strict=True)
    assert problems("[project]\n[tool.preflight]\n\nstrikt = true", shared=True)[0].startswith("file:4: ")
    assert "must be a table" in problems("tool.preflight = 3", shared=True)[0]
    assert problems("[[tool.preflight.image]]\n[[tool.preflight.image]]\npath='*'", shared=True) == [
        "file:1: this image has no path, which says the files it is about"
    ]


def test_a_file_that_nests_without_end_is_an_error() -> None:
    assert "nested too deeply" in problems("a = " + "[" * 100_000)[0]


VALUES = st.recursive(
    st.sampled_from(["1", "true", "'aliyun'", "''", "'**/*.img'", "1979-05-27", "'a=b'", "'system'"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda entries: f"[{', '.join(entries)}]")
        | inner.map(lambda value: f"{{ path = {value}, role = {value}, ignore = {value} }}")
    ),
    max_leaves=5,
)
KEYS = st.sampled_from(["profile", "strict", "baseline", "ignore", "image", "image.path", "ignore.dirty-bit", "x"])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(KEYS, VALUES), max_size=4))
def test_any_file_is_a_configuration_or_an_error_that_names_it(pairs: list[tuple[str, str]]) -> None:
    text = "\n".join(f"{key} = {value}" for key, value in pairs)
    try:
        found = read(text, "file")
    except ConfigurationError as error:
        assert all(problem.startswith("file:") for problem in error.problems)
    else:
        assert isinstance(found, Configuration)


def test_the_readme_names_every_key() -> None:
    for key in (*PARAMETERS, "path", "role", "ignore", "baseline"):
        assert f"`{key}`" in README, key


def test_the_example_of_the_readme_is_right() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    found = good(example)
    assert found.of_image("images/web/a.qcow2") == ImageSettings(
        "system",
        {"platform": "Debian", "disk_image_size": 40, "image_name": "web", "tags": (("team", "web"),)},
        {
            "cloud-assistant-missing": "nobody works from the console",
            "static-address": "the address is reserved in the VPC",
        },
    )
