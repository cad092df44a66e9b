"""What is inside: the facts about a guest's operating system, as frozen values.

A fact that could not be learned is `Unknown`, never null; null and empty mean that the disk says "none". Every group
of facts says where it was read, as paths inside the guest.
"""

from typing import Literal

from preflight.facts import Unknown, Value

Driver = Literal["built-in", "initramfs", "module", "missing"]
"""Where a kernel has a driver: in itself, in its initramfs, only as a module on the root file system, or nowhere."""

ConfigValue = Literal["y", "m", "n"]


class Kernel(Value, frozen=True):
    """An installed Linux kernel."""

    version: str
    """As `uname -r` would print it."""
    path: str | None
    """Of the image that is booted; null where only modules are left."""
    config: dict[str, str]
    """The options that matter to a cloud, with their `CONFIG_` names, each `y`, `m` or `n`: from its config file, else
    from modules.builtin and the module tree. `{"unknown": why}` where neither tells."""
    initramfs: str | None
    """Path of its initramfs; null where it has none."""
    virtio_blk: Driver | Unknown
    virtio_net: Driver | Unknown
    virtio_pci: Driver | Unknown
    virtio_scsi: Driver | Unknown
    nvme: Driver | Unknown
    read_from: tuple[str, ...]


class Kernels(Value, frozen=True):
    """All kernels, the one that boots by default first."""

    installed: tuple[Kernel, ...]
    default: str | None
    """Version of the one that boots by default, as far as the boot loader says; else the newest."""


class Virtio(Value, frozen=True):
    """Where the kernel that boots by default has the drivers of a virtual machine."""

    kernel: str
    """Its version."""
    block: Driver | Unknown
    net: Driver | Unknown
    pci: Driver | Unknown
    scsi: Driver | Unknown
    read_from: tuple[str, ...]


class Nvme(Value, frozen=True):
    """Where the kernel that boots by default has the driver of NVMe disks."""

    kernel: str
    driver: Driver | Unknown
    read_from: tuple[str, ...]


class FstabEntry(Value, frozen=True):
    """One line of /etc/fstab."""

    spec: str
    """First field, quotes and escapes resolved: `UUID=…`, `/dev/sda1`."""
    mount_point: str
    type: str
    options: tuple[str, ...]
    line: int
    on: str | None
    """Where that is on this disk, as `FileSystem.on`; null where nothing here has this name."""
    device: bool = True
    """Whether the spec names a block device: no share, virtual file system, directory or file."""
    required: bool = True
    """Whether it is a device without which booting stops or waits: no `noauto`, `nofail`, `_netdev` or the like."""


class Fstab(Value, frozen=True):
    """/etc/fstab."""

    entries: tuple[FstabEntry, ...]
    read_from: tuple[str, ...]


class BootEntry(Value, frozen=True):
    """One thing that the boot loader can boot."""

    title: str | None
    kernel: str | None
    """Path as the boot loader has it."""
    initramfs: tuple[str, ...]
    root: str | None
    """Value of `root=` on the kernel's command line: `UUID=…`, `/dev/sda1`; null where it has none."""
    root_on: str | None
    """Where that is on this disk, as `FileSystem.on`; null where nothing here has this name."""
    options: str
    """The whole command line."""
    read_from: str


class BootLoader(Value, frozen=True):
    """The boot loaders and what they boot."""

    names: tuple[str, ...]
    """`grub2` `grub-legacy` `systemd-boot` `extlinux` `lilo` `bootmgr` `shim` `freebsd` `u-boot`, what was found."""
    bios_boot_code: str | None
    """What sector 0 holds: `grub`, `lilo`, `syslinux`, `windows`, `freebsd`, `other`; null where it holds no code."""
    efi_loaders: tuple[str, ...]
    """Paths of the loaders on EFI system partitions, as they are spelt there."""
    efi_fallback: tuple[str, ...]
    """Those of them that firmware starts without being told: `EFI/BOOT/BOOTX64.EFI` and the like."""
    entries: tuple[BootEntry, ...]
    default: int | None
    """Index in `entries` of the one that boots by itself; null where the configuration does not tell."""
    missing_uuids: tuple[str, ...]
    """UUIDs and labels that the configuration searches for, and that nothing on this disk has."""
    serial_console: bool
    """Whether a kernel's console is on a serial port."""
    read_from: tuple[str, ...]


