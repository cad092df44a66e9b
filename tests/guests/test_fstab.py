from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.facts import Unknown
from preflight.guest_facts import Fstab, FstabEntry
from preflight.guests.fstab import is_block_spec, read_crypttab, read_fstab
from tests import tools
from tests.contents.phony import Special, tree

ROOT = "5f2a1c3e-0b7d-4c55-9a6e-2f1d3c4b5a69"
KNOWN = {f"UUID={ROOT}": "partition 2", "LABEL=my disk": "partition 3", "/dev/sda5": "partition 5"}


def read(text: str | bytes) -> tuple[FstabEntry, ...]:
    found = read_fstab(tree({"/etc/fstab": text}), KNOWN.get)
    assert isinstance(found, Fstab)
    assert found.read_from == ("/etc/fstab",)
    return found.entries


DEBIAN = f"""# /etc/fstab: static file system information.
#
# <file system> <mount point>   <type>  <options>       <dump>  <pass>
# / was on /dev/sda1 during installation
UUID={ROOT} /               ext4    errors=remount-ro 0       1

UUID="dead-beef"\t/boot/efi/\tvfat\tumask=0077\t0\t1
/swapfile none swap sw 0 0
/dev/sr0        /media/cdrom0   udf,iso9660 user,noauto     0       0
"""


def test_the_lines_of_a_debian_guest() -> None:
    assert read(DEBIAN) == (
        FstabEntry(f"UUID={ROOT}", "/", "ext4", ("errors=remount-ro",), 5, "partition 2", True, True),
        FstabEntry("UUID=dead-beef", "/boot/efi", "vfat", ("umask=0077",), 7, None, True, True),
        FstabEntry("/swapfile", "none", "swap", ("sw",), 8, None, False, False),
        FstabEntry("/dev/sr0", "/media/cdrom0", "udf,iso9660", ("user", "noauto"), 9, None, True, False),
    )


def test_findmnt_reads_the_same(tmp_path: Path) -> None:
    text = (
        f"{DEBIAN}LABEL=my\\040disk /mnt/my\\040dir\\011x xfs defaults,nofail\ntmpfs /tmp tmpfs\n# end\nbroken line\n"
    )
    table = tmp_path / "fstab"
    table.write_text(text)
    columns = "SOURCE,TARGET,FSTYPE,OPTIONS"
    answer = tools.run("findmnt", "--tab-file", table, "--fstab", "--raw", "--noheadings", "--output", columns)
    # It shows the quotes of a tag, and the slash at the end of a mount point.
    expected = [line.replace('"', "").replace("\\x20", " ").replace("\\x09", "\t") for line in answer.splitlines()]
    found = [
        " ".join([entry.spec, entry.mount_point, entry.type, ",".join(entry.options)]).removesuffix(" defaults")
        for entry in read(text)
    ]
    assert [line.rstrip().replace("/boot/efi/", "/boot/efi") for line in expected] == found


@pytest.mark.parametrize(
    ("field", "meant"),
    [
        ("LABEL=my\\040disk", "LABEL=my disk"),
        ("LABEL='x'", "LABEL=x"),
        ("/mnt/\\303\\244", "/mnt/ä"),
        ("a\\134040", "a\\040"),
        ("a\\04", "a\\04"),
        ("a\\999", "a\\999"),
        ("a\\777", "a\\777"),
        ("\\", "\\"),
        ("a\\377", "a\\xff"),
    ],
)
def test_octal_escapes_are_bytes(field: str, meant: str) -> None:
    assert read(f"{field} /mnt ext4 defaults 0 0")[0].spec == meant


def test_missing_options_are_the_defaults() -> None:
    assert read("/dev/sda5 /mnt ext4")[0].options == ("defaults",)
    assert read("/dev/sda5 /mnt ext4\r\n")[0].type == "ext4"


def test_a_comma_in_quotes_parts_no_options() -> None:
    entry = read('/dev/sda5 /mnt xfs ro,context="system_u:object_r:tmp_t:s0:c1,c2",,nofail 0 0')[0]
    assert entry.options == ("ro", 'context="system_u:object_r:tmp_t:s0:c1,c2"', "nofail")


