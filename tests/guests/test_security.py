import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.facts import FileSystem, Unknown
from preflight.guest_facts import Fstab, FstabEntry, Security
from preflight.guests.security import read_security
from tests.contents.phony import Content, Link, Special, tree

NO_FSTAB = Fstab((), ())
SHA512 = "$6$Nq0zU4sT$" + "a" * 86
YESCRYPT = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$" + "X" * 43

CENTOS_7: dict[str, Content] = {
    "/etc/selinux/config": "# This file controls the state of SELinux on the system.\n"
    "# SELINUX= can take one of these three values:\n#     enforcing\nSELINUX=enforcing\nSELINUXTYPE=targeted\n",
    "/etc/passwd": "root:x:0:0:root:/root:/bin/bash\nbin:x:1:1:bin:/bin:/sbin/nologin\n",
    "/etc/shadow": f"root:{SHA512}:18000:0:99999:7:::\nbin:*:18000:0:99999:7:::\n",
    "/etc/ssh/sshd_config": "HostKey /etc/ssh/ssh_host_rsa_key\n#PermitRootLogin yes\nPasswordAuthentication no\n",
    "/usr/bin/passwd": b"",
    "/etc/adjtime": "0.0 0 0.0\n0\nUTC\n",
    "/lib": Link("usr/lib"),
    "/lib64": Link("usr/lib64"),
    "/usr/lib/": "",
    "/usr/lib64/": "",
}


def read(files: dict[str, Content], fstab: Fstab | Unknown = NO_FSTAB, *filesystems: FileSystem) -> Security:
    found = read_security(tree(files), fstab, filesystems)
    msgspec.json.encode(found)
    return found


def test_a_centos_guest() -> None:
    found = read(CENTOS_7)
    assert found == Security(
        selinux="enforcing",
        root_account="password",
        root_shell="/bin/bash",
        root_authorized_keys=False,
        permit_root_login=None,
        password_authentication=False,
        passwd_command=True,
        shadow_immutable=found.shadow_immutable,
        rtc="utc",
        absolute_lib_links=(),
        swap=(),
        hibernated=False,
        read_from=found.read_from,
    )
    assert isinstance(found.shadow_immutable, Unknown)
    assert set(found.read_from) == {
        *("/etc/passwd", "/etc/shadow", "/etc/ssh/sshd_config", "/etc/selinux/config", "/etc/adjtime"),
    }


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("SELINUX=disabled\n", "disabled"),
        ("SELINUX=Permissive  \n", "permissive"),
        ("SELINUX=enforcing # by policy\n", "enforcing"),
        ("#SELINUX=disabled\nSELINUX=enforcing\nSELINUX=disabled\n", "enforcing"),
        ("SELINUX=off\nSELINUX=disabled\n", "disabled"),
        ("SELINUXTYPE=targeted\n", "permissive"),
    ],
)
def test_the_mode_of_selinux(text: str, mode: str) -> None:
    assert read({"/etc/selinux/config": text}).selinux == mode


def test_selinux_that_is_not_installed_is_none() -> None:
    assert read({"/etc/selinux/semanage.conf": "module-store = direct\n"}).selinux is None


@pytest.mark.parametrize(
    ("password", "account"),
    [
        (SHA512, "password"),
        ("$6$rounds=65536$saltsalt$" + "a" * 86, "password"),
        (YESCRYPT, "password"),
        ("$1$abcdefgh$" + "a" * 22, "password"),
        ("$2b$12$" + "a" * 53, "password"),
        ("$5$salt$" + "a" * 43, "password"),
        ("abJnggxhB/yWI", "password"),
        ("_J9..CCCCXBrJUJV154M", "password"),
        ("", "no-password"),
        ("*", "locked"),
        ("!", "locked"),
        ("!!", "locked"),
        (f"!{SHA512}", "locked"),
        (f"!!{SHA512}", "locked"),
        ("*LK*", "locked"),
        ("x", "locked"),
        ("NP", "locked"),
        ("!*", "locked"),
        ("plaintext", "locked"),
    ],
)
def test_the_field_in_shadow_says_how_root_logs_in(password: str, account: str) -> None:
    assert (
        read({**CENTOS_7, "/etc/shadow": f"daemon:*:1::::::\nroot:{password}:18000:0:99999:7:::\n"}).root_account
        == account
    )


