import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.facts import Unknown
from preflight.guests.os_release import Identity, read_identity
from tests.contents.phony import Content, Link, Special, tree

DEBIAN_12 = """PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION="12 (bookworm)"
VERSION_CODENAME=bookworm
ID=debian
HOME_URL="https://www.debian.org/"
"""

CENTOS_7 = """NAME="CentOS Linux"
VERSION="7 (Core)"
ID="centos"
ID_LIKE="rhel fedora"
VERSION_ID="7"
PRETTY_NAME="CentOS Linux 7 (Core)"

CENTOS_MANTISBT_PROJECT="CentOS-7"
"""

# What each distribution ships, and what it is: distro, version, name.
MODERN: dict[str, tuple[dict[str, Content], tuple[str, str | None, str]]] = {
    "debian": (
        {
            "/etc/os-release": Link("../usr/lib/os-release"),
            "/usr/lib/os-release": DEBIAN_12,
            "/etc/debian_version": "12.5\n",
        },
        ("debian", "12.5", "Debian GNU/Linux 12 (bookworm)"),
    ),
    "debian testing": (
        {
            "/usr/lib/os-release": 'PRETTY_NAME="Debian GNU/Linux trixie/sid"\nNAME="Debian GNU/Linux"\nID=debian\n',
            "/etc/debian_version": "trixie/sid\n",
        },
        ("debian", "trixie/sid", "Debian GNU/Linux trixie/sid"),
    ),
    "ubuntu": (
        {
            "/etc/os-release": 'PRETTY_NAME="Ubuntu 22.04.4 LTS"\nNAME="Ubuntu"\nVERSION_ID="22.04"\nID=ubuntu\n',
            "/etc/debian_version": "bookworm/sid\n",
            "/etc/lsb-release": 'DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=22.04\nDISTRIB_DESCRIPTION="Ubuntu 22.04.4 LTS"\n',
        },
        ("ubuntu", "22.04", "Ubuntu 22.04.4 LTS"),
    ),
    "centos 7": (
        {
            "/etc/os-release": CENTOS_7,
            "/etc/centos-release": "CentOS Linux release 7.9.2009 (Core)\n",
            "/etc/redhat-release": Link("centos-release"),
        },
        ("centos", "7.9.2009", "CentOS Linux 7 (Core)"),
    ),
    "centos stream": (
        {
            "/etc/os-release": 'NAME="CentOS Stream"\nVERSION="9"\nID="centos"\nID_LIKE="rhel fedora"\nVERSION_ID="9"\n'
            'PRETTY_NAME="CentOS Stream 9"\n',
            "/etc/centos-release": "CentOS Stream release 9\n",
        },
        ("centos", "9", "CentOS Stream 9"),
    ),
    "rhel 7": (
        {
            "/etc/os-release": 'NAME="Red Hat Enterprise Linux Server"\nID="rhel"\nVERSION_ID="7.9"\n'
            'PRETTY_NAME="Red Hat Enterprise Linux Server 7.9 (Maipo)"\n',
            "/etc/redhat-release": "Red Hat Enterprise Linux Server release 7.9 (Maipo)\n",
        },
        ("rhel", "7.9", "Red Hat Enterprise Linux Server 7.9 (Maipo)"),
    ),
    "rocky": (
        {
            "/etc/os-release": 'NAME="Rocky Linux"\nID="rocky"\nVERSION_ID="9.3"\n'
            'PRETTY_NAME="Rocky Linux 9.3 (Blue Onyx)"\n',
            "/etc/rocky-release": "Rocky Linux release 9.3 (Blue Onyx)\n",
        },
        ("rocky", "9.3", "Rocky Linux 9.3 (Blue Onyx)"),
    ),
    "opensuse": (
        {
            "/etc/os-release": 'NAME="openSUSE Leap"\nVERSION="15.5"\nID="opensuse-leap"\nVERSION_ID="15.5"\n'
            'PRETTY_NAME="openSUSE Leap 15.5"\n'
        },
        ("opensuse-leap", "15.5", "openSUSE Leap 15.5"),
    ),
    "openEuler": (
        {
            "/etc/os-release": 'NAME="openEuler"\nVERSION="22.03 (LTS-SP1)"\nID="openEuler"\nVERSION_ID="22.03"\n'
            'PRETTY_NAME="openEuler 22.03 (LTS-SP1)"\n',
            "/etc/openEuler-release": "openEuler release 22.03 (LTS-SP1)\n",
        },
        ("openEuler", "22.03", "openEuler 22.03 (LTS-SP1)"),
    ),
    "kylin": (
        {
            "/etc/os-release": 'NAME="Kylin Linux Advanced Server"\nID="kylin"\nVERSION_ID="V10"\n'
            'PRETTY_NAME="Kylin Linux Advanced Server V10 (Tercel)"\n'
        },
        ("kylin", "V10", "Kylin Linux Advanced Server V10 (Tercel)"),
    ),
    "arch": (
        {
            "/etc/os-release": 'NAME="Arch Linux"\nPRETTY_NAME="Arch Linux"\nID=arch\nBUILD_ID=rolling\n',
            "/etc/arch-release": "",
        },
        ("arch", None, "Arch Linux"),
    ),
    "alpine": (
        {
            "/etc/os-release": 'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.19.1\nPRETTY_NAME="Alpine Linux v3.19"\n',
            "/etc/alpine-release": "3.19.1\n",
        },
        ("alpine", "3.19.1", "Alpine Linux v3.19"),
    ),
    "alinux 2": (
        {
            "/etc/os-release": 'NAME="Alibaba Cloud Linux (Aliyun Linux)"\nID="alinux"\nVERSION_ID="2.1903"\n'
            'PRETTY_NAME="Alibaba Cloud Linux (Aliyun Linux) 2.1903 LTS (Hunting Beagle)"\n',
            "/etc/alinux-release": "Alibaba Cloud Linux (Aliyun Linux) release 2.1903 LTS (Hunting Beagle)\n",
        },
        ("alinux", "2.1903", "Alibaba Cloud Linux (Aliyun Linux) 2.1903 LTS (Hunting Beagle)"),
    ),
}

