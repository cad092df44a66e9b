"""Patterns of paths."""

import pytest

from preflight.path_patterns import matches


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("disk.img", "disk.img"),
        ("./disk.img", "disk.img"),
        ("*.img", "disk.img"),
        ("*.img", ".img"),
        ("*", ".hidden"),
        ("images/*.img", "images/a.img"),
        ("images/**", "images/a.img"),
        ("images/**", "images/a/b/c.img"),
        ("**/*.img", "a.img"),
        ("**/*.img", "a/b/c.img"),
        ("**/**/*.img", "a/b/c.img"),
        ("a/**/z.img", "a/z.img"),
        ("a/**/z.img", "a/b/c/z.img"),
        ("**", "a/b"),
        ("a**b", "axxb"),
        ("disk?.img", "disk1.img"),
        ("disk[0-9].img", "disk7.img"),
        ("disk[!0-9].img", "diskx.img"),
        ("disk[]a].img", "disk].img"),
        ("disk[a-].img", "disk-.img"),
        ("disk[", "disk["),
        ("a.b+c(d)|e", "a.b+c(d)|e"),
        ("größe*", "größe 5\n.img"),
        ("[^a]", "^"),
        ("[z-a]", "-"),
        ("[\\d]", "\\"),
    ],
)
def test_a_pattern_fits(pattern: str, path: str) -> None:
    assert matches(pattern, path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*.img", "a/disk.img"),
        ("*.img", "DISK.IMG"),
        ("*.img", "disk.img.xz"),
        ("disk.img", "diskximg"),
        ("disk.img", "a/disk.img"),
        ("images/*", "images/a/b"),
        ("images/**", "images"),
        ("images/**", "other/images/a"),
        ("a/**/z.img", "b/z.img"),
        ("a/**/z.img", "a/xz.img"),
        ("a**b", "a/b"),
        ("a?b", "a/b"),
        ("a[!x]b", "a/b"),
        ("disk[0-9].img", "diskx.img"),
        ("[^a]", "b"),
        ("[!a]", "a"),
        ("[\\d]", "1"),
    ],
)
def test_a_pattern_does_not_fit(pattern: str, path: str) -> None:
    assert not matches(pattern, path)