@pytest.mark.parametrize(
    ("files", "account", "shell"),
    [
        ({}, "absent", None),
        ({"/etc/passwd": "toor:x:0:0::/root:/bin/sh\n"}, "absent", None),
        ({"/etc/passwd": "root::0:0::/root:\n"}, "no-password", "/bin/sh"),
        ({"/etc/passwd": f"root:{SHA512}:0:0::/root:/sbin/nologin\n"}, "password", "/sbin/nologin"),
        ({"/etc/passwd": "root:x:0:0::/root:/bin/sh\n"}, "locked", "/bin/sh"),
        ({"/etc/passwd": "root:*:0:0::/root:/bin/sh\n", "/etc/shadow": f"root:{SHA512}::\n"}, "locked", "/bin/sh"),
        ({"/etc/passwd": "root:*:0:0::/root:/bin/csh\n",
          "/etc/master.passwd": f"root:{SHA512}:0:0::0:0:C:/root:/bin/csh\n"},
         "password", "/bin/csh"),
        ({"/usr/share/baselayout/passwd": "root:x:0:0:root:/root:/bin/bash\n",
          "/usr/share/baselayout/shadow": "root:*:15887:0:::::\n"}, "locked", "/bin/bash"),
        ({"/etc/passwd": "root:x:0\n"}, "absent", None),
    ],
)  # fmt: skip
def test_the_account_in_passwd(files: dict[str, Content], account: str, shell: str | None) -> None:
    found = read(files)
    assert (found.root_account, found.root_shell) == (account, shell)


@pytest.mark.parametrize(
    ("files", "keys"),
    [
        ({"/root/.ssh/authorized_keys": "ssh-ed25519 AAAA root@x\n"}, True),
        ({"/root/.ssh/authorized_keys": "# none\n\n"}, False),
        ({"/root": Link("var/roothome"), "/var/roothome/.ssh/authorized_keys.d/ignition": "ssh-rsa AAAA\n"}, True),
        ({"/etc/passwd": "root:x:0:0::/var/root:/bin/sh\n", "/var/root/.ssh/authorized_keys": "ssh-rsa AAAA\n"}, True),
        ({"/etc/passwd": "root:x:0:0::relative:/bin/sh\n", "/root/.ssh/authorized_keys2": "ssh-rsa AAAA\n"}, True),
        ({"/home/core/.ssh/authorized_keys": "ssh-rsa AAAA\n"}, False),
    ],
)
def test_keys_of_root(files: dict[str, Content], keys: bool) -> None:
    assert read(files).root_authorized_keys is keys


@pytest.mark.parametrize(
    ("files", "permit", "password"),
    [
        ({}, None, None),
        ({"sshd_config": "PermitRootLogin no\nPermitRootLogin yes\n"}, "no", None),
        ({"sshd_config": 'permitrootlogin=Without-Password\nPASSWORDAUTHENTICATION "no"\n'}, "without-password", False),
        ({"sshd_config": "Match User x\n  PermitRootLogin yes\nMatch all\nPasswordAuthentication yes\n"}, None, True),
        ({"sshd_config": "Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin yes\n",
          "sshd_config.d/50-redhat.conf": "PermitRootLogin no\n",
          "sshd_config.d/01-first.conf": "PermitRootLogin prohibit-password\nMatch User y\nPasswordAuthentication no\n",
          "sshd_config.d/readme": "PasswordAuthentication yes\n"}, "prohibit-password", None),
        ({"sshd_config": "PermitRootLogin yes # why\nInclude sshd_config.d/*.conf more.conf\n",
          "sshd_config.d/a.conf": "PermitRootLogin no\n", "more.conf": "PasswordAuthentication no\n"}, "yes", False),
        ({"sshd_config": "Match User x\nInclude more.conf\n", "more.conf": "PermitRootLogin no\n"}, None, None),
        ({"sshd_config": "PasswordAuthentication maybe\n"}, None, None),
    ],
)  # fmt: skip
def test_the_first_value_of_sshd_counts(files: dict[str, Content], permit: str | None, password: bool | None) -> None:
    found = read({f"/etc/ssh/{name}": content for name, content in files.items()})
    assert (found.permit_root_login, found.password_authentication) == (permit, password)


def test_the_packaged_configuration_of_opensuse_is_read() -> None:
    files: dict[str, Content] = {
        "/usr/etc/ssh/sshd_config": "Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin no\n",
        "/etc/ssh/sshd_config.d/root.conf": "PermitRootLogin yes\n",
    }
    assert read(files).permit_root_login == "yes"


@pytest.mark.parametrize(
    "text",
    [
        "Include /etc/ssh/sshd_config\n",
        "Include *\n" * 100,
        "Include " + "nothing " * 100,
    ],
)
def test_includes_end_somewhere(text: str) -> None:
    found = read({**CENTOS_7, "/etc/ssh/sshd_config": text})
    assert isinstance(found.permit_root_login, Unknown)
    assert isinstance(found.password_authentication, Unknown)
    assert found.root_account == "password"


