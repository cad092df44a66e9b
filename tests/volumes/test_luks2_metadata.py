"""The JSON of LUKS2 headers, changed in every way: whatever cryptsetup refuses must be told, and nothing else."""

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from preflight.source import FileSource, Memory
from preflight.volumes.luks import VOLUME
from tests.tools import run, sparse
from tests.volumes.captures import member, patched

MiB = 1 << 20
SIZE = 32 * MiB
HDR_SIZE = 16 << 10
FAST = ("--batch-mode", "--type", "luks2", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")
Root = dict[str, Any]


class Container:
    """A real container whose JSON can be exchanged, in both copies, under a right checksum."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._data = path.read_bytes()[: 2 * HDR_SIZE]
        self.text = self._data[4096:HDR_SIZE].rstrip(b"\0")

    @property
    def root(self) -> Root:
        return json.loads(self.text)  # type: ignore[no-any-return]

    def write(self, text: bytes) -> None:
        copies = b""
        for begin in (0, HDR_SIZE):
            data = self._data[begin : begin + 4096] + text.ljust(HDR_SIZE - 4096, b"\0")
            empty = patched(data, 448, bytes(64))
            copies += patched(empty, 448, hashlib.sha256(empty).digest())
        with self.path.open("r+b") as file:
            file.write(copies)

    def accepted(self) -> bool:
        """What cryptsetup says of it."""
        command = ["cryptsetup", "luksDump", "--disable-locks", str(self.path)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def problems(self) -> list[str]:
        with FileSource(str(self.path)) as source:
            return [problem.message for problem in VOLUME.read([member("crypto_LUKS", source, None)])[1]]


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Container:
    folder = tmp_path_factory.mktemp("luks2")
    (folder / "key").write_bytes(b"k" * 32)
    path = sparse(folder / "image", SIZE)
    run("cryptsetup", "luksFormat", *FAST, "--luks2-keyslots-size", "1m", path, folder / "key")
    run("cryptsetup", "luksAddKey", *FAST[3:], "--key-file", folder / "key", path, folder / "key")
    return Container(path)


ABSENT = object()
WRONG: tuple[object, ...] = (
    ABSENT,
    None,
    "",
    "x",
    0,
    -1,
    1.5,
    True,
    [],
    {},
    ["7"],
    [0],
    "-1",
    str(1 << 64),
    "512",
    "9999999999999",
)
FIELDS = (
    *(("segments", "0", key) for key in ("type", "offset", "size", "iv_tweak", "encryption", "sector_size", "flags")),
    *(("segments", "0", "integrity", key) for key in ("type", "journal_encryption", "journal_integrity")),
    *(("keyslots", "0", key) for key in ("type", "key_size", "area", "kdf", "af")),
    *(("keyslots", "0", "area", key) for key in ("type", "offset", "size", "encryption", "key_size")),
    *(("keyslots", "0", "kdf", key) for key in ("hash", "iterations", "salt")),
    *(("keyslots", "0", "af", key) for key in ("type", "stripes", "hash")),
    *(("digests", "0", key) for key in ("type", "keyslots", "segments")),
    *(("tokens", "0", key) for key in ("type", "keyslots")),
    *(("config", key) for key in ("json_size", "keyslots_size", "flags", "requirements")),
    *((key,) for key in ("keyslots", "tokens", "segments", "digests", "config")),
)
REENCRYPT_SLOT = {"type": "reencrypt", "mode": "reencrypt", "direction": "forward", "key_size": 1}
INTEGRITY = {"type": "hmac(sha256)", "journal_encryption": "none", "journal_integrity": "none"}


def _changes() -> Iterator[tuple[tuple[str, ...], object]]:
    for path in FIELDS:
        for value in WRONG:
            yield path, value


def _changed(root: Root, path: tuple[str, ...], value: object) -> Root:
    root["tokens"]["0"] = {"type": "x", "keyslots": ["1"]}
    if "integrity" in path:
        root["segments"]["0"]["integrity"] = dict(INTEGRITY)
    parent = root
    for key in path[:-1]:
        parent = parent[key]
    if value is ABSENT:
        parent.pop(path[-1], None)
    else:
        parent[path[-1]] = value
    return root


def _stricter(path: tuple[str, ...], value: object) -> bool:
    """Whether this defect is one that cryptsetup loads, and only then cannot use.

    It looks for a segment past the device only when it opens it, and takes names of no length (from version 2.7 on it
    refuses them).
    """
    if path in {("segments", "0", "offset"), ("segments", "0", "size")}:
        return value == "9999999999999" or value == str(1 << 63)
    return value == ""


@pytest.mark.parametrize("field", FIELDS, ids=".".join)
def test_a_changed_field_is_told_where_cryptsetup_refuses_it(field: tuple[str, ...], container: Container) -> None:
    refused = 0
    for path, value in _changes():
        if path != field:
            continue
        container.write(json.dumps(_changed(container.root, path, value)).encode())
        told, accepted = container.problems(), container.accepted()
        refused += not accepted
        if accepted and told and _stricter(path, value):
            continue
        assert bool(told) is not accepted, (path, value, told)
    assert refused


def _renamed(section: str, old: str, new: str) -> Callable[[Root], object]:
    return lambda root: root[section].update({new: root[section].pop(old)})


def _split(root: Root, gap: int, **more: Any) -> Root:
    """Two segments: 1 MiB, and what follows it behind `gap` bytes."""
    one = root["segments"]["0"]
    root["segments"]["1"] = {**one, "offset": str(_begin(root) + MiB + gap), **more}
    one["size"] = str(MiB)
    root["digests"]["0"]["segments"] = ["0", "1"]
    return root


def _begin(root: Root) -> int:
    return int(root["segments"]["0"]["offset"])


@pytest.mark.parametrize(
    ("change", "accepted"),
    [
        (lambda root: None, True),
        (lambda root: _split(root, 0), True),
        (lambda root: _split(root, MiB), True),
        (lambda root: _split(root, -512), False),
        (lambda root: _split(root, 0, flags=["backup-previous"]), True),
        (lambda root: _split(root, 0)["segments"]["0"].update(flags=["backup-x"]), False),
        (lambda root: _split(root, 0)["segments"]["0"].update(size="dynamic"), False),
        (lambda root: _renamed("segments", "1", "2")(_split(root, 0)), False),
        (lambda root: _split(root, 0)["digests"]["0"].update(segments=["0"]), False),
        (_renamed("segments", "0", "1"), False),
        (_renamed("segments", "0", "x"), False),
        (_renamed("keyslots", "1", "31"), False),  # its digest still names 1
        (_renamed("keyslots", "1", "x"), False),
        (lambda root: root["digests"]["0"].update(keyslots=["0"]), False),
        (lambda root: root["digests"]["0"].update(keyslots=["0", "1", "2"]), False),
        (lambda root: root["keyslots"]["0"]["area"].update(offset=root["keyslots"]["1"]["area"]["offset"]), False),
        (lambda root: root["keyslots"]["1"].update(type="unknown", kdf=0, af=0), True),
        (lambda root: root["keyslots"]["0"]["kdf"].update(type="argon2"), True),  # of headers from before the release
        (lambda root: root["keyslots"]["0"]["kdf"].update(type="argon2id"), False),
        (lambda root: root["digests"].update({"1": {**root["digests"]["0"], "keyslots": ["1"]}}), False),
        (lambda root: root["keyslots"]["1"].update(REENCRYPT_SLOT), False),
        (lambda root: root["keyslots"]["0"]["area"].update(offset="28672"), False),
        (lambda root: root["tokens"].update({"99": {"type": "x", "keyslots": [], "free": [1, {}]}}), True),
        (lambda root: root["config"].update(requirements={"mandatory": ["online-reencrypt-v2"]}), False),
        (lambda root: root["config"].update(requirements={"mandatory": ["offline-reencrypt"]}), True),
        (lambda root: root["config"].update(flags=["allow-discards", "unknown"]), True),
        (lambda root: root.update(more={"nested": [[]]}), True),
    ],
)
def test_objects_must_fit_together(change: Callable[[Root], object], accepted: bool, container: Container) -> None:
    root = container.root
    change(root)
    container.write(json.dumps(root).encode())
    assert container.accepted() is accepted
    told = container.problems()
    assert (told == []) is accepted, told


def test_the_text_of_the_area_must_be_one_object_and_zeros(container: Container) -> None:
    text = container.text
    room = HDR_SIZE - 4096
    cases = {
        text: True,
        b" " + text: False,
        text + b"\n": True,
        text + b"\0x": False,
        text.ljust(room - 1, b"\0") + b"x": False,
        text[:-1] + b',"x":"' + b"a" * (room - len(text) - 8) + b'"}': True,
        text[:-1] + b',"x":"' + b"a" * (room - len(text) - 7) + b'"}': False,
        text[:-1]: False,
        b"[" + text + b"]": False,
    }
    for case, accepted in cases.items():
        container.write(case)
        assert container.accepted() is accepted, case[:20]
        told = container.problems()
        assert (told == []) is accepted, (case[:20], told)


REENCRYPTION = ("cryptsetup", "reencrypt", "--batch-mode", "--disable-locks", "--init-only", "--pbkdf", "pbkdf2")


@pytest.mark.parametrize("resilience", ["checksum", "journal", "none"])
def test_a_re_encryption_that_has_begun_is_legal(resilience: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"k" * 32)
    path = sparse(tmp_path / "image", SIZE)
    run("cryptsetup", "luksFormat", *FAST, path, tmp_path / "key")
    options = ("--pbkdf-force-iterations", "1000", "--resilience", resilience, "--key-file", tmp_path / "key")
    run(*REENCRYPTION, *options, path)
    assert b"online-reencrypt" in path.read_bytes()[:HDR_SIZE]
    opened, problems = VOLUME.read([member("crypto_LUKS", Memory(path.read_bytes()), None)])
    assert problems == ()
    assert opened[0].volume.size == SIZE - _begin(Container(path).root)