class CloudInit(Value, frozen=True):
    """cloud-init, and what lets the root file system grow."""

    installed: bool
    version: str | Unknown | None
    """As its developers count, without the packager's suffix: `23.4.4`, `0.7.6a15`; null where it is not installed."""
    datasources: tuple[str, ...] | Unknown
    """`datasource_list` of its configuration; empty where it is not set, and all are tried."""
    disabled: bool | Unknown
    """By /etc/cloud/cloud-init.disabled or by its services."""
    growpart: bool
    resize_tools: tuple[str, ...]
    """Those that are there: `resize2fs` `xfs_growfs` `btrfs` `systemd-growfs`."""
    read_from: tuple[str, ...]


class Interface(Value, frozen=True):
    """One configured network interface."""

    name: str
    """Or the pattern, MAC address or driver that it is matched by."""
    method: Literal["dhcp", "static", "manual", "none"]
    """IPv4: how it gets its address."""
    addresses: tuple[str, ...]
    mac: str | None
    """The hardware address that the configuration is bound to, or that it gives the interface."""
    starts_at_boot: bool
    read_from: str


class Network(Value, frozen=True):
    """Network configuration."""

    managers: tuple[str, ...]
    """Who configures it at boot: `ifupdown` `network-scripts` `netplan` `NetworkManager` `systemd-networkd` `wicked`
    `dhcpcd` `cloud-init` `netctl` `netifrc` `connman`."""
    interfaces: tuple[Interface, ...]
    """Without the loopback. Where there is none, `NetworkManager`, `dhcpcd` and `cloud-init` still ask for DHCP."""
    persistent_names: tuple[str, ...]
    """udev rules that bind a name to a MAC address, as `eth0 52:54:00:…`."""
    resolvers: tuple[str, ...]
    read_from: tuple[str, ...]


class Services(Value, frozen=True):
    """What starts at boot."""

    init: Literal["systemd", "sysvinit", "upstart", "openrc", "busybox", "other"]
    enabled: tuple[str, ...]
    """Names of enabled units or scripts, sorted, without `.service`."""
    sshd: bool | None
    """Whether an SSH server is enabled; null where none is installed."""
    firewalls: tuple[str, ...]
    """Enabled ones: `firewalld` `iptables` `nftables` `ufw` `SuSEfirewall2` `shorewall`; of FreeBSD `pf` `ipfw`
    `ipfilter`."""
    qemu_guest_agent: bool
    """Installed."""
    cloud_assistant: bool
    """Alibaba Cloud's agent (aliyun.service) installed."""
    security_center_agent: bool
    """Alibaba Cloud's agent (aegis) installed."""
    read_from: tuple[str, ...]


class Security(Value, frozen=True):
    """Who can log in, and what keeps the cloud from setting the guest up."""

    selinux: Literal["enforcing", "permissive", "disabled"] | Unknown | None
    """Null where SELinux is not installed."""
    root_account: Literal["password", "locked", "no-password", "absent"] | Unknown
    """`password`: it has one. `locked`: logging in by password is impossible. `no-password`: the empty one."""
    root_shell: str | Unknown | None
    """Null where there is no root account."""
    root_authorized_keys: bool | Unknown
    permit_root_login: str | Unknown | None
    """PermitRootLogin of sshd_config in lower case; null where it is not set."""
    password_authentication: bool | Unknown | None
    """PasswordAuthentication of sshd_config; null where it is not set."""
    passwd_command: bool | Unknown
    shadow_immutable: bool | Unknown
    """Whether /etc/shadow has the immutable attribute, which keeps the cloud from setting a password."""
    rtc: Literal["utc", "local"] | Unknown
    """What the hardware clock holds, by /etc/adjtime and its predecessors; utc where nothing is said."""
    absolute_lib_links: tuple[str, ...] | Unknown
    """Which of /lib and /lib64 are links with an absolute target."""
    swap: tuple[str, ...] | Unknown
    """Where swap is: `partition 3`, `/swapfile`."""
    hibernated: bool
    """Whether a swap area holds the memory of a suspended system."""
    read_from: tuple[str, ...]


class WindowsDriver(Value, frozen=True):
    """A driver service of Windows."""

    service: str
    image_path: str | None
    start: Literal["boot", "system", "auto", "demand", "disabled"] | None
    file_present: bool
    package: str | None
    """Folder of its signed package in the driver store, where one is recorded."""