@pytest.mark.parametrize(
    ("files", "rtc"),
    [
        ({}, "utc"),
        ({"/etc/adjtime": "0.0 0 0.0\n0\nLOCAL\n"}, "local"),
        ({"/etc/adjtime": "0.0 0 0.0\n0\nUTC\n", "/etc/sysconfig/clock": "UTC=false\n"}, "utc"),
        ({"/etc/adjtime": "0.0 0 0.0\n", "/etc/sysconfig/clock": 'ZONE="Asia/Shanghai"\nUTC=false\n'}, "local"),
        ({"/etc/sysconfig/clock": "UTC=true\nARC=false\n"}, "utc"),
        ({"/etc/sysconfig/clock": 'HWCLOCK="--localtime"\n'}, "local"),
        ({"/etc/sysconfig/clock": 'HWCLOCK="-u"\n'}, "utc"),
        ({"/etc/conf.d/hwclock": '# x\nclock="local"\n'}, "local"),
        ({"/etc/conf.d/hwclock": 'clock="UTC"\n'}, "utc"),
        ({"/etc/default/rcS": "UTC=no\n"}, "local"),
        ({"/etc/wall_cmos_clock": ""}, "local"),
    ],
)
def test_what_the_clock_holds(files: dict[str, Content], rtc: str) -> None:
    assert read(files).rtc == rtc


def test_absolute_links_of_the_libraries_are_named() -> None:
    files: dict[str, Content] = {
        "/lib": Link("/usr/lib"),
        "/lib64": Link("usr/lib64"),
        "/usr/lib/": "",
        "/usr/lib64/": "",
    }
    assert read(files).absolute_lib_links == ("/lib",)
    assert read({"/lib/x": "", "/lib64/x": ""}).absolute_lib_links == ()


def swap_entry(spec: str, on: str | None, device: bool, *options: str) -> FstabEntry:
    return FstabEntry(spec, "none", "swap", options or ("sw",), 1, on, device, device)


def test_swap_is_found_by_signature_and_by_fstab() -> None:
    fstab = Fstab(
        (
            swap_entry("UUID=x", "partition 3", True),
            swap_entry("UUID=gone", None, True),
            swap_entry("/swapfile", None, False),
            swap_entry("/off", None, False, "noauto"),
            swap_entry("/dev/vg/swap", "volume vg/swap", True),
            FstabEntry("UUID=r", "/", "ext4", ("defaults",), 2, "partition 1", True, True),
        ),
        ("/etc/fstab",),
    )
    swap = FileSystem("partition 3", "swap", "x", None, None)
    assert read(CENTOS_7, fstab, swap).swap == ("partition 3", "/swapfile", "volume vg/swap")
    assert read(CENTOS_7, NO_FSTAB, swap).swap == ("partition 3",)
    assert read(CENTOS_7, Unknown("why")).swap == Unknown("why")


def test_a_suspended_system_is_seen_in_a_partition_and_in_a_file() -> None:
    assert not read(CENTOS_7, NO_FSTAB, FileSystem("partition 3", "swap", None, None, None)).hibernated
    suspended = read(CENTOS_7, NO_FSTAB, FileSystem("partition 3", "swsuspend", None, None, None))
    assert suspended.hibernated
    assert suspended.swap == ("partition 3",)
    fstab = Fstab((swap_entry("/swapfile", None, False),), ())
    for signature, hibernated in ((b"S1SUSPEND\0", True), (b"SWAPSPACE2", False)):
        page = bytes(4096 - 10) + signature
        assert read({**CENTOS_7, "/swapfile": page + bytes(200_000)}, fstab).hibernated is hibernated


def test_what_is_too_large_costs_only_its_own_fact() -> None:
    for path, names in (
        ("/etc/selinux/config", {"selinux"}),
        ("/etc/adjtime", {"rtc"}),
        ("/etc/ssh/sshd_config", {"permit_root_login", "password_authentication"}),
        ("/etc/shadow", {"root_account"}),
        ("/etc/passwd", {"root_account", "root_shell"}),
        ("/root/.ssh/authorized_keys", {"root_authorized_keys"}),
    ):
        found = read({**CENTOS_7, path: bytes(2_000_000)})
        unknown = {name for name in found.__struct_fields__ if isinstance(getattr(found, name), Unknown)}
        assert unknown == {*names, "shadow_immutable"}, path


def test_special_files_are_not_read() -> None:
    found = read({"/etc/passwd": Special(), "/etc/selinux/config": Link("/dev/zero"), "/dev/zero": Special()})
    assert (found.root_account, found.selinux) == ("absent", None)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(
        [
            "/etc/passwd",
            "/etc/shadow",
            "/etc/selinux/config",
            "/etc/ssh/sshd_config",
            "/etc/adjtime",
            "/etc/conf.d/hwclock",
        ]
    ),
    st.lists(
        st.sampled_from(
            ["root:", "x", ":", "\n", "Include ", "/etc/ssh/*", "[", "Match ", "all", "SELINUX=", "UTC", "clock="]
        ),
        max_size=30,
    ),
    st.binary(max_size=40),
)
def test_any_bytes_give_a_value(path: str, pieces: list[str], tail: bytes) -> None:
    assert isinstance(read({**CENTOS_7, path: "".join(pieces).encode() + tail}), Security)