CLASSIC: dict[str, tuple[dict[str, Content], tuple[str, str | None]]] = {
    "centos 5": ({"/etc/redhat-release": "CentOS release 5.11 (Final)\n"}, ("centos", "5.11")),
    "rhel 6": ({"/etc/redhat-release": "Red Hat Enterprise Linux Server release 6.10 (Santiago)\n"}, ("rhel", "6.10")),
    "oracle 5": (
        {
            "/etc/redhat-release": "Red Hat Enterprise Linux Server release 5.11 (Tikanga)\n",
            "/etc/oracle-release": "Oracle Linux Server release 5.11\n",
        },
        ("ol", "5.11"),
    ),
    "aliyun linux": ({"/etc/redhat-release": "Aliyun Linux release 17.1 (Hunting Beagle)\n"}, ("alinux", "17.1")),
    "fedora": ({"/etc/fedora-release": "Fedora release 14 (Laughlin)\n"}, ("fedora", "14")),
    "amazon": ({"/etc/system-release": "Amazon Linux AMI release 2014.03\n"}, ("amzn", "2014.03")),
    "sles 11": (
        {"/etc/SuSE-release": "SUSE Linux Enterprise Server 11 (x86_64)\nVERSION = 11\nPATCHLEVEL = 4\n"},
        ("sles", "11.4"),
    ),
    "sles 10 without a patch level": (
        {"/etc/SuSE-release": "SUSE Linux Enterprise Server 10 (x86_64)\nVERSION = 10\nPATCHLEVEL = 0\n"},
        ("sles", "10"),
    ),
    "opensuse 11": ({"/etc/SuSE-release": "openSUSE 11.4 (x86_64)\nVERSION = 11.4\n"}, ("opensuse", "11.4")),
    "debian 6": ({"/etc/debian_version": "6.0.10\n"}, ("debian", "6.0.10")),
    "ubuntu 10": (
        {
            "/etc/lsb-release": 'DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=10.04\nDISTRIB_DESCRIPTION="Ubuntu 10.04.4 LTS"\n',
            "/etc/debian_version": "squeeze/sid\n",
        },
        ("ubuntu", "10.04"),
    ),
    "gentoo": ({"/etc/gentoo-release": "Gentoo Base System release 2.7\n"}, ("gentoo", "2.7")),
    "alpine": ({"/etc/alpine-release": "2.7.9\n"}, ("alpine", "2.7.9")),
    "arch": ({"/etc/arch-release": ""}, ("arch", None)),
    "slackware": ({"/etc/slackware-version": "Slackware 14.2\n"}, ("slackware", "14.2")),
    "uos": (
        {"/etc/os-version": "[Version]\nSystemName=UnionTech OS Server\nMajorVersion=20\nMinorVersion=1050\n"},
        ("uos", "20.1050"),
    ),
    "kylin": ({"/etc/kylin-release": "Kylin Linux Advanced Server release V10 (Sword)\n"}, ("kylin", "V10")),
    "kylin by kyinfo": ({"/etc/.kyinfo": "[dist]\nname=Kylin-Server\nmilestone=10-SP1\n"}, ("kylin", "10-SP1")),
    "anolis": ({"/etc/anolis-release": "Anolis OS release 8.8\n"}, ("anolis", "8.8")),
    "freebsd": (
        {"/bin/freebsd-version": '#!/bin/sh\nUSERLAND_VERSION="13.2-RELEASE-p5"\n'},
        ("freebsd", "13.2-RELEASE-p5"),
    ),
    "issue": (
        {"/etc/issue": "\nWelcome to SUSE Linux Enterprise Server 11 SP4  (x86_64) - Kernel \\r (\\l).\n"},
        ("sles", "11"),
    ),
}


