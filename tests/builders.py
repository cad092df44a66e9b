"""Images and requests as values, for whatever judges them: no disk is needed."""

from typing import Any

import msgspec

from preflight import profiles
from preflight.checking import check
from preflight.facts import FileSystem, Image, Partition, PartitionTable, Problem, ProblemCode, Unknown
from preflight.guest_facts import (
    BootEntry,
    BootLoader,
    CloudInit,
    Fstab,
    FstabEntry,
    Guest,
    Interface,
    Kernel,
    Kernels,
    Network,
    Nvme,
    Security,
    Services,
    Virtio,
    Windows,
)
from preflight.rules import all_rules
from preflight.units import GiB, MiB
from preflight.verdicts import Breach, Declared, Outcome, Profile, Report, Unsettled

ESP = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
LINUX_DATA = "0fc63daf-8483-4772-8e79-3d69d8477de4"


ROOT_UUID = "00000000-0000-4000-8000-0000000000aa"
UNREAD = Unknown("the reader crashed")


def profile(name: str = "aliyun-2018") -> Profile:
    """The profile by which the tests judge."""
    return profiles.load(name)


KERNEL = Kernel(
    version="6.1.0-18-amd64",
    path="/boot/vmlinuz-6.1.0-18-amd64",
    config={"CONFIG_FW_CFG_SYSFS": "m"},
    initramfs="/boot/initrd.img-6.1.0-18-amd64",
    virtio_blk="initramfs",
    virtio_net="module",
    virtio_pci="built-in",
    virtio_scsi="missing",
    nvme="initramfs",
    read_from=(),
)


def mount(spec: str, mount_point: str, on: str | None = None, **changes: Any) -> FstabEntry:
    """A line of fstab that names a block device, which the boot waits for."""
    return msgspec.structs.replace(FstabEntry(spec, mount_point, "ext4", ("defaults",), 1, on), **changes)


def boot_entry(root: str | None, root_on: str | None = None) -> BootEntry:
    """An entry of GRUB's menu with this `root=`."""
    return BootEntry("Linux", "/vmlinuz", ("/initrd",), root, root_on, f"root={root} ro", "/boot/grub/grub.cfg")


def interface(name: str = "eth0", method: Any = "dhcp", **changes: Any) -> Interface:
    """An interface that starts at boot."""
    return msgspec.structs.replace(
        Interface(name, method, (), None, True, "/etc/network/interfaces.d/interfaces"), **changes
    )


def linux(**changes: Any) -> Guest:
    """A sound Debian with all that the cloud asks for, on `image()`."""
    sound = Guest(
        os_type="linux",
        distro="debian",
        name="Debian GNU/Linux 12 (bookworm)",
        version="12.5",
        architecture="x86_64",
        boot_modes=("bios", "uefi"),
        root="partition 2",
        root_subvolume=None,
        variant=None,
        kernels=Kernels((KERNEL,), KERNEL.version),
        fstab=Fstab((mount(f"UUID={ROOT_UUID}", "/", "partition 2"),), ("/etc/fstab",)),
        boot_loader=BootLoader(
            names=("grub2", "shim"),
            bios_boot_code="grub",
            efi_loaders=("EFI/BOOT/BOOTX64.EFI", "EFI/debian/shimx64.efi"),
            efi_fallback=("EFI/BOOT/BOOTX64.EFI",),
            entries=(boot_entry(f"UUID={ROOT_UUID}", "partition 2"),),
            default=0,
            missing_uuids=(),
            serial_console=True,
            read_from=("/boot/grub/grub.cfg",),
        ),
        virtio=Virtio(KERNEL.version, "initramfs", "module", "built-in", "missing", ()),
        nvme=Nvme(KERNEL.version, "initramfs", ()),
        cloud_init=CloudInit(True, "22.4.2", (), False, True, ("resize2fs",), ()),
        network=Network(("systemd-networkd",), (interface(),), (), (), ()),
        services=Services("systemd", ("ssh",), True, (), False, True, True, ()),
        security=Security(
            selinux=None,
            root_account="password",
            root_shell="/bin/bash",
            root_authorized_keys=False,
            permit_root_login=None,
            password_authentication=None,
            passwd_command=True,
            shadow_immutable=False,
            rtc="utc",
            absolute_lib_links=(),
            swap=(),
            hibernated=False,
            read_from=(),
        ),
        windows=None,
        read_from=("/etc/os-release",),
    )
    return msgspec.structs.replace(sound, **changes)


def windows(release: str = "Windows Server 2012 R2 Standard", **changes: Any) -> Guest:
    """A sound Windows Server; `changes` are those of `Guest.windows`."""
    sound = Windows(
        product_name=release,
        edition_id="ServerStandard",
        installation_type="server",
        version="6.3",
        build=9600,
        update_revision=None,
        service_pack=None,
        drivers=(),
        virtio_storage="boot",
        virtio_network="present",
        hives_missing=(),
        hives_damaged=(),
        hives_dirty=(),
        bcd_present=True,
        bootmgr_present=True,
        desktop_config_present=True,
        hotfixes=(),
        disk_upper_filters=(),
        xen_hide_devices=False,
        device_install_disabled=False,
        sysprep_pending=False,
        update_pending=False,
        hibernated=False,
        dirty_volumes=(),
        rdp_enabled=True,
        firewall_enabled=False,
        cloud_assistant=True,
        qemu_guest_agent=False,
        rtc_is_utc=False,
        read_from=(),
    )
    no = Unknown("not a Linux system")
    return linux(
        os_type="windows",
        distro="windows",
        name=release,
        version="6.3.9600",
        kernels=no,
        fstab=no,
        virtio=no,
        nvme=no,
        cloud_init=no,
        network=no,
        services=no,
        security=no,
        windows=msgspec.structs.replace(sound, **changes),
    )