@pytest.mark.parametrize(
    "line",
    [
        "proc /proc proc defaults 0 0",
        "tmpfs /tmp tmpfs size=1g 0 0",
        "none /sys/fs/cgroup cgroup defaults 0 0",
        "overlay /o overlay lowerdir=/a,upperdir=/b,workdir=/c 0 0",
        "server:/export /mnt nfs defaults 0 0",
        "[fd00::1]:/export /mnt nfs4 defaults 0 0",
        "//server/share /mnt cifs credentials=/root/c 0 0",
        "sshfs#user@host: /mnt fuse defaults 0 0",
        "host:vol /mnt glusterfs defaults,_netdev 0 0",
        "/srv /mnt none bind 0 0",
        "/dev/disk/by-label/x /mnt ext4 bind 0 0",
        "/srv/image.iso /mnt iso9660 loop,ro 0 0",
        "/swapfile swap swap defaults 0 0",
        "/dev/zram0 none swap defaults,pri=100 0 0",
        "/dev/root / ext4 defaults 0 1",
        "rpool/ROOT / zfs defaults 0 0",
        "fd /dev/fd fdescfs rw 0 0",
        "cos-nas.example:/ /mnt virtiofs defaults 0 0",
    ],
)
def test_what_lies_on_no_disk_is_no_block_device(line: str) -> None:
    entry = read(line)[0]
    assert not is_block_spec(entry)
    assert (entry.device, entry.required, entry.on) == (False, False, None)


@pytest.mark.parametrize(
    ("line", "required"),
    [
        ("UUID=gone /data ext4 defaults 0 2", True),
        ("LABEL=gone /data ext4 defaults 0 2", True),
        ("PARTLABEL=gone /data auto defaults 0 2", True),
        ("/dev/vdb1 /data xfs defaults 0 2", True),
        ("/dev/sdb1 none swap sw 0 0", True),
        ("/dev/vg/lv /data ext4 defaults 0 2", True),
        ("/dev/vdb /mnt auto defaults,nofail,x-systemd.requires=cloud-init.service 0 2", False),
        ("UUID=gone /data ext4 noauto 0 2", False),
        ("UUID=gone /data ext4 nobootwait 0 2", False),
        ("UUID=gone /data ext4 _netdev 0 2", False),
        ("/dev/fd0 /media/floppy auto rw,user,noauto 0 0", False),
        ("/dev/vdb1 /data fuse.ntfs-3g defaults 0 0", True),
    ],
)
def test_a_device_is_required_unless_an_option_says_otherwise(line: str, required: bool) -> None:
    entry = read(line)[0]
    assert (entry.device, entry.required, entry.on) == (True, required, None)


def test_an_absent_file_has_no_entries() -> None:
    assert read_fstab(tree({"/etc/": ""}), KNOWN.get) == Fstab((), ())


def test_what_cannot_be_read_is_unknown() -> None:
    for content in (bytes(200_000), Special(), "/dev/sda1 / ext4\n" * 1025):
        assert isinstance(read_fstab(tree({"/etc/fstab": content}), KNOWN.get), Unknown)
    assert len(read("/dev/sda1 / ext4\n" * 1024)) == 1024


def test_crypttab_names_devices() -> None:
    text = f"# name device key\nsda3_crypt UUID={ROOT} none luks,discard\ncryptswap1 /dev/sda2 /dev/urandom swap\nbad\n"
    assert read_crypttab(tree({"/etc/crypttab": text})) == {"sda3_crypt": f"UUID={ROOT}", "cryptswap1": "/dev/sda2"}
    assert read_crypttab(tree({})) == {}


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [b"UUID=", b"/dev/sda1", b" ", b"\t", b"\n", b"\\040", b'"', b"#", b",", b"\xff", b"ext4", b"\\"]
        ),
        max_size=40,
    ),
    st.binary(max_size=40),
)
def test_any_bytes_give_a_value(pieces: list[bytes], tail: bytes) -> None:
    found = read_fstab(tree({"/etc/fstab": b"".join(pieces) + tail}), KNOWN.get)
    assert isinstance(found, Fstab)
    read_crypttab(tree({"/etc/crypttab": b"".join(pieces) + tail}))