class Windows(Value, frozen=True):
    """What only Windows has. Where a hive is missing or damaged, what it would tell is `Unknown`."""

    product_name: str | Unknown | None
    """ProductName, with the 11 of Windows 11, which calls itself 10 there."""
    edition_id: str | Unknown | None
    """`ServerStandard`, `Professional`."""
    installation_type: Literal["server", "server-core", "client"] | Unknown
    version: str | Unknown | None
    """Of the NT kernel: `10.0`, `6.3`."""
    build: int | Unknown | None
    update_revision: int | Unknown | None
    service_pack: str | Unknown | None
    drivers: tuple[WindowsDriver, ...] | Unknown
    """Those of virtio, Xen and NVMe that are installed."""
    virtio_storage: Literal["boot", "present", "missing"] | Unknown
    """`boot`: viostor or vioscsi is there and starts at boot. `present`: its file is there, but does not start so."""
    virtio_network: Literal["present", "missing"] | Unknown
    hives_missing: tuple[str, ...]
    """Of `SYSTEM` `SOFTWARE` `SAM` `SECURITY` `DEFAULT`."""
    hives_damaged: tuple[str, ...]
    hives_dirty: tuple[str, ...]
    """Whose last changes are only in their transaction logs, which are not read: what they tell may be out of date."""
    bcd_present: bool | Unknown
    """A BCD store that is a whole registry hive; before Vista, boot.ini."""
    bootmgr_present: bool | Unknown
    """bootmgr or bootmgfw.efi; before Vista, ntldr."""
    desktop_config_present: bool | Unknown | None
    """desktop.ini of the public desktop; null before Vista, which has none."""
    hotfixes: tuple[str, ...] | Unknown
    """Installed updates, as `KB5009624`."""
    disk_upper_filters: tuple[str, ...] | Unknown
    """UpperFilters of the disk class whose service or driver file is missing."""
    xen_hide_devices: bool | Unknown
    device_install_disabled: bool | Unknown
    sysprep_pending: bool | Unknown
    """A phase of setup began and did not end. An image that sysprep sealed is not meant."""
    update_pending: bool | Unknown
    hibernated: bool | Unknown
    """hiberfil.sys holds a suspended session, or fast startup left one."""
    dirty_volumes: tuple[str, ...]
    """File systems, as `FileSystem.on`, whose NTFS dirty flag is set."""
    rdp_enabled: bool | Unknown
    firewall_enabled: bool | Unknown
    """For any of the profiles."""
    cloud_assistant: bool | Unknown
    qemu_guest_agent: bool | Unknown
    rtc_is_utc: bool | Unknown
    read_from: tuple[str, ...]


class Guest(Value, frozen=True):
    """The operating system inside an image."""

    os_type: Literal["linux", "windows", "freebsd"]
    distro: str | Unknown
    """os-release ID, or the classic name in lower case; `windows`."""
    name: str | Unknown
    """For a person: os-release PRETTY_NAME or NAME, or the Windows product name."""
    version: str | Unknown | None
    """As the distribution counts, with as much detail as its own files give; null for one that has no versions."""
    architecture: str | Unknown
    """From the header of a real binary: `x86_64` `i386` `arm64` `arm` `riscv64` `ppc64le` `s390x` `loongarch64`."""
    boot_modes: tuple[Literal["bios", "uefi"], ...] | Unknown
    root: str
    """Where the root file system lies, as `FileSystem.on`."""
    root_subvolume: str | None
    """btrfs: path of the subvolume that is the root; null for others."""
    variant: str | None
    """os-release VARIANT_ID, or null."""
    kernels: Kernels | Unknown
    fstab: Fstab | Unknown
    boot_loader: BootLoader | Unknown
    virtio: Virtio | Unknown
    nvme: Nvme | Unknown
    cloud_init: CloudInit | Unknown
    network: Network | Unknown
    services: Services | Unknown
    security: Security | Unknown
    windows: Windows | Unknown | None
    """Null for other systems."""
    read_from: tuple[str, ...]
    """Where distribution, version and architecture were read."""
    custom_image_directory: bool | Unknown = Unknown("it was not looked for")
    """Whether the partition that begins first has the directory aliyun_custom_image at its top, into which Alibaba
    Cloud writes the settings of an instance of a guest that sets itself up."""