def of_guest(**changes: Any) -> Image:
    """The sound image with a Linux that differs in this."""
    return image(guest=linux(**changes))


def with_changed(fact: str, **changes: Any) -> Image:
    """The sound image with a Linux, of which one group of facts differs in this."""
    return of_guest(**{fact: msgspec.structs.replace(getattr(linux(), fact), **changes)})


def with_windows(release: str = "Windows Server 2012 R2 Standard", **changes: Any) -> Image:
    """A sound image with a Windows that differs in this."""
    filesystems = (filesystem("partition 1", "vfat"), filesystem(type="ntfs"))
    return image(guest=windows(release, **changes), filesystems=filesystems)


def partition(number: int = 1, type: str = LINUX_DATA, **changes: Any) -> Partition:
    """A partition of 1 GiB."""
    built = Partition(
        number=number,
        start=number * GiB,
        size=GiB,
        type=type,
        type_name=None,
        name=None,
        uuid=f"00000000-0000-4000-8000-{number:012}",
        bootable=False,
    )
    return msgspec.structs.replace(built, **changes)


def gpt(**changes: Any) -> PartitionTable:
    """A GPT, without a boot loader in sector 0."""
    return msgspec.structs.replace(
        PartitionTable(type="gpt", sector_size=512, disk_id="00000000-0000-4000-8000-0000000000ff"), **changes
    )


NO_TABLE = PartitionTable(type="none", sector_size=512, disk_id=None)


def filesystem(on: str = "partition 2", type: str = "ext4") -> FileSystem:
    """A file system that fits."""
    return FileSystem(on=on, type=type, uuid=ROOT_UUID, label=None, size=GiB)


def image(**changes: Any) -> Image:
    """A sound system disk of 20 GiB in a qcow2 image: GPT, an EFI system partition, ext4 with a Debian.

    With other partitions or file systems it holds no operating system, if none is given.
    """
    if {"partition_table", "partitions", "filesystems"} & set(changes):
        changes.setdefault("guest", None)
    sound = Image(
        path="disk.qcow2",
        file_size=100 * MiB,
        allocated_size=100 * MiB,
        format="qcow2",
        subformat="v3",
        virtual_size=20 * GiB,
        virtual_size_alternatives={},
        format_details={"version": 3, "cluster_size": 65536},
        extension_matches=True,
        partition_table=gpt(),
        partitions=(partition(1, ESP), partition(2)),
        volumes=(),
        filesystems=(filesystem("partition 1", "vfat"), filesystem()),
        guest=linux(),
        problems=(),
    )
    return msgspec.structs.replace(sound, **changes)


def raw(**changes: Any) -> Image:
    """The same disk as a raw image."""
    return image(
        **{"path": "disk.raw", "format": "raw", "subformat": None, "format_details": {}, "file_size": 20 * GiB}
        | changes
    )


def vhd(**changes: Any) -> Image:
    """The same disk as a dynamic VHD of blocks of 2 MiB."""
    sound: dict[str, Any] = {
        "path": "disk.vhd",
        "format": "vhd",
        "subformat": "dynamic",
        "virtual_size_alternatives": {"current_size": 20 * GiB, "chs": 20 * GiB},
        "format_details": {"block_size": 2 * MiB, "max_table_entries": 10240},
    }
    return image(**sound | changes)


def unread(format_name: str, **changes: Any) -> Image:
    """A file of a format that is recognised and not read further."""
    nothing: dict[str, Any] = {
        "path": f"disk.{format_name}",
        "format": format_name,
        "subformat": None,
        "virtual_size": None,
        "format_details": {},
        "partition_table": None,
        "partitions": (),
        "filesystems": (),
        "guest": Unknown(f"preflight does not look into {format_name}"),
    }
    return image(**nothing | changes)


def problem(code: ProblemCode, **changes: Any) -> Problem:
    """A problem that has this code."""
    return msgspec.structs.replace(
        Problem(code=code, message="this was found, that was expected", where="some structure", offset=0x200), **changes
    )


def outcomes(rule_id: str, judged: Image, declared: Declared | None = None, name: str = "aliyun-2018") -> list[Outcome]:
    """What one rule says, by the profile's limits."""
    return list(all_rules()[rule_id].judge(judged, profile(name).limits, declared or Declared()))


def breaches(rule_id: str, judged: Image, declared: Declared | None = None, name: str = "aliyun-2018") -> list[Breach]:
    """What one rule finds broken."""
    return [outcome for outcome in outcomes(rule_id, judged, declared, name) if isinstance(outcome, Breach)]


def unsettled(rule_id: str, judged: Image, declared: Declared | None = None, name: str = "aliyun-2018") -> list[str]:
    """Why one rule cannot be judged."""
    said = outcomes(rule_id, judged, declared, name)
    return [outcome.reason for outcome in said if isinstance(outcome, Unsettled)]


def report(judged: Image, declared: Declared | None = None, name: str = "aliyun-2018") -> Report:
    """The judgement by a profile."""
    return check(judged, profile(name), declared or Declared())


def found(judged: Image, declared: Declared | None = None, name: str = "aliyun-2018") -> dict[str, str]:
    """The rules that the image breaks, each with its severity."""
    return {finding.rule: finding.severity for finding in report(judged, declared, name).findings}


def verdict(judged: Image, declared: Declared | None = None, name: str = "aliyun-2018") -> str:
    """The profile's verdict on the image."""
    return report(judged, declared, name).verdict
