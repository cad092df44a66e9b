"""What the kernel saw: no file but the image is opened, no socket made, no program run, whatever an image names."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import disks, sound
from tests.cli.running import environment
from tests.tools import require, run, sparse

CALLS = "open,openat,openat2,creat,open_by_handle_at,execve,execveat,socket,connect,unlink,unlinkat,rename,renameat2"
OPENED = re.compile(r'\bopen(?:at2?)?\((?:AT_FDCWD, )?"((?:[^"\\]|\\.)*)"(.*)')
PYTHONS_OWN = (
    *{sys.prefix, sys.base_prefix, sys.exec_prefix},
    *(
        "/usr/lib",
        "/lib",
        "/lib64",
        "/usr/local/lib",
        "/etc/ld.so.cache",
        "/etc/ld.so.preload",
        "/usr/share/locale",
        "/usr/share/zoneinfo",
    ),
    *("/dev/null", "/proc/self/statm", "/proc/self/fd", "/etc/localtime", "/proc/meminfo", "/sys/devices/system/cpu"),
    str(Path(__file__).parents[2]),
)


def hostile_guest(folder: Path) -> Path:
    tree = sound.tree(folder)
    (tree / "etc/hostname").symlink_to("../../../../../../etc/hostname")
    for name in ("etc/passwd", "etc/fstab", "etc/ssh/sshd_config", "boot/grub/grub.cfg"):
        (tree / name).unlink()
        (tree / name).symlink_to("../../../../../../../../etc/shadow")
    (tree / "etc/netplan").mkdir()
    (tree / "etc/netplan/a.yaml").write_text("a: !!python/object/apply:os.system ['touch /tmp/preflight-owned']\n")
    (tree / "etc/network/interfaces").write_text("source /etc/passwd\nsource ../../../../etc/shadow\n")
    return sound.disk(folder, tree)


def image(folder: Path, kind: str) -> Path:
    path = folder / kind
    if kind == "guest":
        return hostile_guest(folder)
    if kind == "backing":
        run("qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", "/etc/passwd", path, "1G")
    elif kind == "backing-json":
        name = 'json:{"driver":"nbd","server.type":"inet","server.host":"127.0.0.1","server.port":"9"}'
        run("qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", name, path, "1G")
    elif kind == "data-file":
        data = folder / "data"
        run("qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={data},data_file_raw=on", path, "64M")
        data.unlink()
        shutil.copy("/etc/passwd", data)
    elif kind == "vmdk":
        path.write_text(
            '# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType="monolithicFlat"\n'
            'RW 2048 FLAT "/etc/passwd" 0\n'
        )
    else:
        (folder / "key").write_text("secret")
        command = "cryptsetup luksFormat --batch-mode --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file"
        run(*command.split(), folder / "key", sparse(folder / "luks", 32 << 20))
        disks.partitioned(path, 64 << 20, "label: gpt\nsize=32M\n", {1: folder / "luks"})
    return path


@pytest.mark.parametrize("command", ["inspect", "check"])
@pytest.mark.parametrize("kind", ["guest", "backing", "backing-json", "data-file", "vmdk", "encrypted"])
def test_no_file_but_the_image_is_opened(tmp_path: Path, kind: str, command: str) -> None:
    require("strace")
    path = image(tmp_path, kind)
    log = tmp_path / "trace"
    traced = ["strace", "-f", "-qq", "-o", str(log), "-e", f"trace={CALLS}", "-s", "4096", sys.executable]
    elsewhere = tmp_path / "elsewhere"  # with no configuration file of ours
    elsewhere.mkdir()
    options = ["-B", "-m", "preflight", command, "--format", "json", str(path)]
    done = subprocess.run(
        [*traced, *options], capture_output=True, env=environment(), cwd=elsewhere, timeout=120, check=False
    )
    if b"PTRACE" in done.stderr or b"ptrace" in done.stderr:
        pytest.skip("this host does not let processes be traced")
    assert done.returncode in (0, 1), done.stderr
    lines = log.read_text(errors="replace").splitlines()
    assert sum("execve(" in line for line in lines) == 1  # strace's own, of Python
    assert not [
        line for line in lines if re.search(r"\b(socket|connect|unlink\w*|rename\w*|creat|open_by_handle_at)\(", line)
    ]
    opened = [found for line in lines if (found := OPENED.search(line))]
    assert sum(found[1] == str(path) for found in opened) == 1
    strange = [
        found[0]
        for found in opened
        if found[1] != str(path) and not found[1].startswith(PYTHONS_OWN) and "ENOENT" not in found[2]
    ]
    # Python looks for modules in the folder that it was begun in, and for its own configuration.
    assert [line for line in strange if "pyvenv.cfg" not in line and "O_DIRECTORY" not in line] == []
    assert not [
        found[0] for found in opened if re.search(r"O_(WRONLY|RDWR|CREAT)", found[2]) and "/dev/null" not in found[1]
    ]