@pytest.mark.parametrize("case", MODERN)
def test_os_release_names_the_system(case: str) -> None:
    files, (distro, version, name) = MODERN[case]
    found = read_identity(tree(files))
    assert found is not None
    assert (found.os_type, found.distro, found.version, found.name) == ("linux", distro, version, name)
    assert "os-release" in found.read_from[0]


@pytest.mark.parametrize("case", CLASSIC)
def test_an_older_system_is_named_by_its_release_file(case: str) -> None:
    files, (distro, version) = CLASSIC[case]
    found = read_identity(tree(files))
    assert found is not None
    assert (found.distro, found.version) == (distro, version)
    assert found.os_type == ("freebsd" if distro == "freebsd" else "linux")
    assert found.read_from[0] in files


def test_the_file_that_gave_the_detail_is_named() -> None:
    found = read_identity(tree(MODERN["debian"][0]))
    assert found is not None
    assert found.read_from == ("/etc/os-release", "/etc/debian_version")


def test_fedora_coreos_is_fedora_with_a_variant() -> None:
    text = 'NAME="Fedora Linux"\nID=fedora\nVERSION_ID=39\nVARIANT="CoreOS"\nVARIANT_ID=coreos\n'
    found = read_identity(tree({"/usr/lib/os-release": text}))
    assert found == Identity("linux", "fedora", "Fedora Linux", "39", "coreos", ("/usr/lib/os-release",))


