import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.facts import Unknown
from preflight.guest_facts import CloudInit
from preflight.guests._cloud_config import NotRead, datasource_list
from preflight.guests.cloud_init import read_cloud_init
from tests.contents.phony import Content, Link, tree

DIST = "/usr/lib/python3/dist-packages"
VERSION_PY = """# Copyright (C) 2016 Canonical Ltd.
__VERSION__ = "23.4.4"
_PACKAGED_VERSION = "23.4.4-0ubuntu0~22.04.1"

FEATURES = [
    "NETWORK_CONFIG_V1",
]
"""
UBUNTU: dict[str, Content] = {
    "/usr/bin/cloud-init": "#!/usr/bin/python3\n",
    f"{DIST}/cloudinit/__init__.py": "",
    f"{DIST}/cloudinit/version.py": VERSION_PY,
    "/etc/cloud/cloud.cfg": "users:\n  - default\ndisable_root: true\n",
    "/etc/cloud/cloud.cfg.d/05_logging.cfg": "## logging\n_log:\n - &log_base |\n   [loggers]\n",
    "/etc/cloud/cloud.cfg.d/90_dpkg.cfg": "# to update this file, run dpkg-reconfigure cloud-init\n"
    "datasource_list: [ NoCloud, ConfigDrive, AliYun, Ec2, None ]\n",
    "/etc/cloud/cloud.cfg.d/README": "datasource_list: [ Wrong ]\n",
    "/usr/bin/growpart": "#!/bin/sh\n",
    "/sbin/resize2fs": b"",
    "/usr/sbin/xfs_growfs": b"",
    "/lib/systemd/systemd-growfs": b"",
    "/etc/machine-id": "",
}
SERVICE = "[Unit]\nDescription=Cloud-init\n\n[Install]\nWantedBy=cloud-init.target\n"


def read(files: dict[str, Content]) -> CloudInit:
    found = read_cloud_init(tree(files))
    assert isinstance(found, CloudInit)
    return found


def test_an_ubuntu_guest() -> None:
    found = read(UBUNTU)
    assert found.installed
    assert found.version == "23.4.4"
    assert found.datasources == ("NoCloud", "ConfigDrive", "AliYun", "Ec2", "None")
    assert found.disabled is False
    assert found.growpart
    assert found.resize_tools == ("resize2fs", "xfs_growfs", "systemd-growfs")
    assert "/etc/cloud/cloud.cfg.d/90_dpkg.cfg" in found.read_from
    assert "/etc/cloud/cloud.cfg.d/README" not in found.read_from


def test_a_guest_without_it() -> None:
    found = read({"/usr/bin/btrfs": b"", "/etc/cloud/cloud.cfg": "datasource_list: [ AliYun ]\n"})
    assert found == CloudInit(False, None, (), False, False, ("btrfs",), ("/usr/bin/btrfs",))


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('__VERSION__ = "0.7.9"\n', "0.7.9"),
        ("__VERSION__ = '19.1'\n_PACKAGED_VERSION = '19.1.3'\n", "19.1.3"),
        ('__VERSION__ = "22.1"\n_PACKAGED_VERSION = "@@PACKAGED_VERSION@@"\n', "22.1"),
        ('__VERSION__ = "19.4"\n_PACKAGED_VERSION = "19.4-7.el7.centos.6"\n', "19.4"),
        ('from distutils import version as vr\ndef version():\n    return vr.StrictVersion("0.7.5")\n', "0.7.5"),
        ('def version_string():\n    return "0.7.6a15"\n', "0.7.6a15"),
    ],
)
@pytest.mark.parametrize(
    "package",
    ["/usr/lib/python2.7/site-packages", "/usr/lib/python3.6/site-packages", "/usr/local/lib/python3.9/site-packages"],
)
def test_the_version_is_in_the_package(text: str, version: str, package: str) -> None:
    assert read({f"{package}/cloudinit/version.py": text}).version == version


@pytest.mark.parametrize(
    ("files", "version"),
    [
        ({f"{DIST}/cloudinit/": "", f"{DIST}/cloud_init-22.4.2.egg-info/": ""}, "22.4.2"),
        ({"/usr/lib/python2.7/site-packages/cloudinit/": "",
          "/usr/lib/python2.7/site-packages/cloud_init-0.7.6a15-py2.7.egg-info": "x"}, "0.7.6a15"),
        ({"/usr/bin/cloud-init": "",
          "/var/lib/dpkg/status": "Package: cloud-initramfs-growroot\nVersion: 0.18\n\nPackage: cloud-init\n"
                                  "Status: install ok installed\nVersion: 22.4.2-1+deb12u1\n\nPackage: x\n"},
         "22.4.2"),
        ({"/usr/bin/cloud-init": "", "/lib/apk/db/installed": "C:Q1\nP:cloud-init\nV:23.4-r0\n\n"}, "23.4"),
    ],
)  # fmt: skip
def test_the_version_is_found_where_version_py_does_not_tell(files: dict[str, Content], version: str) -> None:
    assert read(files).version == version


def test_a_package_list_is_read_across_pieces() -> None:
    filler = "Package: other\nVersion: 1\n\n" * 12_000
    status = f"{filler}Package: cloud-init\nVersion: 1:20.1-1\n\n"
    assert len(status) > 256 * 1024
    assert read({"/usr/bin/cloud-init": "", "/var/lib/dpkg/status": status}).version == "20.1"


