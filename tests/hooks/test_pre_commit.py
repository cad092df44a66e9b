"""The hooks, run by pre-commit itself in repositories of Git, installed from a commit of this tree."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.running import ROOT
from tests.tools import REQUIRED, require

IMAGES = ROOT / "fixtures" / "images"
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
CONFIG = """
repos:
  - repo: {repository}
    rev: {revision}
    hooks:
      - id: preflight
        args: [{args}]
      - id: preflight-config
"""
# Every process of the environment that runs our command leaves a line.
WITNESS = """
import os, sys
if os.path.basename(sys.orig_argv[1] if len(sys.orig_argv) > 1 else "") == "preflight":
    with open(os.environ["WITNESS"], "a") as file:
        file.write("x\\n")
"""


def environment() -> dict[str, str]:
    """Ours, without what would let Git or Python see more than the repository at hand."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("GIT_", "PRE_COMMIT")) and key not in ("PYTHONPATH", "SKIP")
    }
    identity = {f"GIT_{who}_{what}": "x@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    # A submodule of the test is a folder of this host, which Git has not taken from itself since 2.38.1.
    local = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "protocol.file.allow", "GIT_CONFIG_VALUE_0": "always"}
    return {
        **kept,
        **identity,
        **local,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "LC_ALL": "C.UTF-8",
    }


