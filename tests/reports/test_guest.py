"""The guest's operating system, for a person."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.facts import Unknown
from preflight.guest_facts import (
    BootLoader,
    CloudInit,
    Guest,
    Interface,
    Kernel,
    Kernels,
    Network,
    Nvme,
    Services,
    Virtio,
    Windows,
)
from preflight.reports._guest import guest_lines
from preflight.reports.text import REPORT
from tests import builders
from tests.reports.showing import inspected

UNREAD = Unknown("the reader crashed")


def unread(type: Any, **known: Any) -> Any:
    """A value of which nothing is known but this."""
    return type(**{**dict.fromkeys(type.__struct_fields__, UNREAD), **known})


def linux(**changes: Any) -> Guest:
    kernel: Kernel = unread(Kernel, version="6.1.0-18-amd64")
    loader: BootLoader = unread(BootLoader, names=("grub2",))
    cloud_init: CloudInit = unread(CloudInit, installed=True, version="22.4.2")
    interface = Interface("eth0", "dhcp", (), None, True, "/etc/network/interfaces")
    network: Network = unread(Network, interfaces=(interface,))
    services: Services = unread(Services, sshd=True)
    built = Guest(
        os_type="linux",
        distro="debian",
        name="Debian GNU/Linux 12 (bookworm)",
        version="12",
        architecture="x86_64",
        boot_modes=("bios", "uefi"),
        root="partition 3",
        root_subvolume=None,
        variant=None,
        kernels=Kernels((kernel, kernel), "6.1.0-18-amd64"),
        fstab=UNREAD,
        boot_loader=loader,
        virtio=Virtio("6.1.0-18-amd64", "initramfs", "module", "built-in", UNREAD, ()),
        nvme=Nvme("6.1.0-18-amd64", "initramfs", ()),
        cloud_init=cloud_init,
        network=network,
        services=services,
        security=UNREAD,
        windows=None,
        read_from=("/etc/os-release",),
    )
    return msgspec.structs.replace(built, **changes)


def test_a_linux_guest_is_a_few_lines() -> None:
    assert list(guest_lines(linux())) == [
        "Debian GNU/Linux 12 (bookworm), x86_64, boots by BIOS and UEFI; root on partition 3",
        "kernel 6.1.0-18-amd64 and 1 more; virtio block initramfs, net module; NVMe initramfs",
        "boot loader grub2; cloud-init 22.4.2; network eth0 dhcp; sshd starts",
        "unknown fstab, security: the reader crashed",
    ]


def test_a_windows_guest_tells_its_drivers() -> None:
    windows: Windows = unread(Windows, build=17763, virtio_storage="boot", virtio_network="missing")
    guest = linux(os_type="windows", name="Windows Server 2019", version="1809", windows=windows, kernels=UNREAD)
    lines = list(guest_lines(guest))
    assert lines[0].startswith("Windows Server 2019 1809, x86_64")
    assert lines[1] == "build 17763; virtio storage boot; virtio network missing"


def test_what_is_unknown_is_told_once_for_each_reason() -> None:
    fields = {
        field.name: UNREAD
        for field in msgspec.structs.fields(Guest)
        if field.name not in ("os_type", "root", "root_subvolume", "variant", "windows", "read_from")
    }
    assert list(guest_lines(linux(**fields))) == [
        "linux; root on partition 3",
        "unknown distro, name, version, architecture, boot modes, kernels, fstab, boot loader, virtio, nvme, "
        "cloud init, network, services, security: the reader crashed",
    ]


def test_a_root_in_a_subvolume_is_told() -> None:
    assert next(guest_lines(linux(root_subvolume="@"))).endswith("; root on partition 3, subvolume @")


def test_a_guest_that_no_firmware_boots_is_told() -> None:
    assert "boots by neither BIOS nor UEFI" in next(guest_lines(linux(boot_modes=())))


def test_many_interfaces_are_cut() -> None:
    network = linux().network
    assert isinstance(network, Network)
    many = msgspec.structs.replace(network, interfaces=network.interfaces * 9)
    told = "network eth0 dhcp, eth0 dhcp, eth0 dhcp, eth0 dhcp, ...; sshd"
    assert told in list(guest_lines(linux(network=many)))[2]


@given(st.text(st.characters() | st.sampled_from("\x1b\n\u202e"), min_size=1, max_size=8))
@settings(max_examples=50, deadline=None)
def test_no_text_of_a_guest_reaches_a_person_raw(text: str) -> None:
    guest = linux(name=text, version=text, architecture=text, root_subvolume=text, fstab=Unknown(text))
    told = inspected(REPORT, [builders.image(guest=guest)])
    plain = inspected(REPORT, [builders.image(guest=linux())])
    assert told.count("\n") <= plain.count("\n") + 1
    assert all(line.isprintable() for line in told.split("\n"))
