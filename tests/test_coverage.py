"""Everything that the cloud's documents ask of an image has a rule, or a reason why none can judge it."""

import json
import re
from pathlib import Path

import pytest

from preflight import profiles
from preflight.verdicts import Requirement
from tests.cli.running import Result

PAGE = Path(__file__).parents[2] / "shared" / "reference" / "importimage.md"
LISTED = profiles.requirements(profiles.load("aliyun"))


@pytest.fixture
def page() -> str:
    """The facts on the cloud, which lie beside this repository where it is developed."""
    if not PAGE.exists():
        pytest.skip(f"not here: {PAGE}")
    return PAGE.read_text(encoding="utf-8")


def part(page: str, heading: str) -> str:
    start = page.index(heading)
    end = re.compile(r"^#", re.MULTILINE).search(page, start + len(heading))
    return page[start : end.start() if end else None]


def listed(section: str) -> dict[str, Requirement]:
    return {entry.item: entry for entry in LISTED if entry.section == section}


def items(table: str) -> set[str]:
    """The cloud's own names in the first column of a table, where several may share a row and the prefix."""
    found = set()
    for cell in re.findall(r"^\| *(GUESTOS\.[^|]*)\|", table, re.MULTILINE):
        for name in re.split(r"[ ,/]+", re.sub(r"\(.*?\)", "", cell)):
            if name:
                found.add(f"GUESTOS.{name.removeprefix('GUESTOS.')}")
    return found


def test_every_item_of_the_image_check_is_listed(page: str) -> None:
    linux, windows = part(page, "### 3.5 Image check").split("| Windows item |")
    assert len(items(linux)) == 18
    assert len(items(windows)) == 16
    assert set(listed("image check, Linux")) == items(linux)
    assert set(listed("image check, Windows")) == items(windows)


def test_every_requirement_on_linux_is_listed(page: str) -> None:
    rows = re.findall(r"^\| ([^|]+) \|", part(page, "### 3.2 Linux"), re.MULTILINE)
    topics = {row.strip() for row in rows} - {"topic"}
    assert len(topics) > 20
    assert set(listed("requirements, Linux")) == topics


def test_every_requirement_on_windows_is_listed(page: str) -> None:
    text = part(page, "### 3.3 Windows")
    words = ("not** XP/7/8/8.1/10", "NTFS", "MBR and GPT", "RDP 3389", "Administrator password", "qemu-ga", "virtio",
             "Vminit", "System disk by virtual size")  # fmt: skip
    assert all(word in text for word in words)
    assert len(listed("requirements, Windows")) == len(words)


def test_all_that_goes_wrong_most_often_is_listed(page: str) -> None:
    text = page[page.index("### Top 15") :].split("\n## ")[0]
    numbers = map(int, re.findall(r"(?:^|\. )(\d{1,2})(?=\. )", text, re.MULTILINE))
    assert sorted(set(numbers)) == list(range(1, 16))
    names = [item.split(" ")[0] for item in listed("in practice")]
    assert names == [*map(str, range(1, 16)), "Windows"]


def test_an_item_has_rules_that_exist_or_a_reason() -> None:
    known = {rule for name in profiles.names() for rule in profiles.load(name).rules}
    for entry in LISTED:
        assert entry.rules or entry.reason
        assert set(entry.rules) <= known


def test_a_rule_that_names_an_item_stands_below_it() -> None:
    for name in profiles.names():
        for rule, setting in profiles.load(name).rules.items():
            if setting.detection_item:
                assert any(rule in entry.rules for entry in LISTED), rule
                assert setting.detection_item in {entry.item for entry in LISTED}


def test_every_rule_on_the_guest_belongs_to_a_requirement() -> None:
    extra = {"image-check-not-offered", "nvme-support-wrongly-declared"}
    covered = {rule for entry in LISTED for rule in entry.rules} | extra
    for name in profiles.names():
        for rule, setting in profiles.load(name).rules.items():
            if setting.source in ("notes", "spec", "check", "tool", "virtio", "cloud-init", "faq", "custom"):
                assert rule in covered, rule


@pytest.mark.parametrize("name", profiles.names())
def test_the_command_tells_them_all(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = call("rules", "--coverage", "--profile", name, capsys=capsys, monkeypatch=monkeypatch)
    assert (told.code, told.err) == (0, "")
    lines = [line for line in told.out.splitlines() if line.startswith("  ")]
    assert [line.split(": ")[0].strip() for line in lines] == [entry.item for entry in LISTED]
    assert all(line.split(": ", 1)[1] for line in lines)
    told = call("rules", "--coverage", "--format", "json", "--profile", name, capsys=capsys, monkeypatch=monkeypatch)
    entries = json.loads(told.out)["coverage"]
    assert [list(entry) for entry in entries] == [["item", "section", "rules", "reason"]] * len(LISTED)
    judged = set(profiles.load(name).rules)
    assert all(set(entry["rules"]) <= judged for entry in entries)
    assert all(entry["rules"] or entry["reason"] for entry in entries)


def call(*arguments: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Result:
    from preflight.cli import main

    monkeypatch.setattr("sys.argv", ["preflight", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return Result(ended.value.code, told.out, told.err)