def test_a_version_that_nothing_tells_is_unknown() -> None:
    assert isinstance(read({"/usr/bin/cloud-init": ""}).version, Unknown)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("datasource_list: [ AliYun, None ]", ("AliYun", "None")),
        ("datasource_list: ['Ec2', \"NoCloud\"]  # comment", ("Ec2", "NoCloud")),
        ("datasource_list:\n  - AliYun\n  # why\n  - 'Ec2'\nusers: []", ("AliYun", "Ec2")),
        ("datasource_list:\n- AliYun\n- None\nusers:\n- default", ("AliYun", "None")),
        ("datasource_list: [ NoCloud,\n   ConfigDrive,  # one\n   None ]", ("NoCloud", "ConfigDrive", "None")),
        ("datasource_list:\n  [ AliYun ]\n", ("AliYun",)),
        ('"datasource_list" : [AliYun]', ("AliYun",)),
        ("datasource_list: [AliYun]\r\nx: y\r\n", ("AliYun",)),
        ("datasource_list: []", ()),
        ("datasource_list:\nusers: []", ()),
        ("datasource_list: AliYun", ("AliYun",)),
        ("datasource_list: [A]\ndatasource_list: [B]", ("B",)),
        ("#datasource_list: [A]\nother:\n  datasource_list: [B]\n", None),
        ("datasource_lists: [A]", None),
        ("datasource_list:[A]", None),
        ("", None),
    ],
)
def test_the_list_is_read_as_yaml_has_it(text: str, names: tuple[str, ...] | None) -> None:
    assert datasource_list(text) == names


@pytest.mark.parametrize(
    "text",
    [
        "datasource_list: *base",
        "datasource_list: &a [x]",
        "datasource_list: !!python/object/apply:os.system [x]",
        "datasource_list: [ *base ]",
        "datasource_list: [ [a], b ]",
        "datasource_list: [ a\n" * 1,
        "datasource_list: {a: b}",
        "datasource_list: [" + "a," * 129 + "]",
        "datasource_list:\n" + "- a\n" * 129,
        "datasource_list: [" + "a" * 129 + "]",
        "datasource_list: [" + "\n" * 200 + "]",
    ],
)
def test_what_is_no_plain_list_is_not_read(text: str) -> None:
    with pytest.raises(NotRead):
        datasource_list(text)
    files: dict[str, Content] = {"/usr/bin/cloud-init": "", "/etc/cloud/cloud.cfg": text}
    assert isinstance(read(files).datasources, Unknown)


def test_the_last_file_counts() -> None:
    files = {**UBUNTU, "/etc/cloud/cloud.cfg.d/99_aliyun.cfg": "datasource_list: [ AliYun ]\n"}
    assert read(files).datasources == ("AliYun",)


def test_too_large_a_file_makes_only_its_fact_unknown() -> None:
    found = read({**UBUNTU, "/etc/cloud/cloud.cfg": bytes(200_000)})
    assert isinstance(found.datasources, Unknown)
    assert found.version == "23.4.4"
    many = {f"/etc/cloud/cloud.cfg.d/{number}.cfg": "" for number in range(65)}
    assert isinstance(read({**UBUNTU, **many}).datasources, Unknown)


UNIT = "/lib/systemd/system/cloud-init.service"
WANTS = "/etc/systemd/system/cloud-init.target.wants/cloud-init.service"


@pytest.mark.parametrize(
    ("files", "disabled"),
    [
        ({"/etc/cloud/cloud-init.disabled": ""}, True),
        ({"/etc/systemd/system/cloud-init.service": Link("/dev/null")}, True),
        ({"/etc/systemd/system/cloud-init.target": ""}, True),
        ({UNIT: SERVICE, WANTS: Link(UNIT)}, False),
        ({UNIT: SERVICE}, True),
        ({UNIT: SERVICE, "/etc/machine-id": "uninitialized\n"}, False),
        ({UNIT: "[Unit]\nDescription=static\n"}, False),
        ({UNIT: SERVICE, "/usr/lib/systemd/system/cloud-init.target.wants/cloud-init.service": Link("x")}, False),
        ({"/etc/init/cloud-init.conf": "", "/etc/init/cloud-init.override": "manual\n"}, True),
        ({"/etc/init/cloud-init.conf": ""}, False),
        ({"/etc/init.d/cloud-init": "", "/etc/rc3.d/S52cloud-init": Link("../init.d/cloud-init")}, False),
        ({"/etc/init.d/cloud-init": "", "/etc/rc3.d/K25cloud-init": "", "/etc/rc3.d/S55sshd": ""}, True),
        ({"/etc/init.d/cloud-init": "", "/etc/runlevels/default/sshd": ""}, True),
        ({"/etc/init.d/cloud-init": "", "/etc/runlevels/boot/cloud-init": Link("/etc/init.d/cloud-init")}, False),
    ],
)
def test_it_is_disabled_by_its_file_or_its_services(files: dict[str, Content], disabled: bool) -> None:
    assert read({**UBUNTU, **files}).disabled is disabled


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(["datasource_list:", " [", "]", "\n", "- ", "  ", "#", "*", "'", ",", "AliYun"]), max_size=30
    ),
    st.binary(max_size=40),
)
def test_any_bytes_give_a_value(pieces: list[str], tail: bytes) -> None:
    data = "".join(pieces).encode() + tail
    read({**UBUNTU, "/etc/cloud/cloud.cfg": data, f"{DIST}/cloudinit/version.py": data, UNIT: data})
    read({"/usr/bin/cloud-init": "", "/var/lib/dpkg/status": data, "/etc/machine-id": data})
