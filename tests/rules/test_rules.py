"""What holds for all rules."""

import re
from typing import get_args

import msgspec
import pytest

from preflight import profiles
from preflight.checking import check
from preflight.facts import ProblemCode
from preflight.rules import all_rules, quoted
from preflight.verdicts import Declared, Rule, Unsettled
from tests import builders
from tests.builders import image, problem, raw, unread, vhd

CODES: tuple[ProblemCode, ...] = get_args(ProblemCode)
CODES = tuple(code for code in CODES if code != "guest-uncontained")  # that is the host's defect, not the image's

WARNINGS: dict[ProblemCode, str] = {
    "size-not-in-sectors": "qemu-img writes such raw files, and every reader rounds them up",
    "vhd-footer-511": "the specification asks readers to accept it",
    "vhd-sizes-differ": "Hyper-V rounds the geometry down, so that its ordinary images have two sizes",
    "qcow2-dirty": "the guest's data is whole, only reference counts are stale",
    "container-not-closed": "of a format that is refused by itself",
    "qcow2-snapshots": "the current state is whole",
    "gpt-backup-misplaced": "what a disk shows that was enlarged after it was partitioned; the primary table is whole",
    "gpt-protective-mbr-missing": "beside another table: left behind by an earlier use of the disk",
    "gpt-protective-mbr-invalid": "boot managers and hybrid tables write such records",
    "mbr-entry-invalid": "kernels pass over the entry, and what lies past the disk is told as such",
    "mbr-boot-flag-invalid": "old boot managers keep values of their own there",
    "filesystem-ambiguous": "the rest of an older file system",
    "superblock-irregular": "kernels mount it all the same",
    "lvm-incomplete": "the other physical volume may be the next disk of the request",
}
"""The codes that do not stand for damage or hostility of the data, each with the reason."""


@pytest.mark.parametrize("rule", all_rules().values(), ids=all_rules())
def test_a_rule_explains_itself(rule: Rule) -> None:
    assert re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", rule.id)
    assert rule.title.endswith(".")
    assert rule.documentation.startswith(f"{rule.title}\n\n")
    sections = re.findall(r"^(\w+): \S", rule.documentation, re.MULTILINE)
    assert sections == ["What", "Why", "Remedy", "Source"]


def test_the_rules_of_a_package_are_found_once_each_and_all_stand_in_a_profile() -> None:
    assert list(all_rules()) == list(dict.fromkeys(all_rules()))
    assert set(all_rules()) == {rule for name in profiles.names() for rule in profiles.load(name).rules}


@pytest.mark.parametrize("code", CODES)
def test_every_problem_leads_to_a_finding_and_damage_to_an_error(code: ProblemCode) -> None:
    for sound in (image(), raw(), vhd()):
        report = check(msgspec.structs.replace(sound, problems=(problem(code),)), builders.profile(), Declared())
        assert report.findings
        assert (report.verdict == "ready") == (code in WARNINGS)


@pytest.mark.parametrize("code", CODES)
def test_no_rule_raises_whatever_the_problem_and_the_format(code: ProblemCode) -> None:
    for name in ("raw", "vhd", "qcow2", "vmdk", "gzip", "iso9660", "a format that is yet to come"):
        for declared in (Declared(), Declared(role="data", disk_image_size=20)):
            for judged in (
                unread(name, problems=(problem(code),)),
                image(format=name, problems=(problem(code, offset=None),), format_details={}),
            ):
                assert check(judged, builders.profile(), declared).findings


def test_a_message_is_the_fact_without_its_place_and_the_subject_the_place() -> None:
    report = check(image(problems=(problem("qcow2-corrupt"),)), builders.profile(), Declared())
    (finding,) = report.findings
    assert finding.message == "this was found, that was expected"
    assert finding.subject == "some structure at byte 0x200"


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("disk.raw", "./disk.raw"),
        ("/a/disk.raw", "/a/disk.raw"),
        ("../disk.raw", "../disk.raw"),
        ("-x.raw", "./-x.raw"),
        ("nbd:x.raw", "./nbd:x.raw"),
        ("a b.raw", "'./a b.raw'"),
        ("a'b.raw", """'./a'"'"'b.raw'"""),
        ("$(reboot).raw", "'./$(reboot).raw'"),
        ("a\nb'c\\.raw", r"$'./a\x0ab\'c\\.raw'"),
        ("a\u202e.raw", r"$'./a\xe2\x80\xae.raw'"),
        ("镜像.raw", "'./镜像.raw'"),
    ],
)
def test_a_path_is_one_word_that_nothing_takes_for_an_option_or_a_protocol(path: str, word: str) -> None:
    assert quoted(path) == word
    assert word.isprintable()


def test_a_breach_names_its_limit_and_remedy_in_every_rule() -> None:
    judged = [image(problems=(problem(code),)) for code in CODES]
    judged += [unread(name) for name in ("vmdk", "gzip", "text", "empty", "lfs-pointer", "iso9660", "luks", "ewf")]
    for each in judged:
        for rule in all_rules().values():
            for outcome in rule.judge(each, builders.profile().limits, Declared()):
                if isinstance(outcome, Unsettled):
                    assert outcome.reason
                    continue
                assert outcome.message and outcome.subject and outcome.remedy
                assert outcome.remedy.count("run: ") <= 1