class Repository:
    """A repository of Git that uses our hooks."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder = folder
        self.env = {**env, "WITNESS": str(folder.parent / "witness")}

    def run(self, *command: str) -> tuple[int, str]:
        done = subprocess.run(
            command, cwd=self.folder, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600
        )
        return done.returncode, done.stdout.decode()

    def good(self, *command: str) -> str:
        code, told = self.run(*command)
        assert code == 0, told
        return told

    def commit(self) -> tuple[int, str]:
        """Stage everything, and try to commit it."""
        self.good("git", "add", "--all")
        return self.run("git", "commit", "-m", "images")

    def pre_commit(self, *arguments: str) -> tuple[int, str]:
        return self.run(sys.executable, "-m", "pre_commit", *arguments)

    def commits(self) -> int:
        code, told = self.run("git", "rev-list", "--count", "HEAD")
        return int(told) if code == 0 else 0

    def image(self, name: str, source: str = "accepted.qcow2") -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(IMAGES / source, path)

    def processes(self) -> int:
        """How often our command was started since this was asked last."""
        witness = Path(self.env["WITNESS"])
        count = len(witness.read_text().splitlines()) if witness.exists() else 0
        witness.unlink(missing_ok=True)
        return count


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A repository with the package as it is now, and its commit: what a user names in `repo` and `rev`."""
    require("git")
    pytest.importorskip("pre_commit")
    folder = tmp_path_factory.mktemp("hooks") / "preflight"
    shutil.copytree(ROOT / "preflight", folder / "preflight", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml"):
        shutil.copy(ROOT / name, folder)
    repository = Repository(folder, environment())
    repository.good("git", "init", "--quiet")
    assert repository.commit()[0] == 0
    return str(folder), repository.good("git", "rev-parse", "HEAD").strip()


@pytest.fixture(scope="module")
def env(hooks: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which pre-commit has installed the hooks, once for all tests."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "witness").mkdir()
    (folder / "witness" / "sitecustomize.py").write_text(WITNESS)
    env = {**environment(), "PRE_COMMIT_HOME": str(folder / "cache")}
    (folder / "repository").mkdir()
    repository = Repository(folder / "repository", env)
    configure(repository, hooks)
    code, told = repository.pre_commit("install-hooks")
    if code and not REQUIRED and ("Connection" in told or "No matching distribution" in told):
        pytest.skip("the package index is out of reach")
    assert code == 0, told
    return {**env, "PYTHONPATH": str(folder / "witness")}


def configure(repository: Repository, hooks: tuple[str, str], args: str = "") -> None:
    if not (repository.folder / ".git").exists():
        repository.good("git", "init", "--quiet")
    text = CONFIG.format(repository=hooks[0], revision=hooks[1], args=args)
    (repository.folder / ".pre-commit-config.yaml").write_text(text)


Make = Callable[..., Repository]


@pytest.fixture
def make(hooks: tuple[str, str], env: dict[str, str], tmp_path: Path) -> Make:
    def with_args(args: str = "") -> Repository:
        (tmp_path / "repository").mkdir(exist_ok=True)
        repository = Repository(tmp_path / "repository", env)
        configure(repository, hooks, args)
        assert repository.pre_commit("install")[0] == 0
        return repository

    return with_args


def test_a_good_image_is_committed(make: Make) -> None:
    repository = make()
    repository.image("images/web.qcow2")
    code, told = repository.commit()
    assert (code, repository.commits()) == (0, 1), told
    assert "preflight....." in told
    assert "Passed" in told
    assert repository.processes() == 1  # no configuration is staged, so that its hook has nothing to do


def test_an_image_that_is_refused_stops_the_commit_with_its_findings(make: Make) -> None:
    repository = make()
    repository.image("images/web.qcow2")
    repository.image("images/old.qcow2", "refused.qcow2")
    code, told = repository.commit()
    assert (code, repository.commits()) == (1, 0)
    assert "images/old.qcow2: qcow2" in told
    assert "error backing-file" in told
    assert "remedy: " in told
    assert "web.qcow2" not in told
    (repository.folder / "images" / "old.qcow2").unlink()
    assert repository.commit()[0] == 0


def test_twenty_images_take_one_process(make: Make) -> None:
    repository = make()
    for number in range(20):
        repository.image(f"images/{number}.qcow2")
    assert repository.commit()[0] == 0
    assert repository.processes() == 1


def test_a_pointer_of_git_lfs_is_explained(make: Make) -> None:
    repository = make()
    (repository.folder / "big.qcow2").write_text(POINTER)
    repository.good("git", "add", "--all")
    code, told = repository.pre_commit("run", "--verbose", "preflight")
    assert code == 0
    assert "big.qcow2: not judged: it is the pointer that Git LFS keeps in place of the image" in told
    make("--lfs-pointers=fail")
    code, told = repository.commit()
    assert (code, repository.commits()) == (1, 0)
    assert "big.qcow2: lfs-pointer" in told


def test_an_archive_named_like_an_image_and_an_image_named_like_a_text_are_caught(make: Make) -> None:
    repository = make()
    (repository.folder / "notes.md").write_text("notes\n")
    shutil.make_archive(str(repository.folder / "packed"), "zip", repository.folder, "notes.md")
    (repository.folder / "packed.zip").rename(repository.folder / "disk.qcow2")
    repository.image("readme.txt", "refused.qcow2")
    code, told = repository.commit()
    assert (code, repository.commits()) == (1, 0)
    assert "disk.qcow2: zip" in told
    assert "readme.txt: qcow2" in told


def test_a_repository_without_images_passes(make: Make) -> None:
    repository = make()
    for number in range(50):
        (repository.folder / f"{number}.py").write_text(f"print({number})\n")
    (repository.folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(5000))
    assert repository.commit()[0] == 0
    assert repository.processes() == 1
    (repository.folder / "0.py").unlink()
    code, told = repository.commit()
    assert (code, repository.processes()) == (0, 0)
    assert "no files to check" in told


def test_the_other_hook_catches_a_misspelt_key_with_its_line(make: Make) -> None:
    repository = make()
    (repository.folder / "preflight.toml").write_text('# ours\nprofile = "aliyun"\n\nstric = true\n')
    code, told = repository.commit()
    assert (code, repository.commits()) == (1, 0)
    assert "preflight.toml:4: there is no key 'stric'; did you mean 'strict'?" in told
    (repository.folder / "preflight.toml").write_text('profile = "aliyun"\n')
    (repository.folder / "sub").mkdir()
    (repository.folder / "sub" / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert repository.commit()[0] == 0


def test_the_configuration_of_the_repository_counts(make: Make) -> None:
    repository = make("--strict")
    (repository.folder / "preflight.toml").write_text(
        '[[image]]\npath = "images/**"\nrole = "system"\n[image.ignore]\n'
        'backing-file = "the base is in the bucket"\nvirtual-size-too-large = "x"\nunreadable-partition-table = "x"\n'
    )
    repository.image("images/old.qcow2", "refused.qcow2")
    code, told = repository.commit()
    assert code == 1  # strict: what could not be judged
    assert "error backing-file" not in told
    assert "ignored backing-file: the base is in the bucket" in told
    make()
    assert repository.commit()[0] == 0


def test_links_submodules_and_odd_names(make: Make, tmp_path: Path) -> None:
    repository = make()
    outside = Repository(tmp_path / "outside", repository.env)
    outside.folder.mkdir()
    outside.good("git", "init", "--quiet")
    outside.image("bad.qcow2", "refused.qcow2")
    assert outside.commit()[0] == 0
    repository.good("git", "submodule", "--quiet", "add", str(outside.folder), "module.img")
    (repository.folder / "link.qcow2").symlink_to("module.img/bad.qcow2")
    repository.image("--no-config")
    repository.image("a b\N{ROCKET}'\".qcow2")
    code, told = repository.commit()
    assert (code, repository.commits()) == (0, 1), told
    repository.image("--help", "refused.qcow2")
    code, told = repository.commit()
    assert (code, "./--help: qcow2" in told) == (1, True)


def test_what_is_staged_is_judged_and_not_what_lies_beside_it(make: Make) -> None:
    repository = make()
    repository.image("disk.qcow2")
    repository.good("git", "add", "--all")
    repository.image("disk.qcow2", "refused.qcow2")
    code, told = repository.run("git", "commit", "-m", "images")
    assert (code, repository.commits()) == (0, 1), told