def test_freebsd_is_its_own_type() -> None:
    files = {
        "/etc/os-release": 'NAME=FreeBSD\nVERSION_ID="13.2"\nID=freebsd\nPRETTY_NAME="FreeBSD 13.2-RELEASE"\n',
        "/bin/freebsd-version": 'USERLAND_VERSION="13.2-RELEASE"\n',
    }
    found = read_identity(tree(files))
    assert found is not None
    assert (found.os_type, found.version) == ("freebsd", "13.2-RELEASE")
    old = read_identity(tree({"/COPYRIGHT": "", "/boot/kernel/kernel": b""}))
    assert old is not None
    assert (old.os_type, old.distro) == ("freebsd", "freebsd")
    assert isinstance(old.version, Unknown)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ('NAME="a \\"b\\" \\$c \\`d\\` \\\\e"', 'a "b" $c `d` \\e'),
        ("NAME='a \"b\" \\c'", 'a "b" \\c'),
        ("NAME=CentOS Linux 7", "CentOS Linux 7"),
        ("NAME=plain # comment", "plain"),
        ('NAME="open', "open"),
        ('NAME="a\\d"', "a\\d"),
        ("  NAME=x\r", "x"),
    ],
)
def test_values_are_unquoted_as_a_shell_does(line: str, name: str) -> None:
    found = read_identity(tree({"/etc/os-release": f"# comment\nID=x\n{line}\n"}))
    assert found is not None
    assert found.name == name


def test_a_tree_without_a_system_is_none() -> None:
    assert read_identity(tree({})) is None
    assert read_identity(tree({"/vmlinuz-5.10": b"", "/grub2/grub.cfg": ""})) is None
    assert read_identity(tree({"/Windows/System32/ntoskrnl.exe": b"", "/etc/": ""})) is None


def test_a_root_that_no_file_names_is_unknown_linux() -> None:
    found = read_identity(tree({"/etc/passwd": "root:x:0:0::/root:/bin/sh\n", "/bin/sh": b"\x7fELF"}))
    assert found is not None
    assert found.os_type == "linux"
    assert isinstance(found.distro, Unknown)
    assert isinstance(found.version, Unknown)


def test_os_release_without_an_id_still_gives_the_name() -> None:
    found = read_identity(tree({"/etc/os-release": "NAME=Mine\nVERSION_ID=3\n"}))
    assert found is not None
    assert (found.name, found.version) == ("Mine", "3")
    assert isinstance(found.distro, Unknown)


def test_a_file_that_is_too_large_is_not_read_and_the_next_one_is() -> None:
    large = b"ID=evil\n" + bytes(200_000)
    found = read_identity(tree({"/etc/os-release": large, "/usr/lib/os-release": DEBIAN_12}))
    assert found is not None
    assert found.distro == "debian"
    alone = read_identity(tree({"/etc/os-release": large}))
    assert alone is not None
    assert isinstance(alone.distro, Unknown)
    assert "200008 bytes" in alone.distro.unknown


@pytest.mark.parametrize("hostile", [Link("../../../etc/os-release"), Link("/etc/os-release"), Special()])
def test_links_in_circles_and_devices_are_no_release_files(hostile: Content) -> None:
    found = read_identity(tree({"/etc/os-release": hostile, "/etc/redhat-release": "CentOS release 6.10 (Final)\n"}))
    assert found is not None
    assert (found.distro, found.version) == ("centos", "6.10")


def test_long_names_are_cut() -> None:
    found = read_identity(tree({"/etc/os-release": f"ID=x\nNAME={'n' * 1000}\nVERSION_ID={'9' * 5000}\n"}))
    assert found is not None
    assert found.name == "n" * 256
    assert found.version is None


def test_an_administrators_greeting_is_no_distribution() -> None:
    assert read_identity(tree({"/etc/issue": "Authorised access only\n"})) is None


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(sorted({path for files, *_ in [*MODERN.values(), *CLASSIC.values()] for path in files})),
    st.binary(max_size=200),
    st.booleans(),
)
def test_any_bytes_give_a_value(path: str, data: bytes, line: bool) -> None:
    content = b"ID=x\nA release " + data if line else data
    found = read_identity(tree({path: content}))
    assert found is None or isinstance(found, Identity)
