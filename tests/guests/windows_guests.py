"""Sound guests of Windows from XP to 2025, as their setup leaves them: the files and registry keys that matter."""

import struct
from functools import cache
from typing import NamedTuple

from tests.contents.phony import Content
from tests.guests.hives import Keys, Value, hive, minimal

CONFIG = "/Windows/System32/config"
CURRENT_VERSION = r"Microsoft\Windows NT\CurrentVersion"
PACKAGES = r"Microsoft\Windows\CurrentVersion\Component Based Servicing\Packages"


class Version(NamedTuple):
    """One Windows, and how its registry has it."""

    product_name: str
    name: str
    edition_id: str | None
    stated_type: str | None
    installation_type: str
    version: str
    build: int
    revision: int | None
    service_pack: str | None
    architecture: str
    label: str

    @property
    def full_version(self) -> str:
        return f"{self.version}.{self.build}" + (f".{self.revision}" if self.revision is not None else "")


VERSIONS = {
    "xp": Version(
        "Microsoft Windows XP",
        "Microsoft Windows XP",
        *(None, None, "client", "5.1", 2600, None, "Service Pack 3", "i386", "2600.xpsp.080413-2111"),
    ),
    "2003": Version(
        "Microsoft Windows Server 2003 R2",
        "Microsoft Windows Server 2003 R2",
        *(None, None, "server", "5.2", 3790, None, "Service Pack 2", "i386", "3790.srv03_sp2_rtm.070216-1710"),
    ),
    "2008": Version(
        "Windows Server (R) 2008 Standard",
        "Windows Server 2008 Standard",
        *("ServerStandard", "Server", "server", "6.0", 6002, None, "Service Pack 2", "x86_64"),
        "6002.18005.amd64fre.lh_sp2rtm.090410-1830",
    ),
    "2008r2": Version(
        "Windows Server 2008 R2 Enterprise",
        "Windows Server 2008 R2 Enterprise",
        *("ServerEnterprise", "Server", "server", "6.1", 7601, None, "Service Pack 1", "x86_64"),
        "7601.17514.amd64fre.win7sp1_rtm.101119-1850",
    ),
    "7": Version(
        "Windows 7 Professional",
        "Windows 7 Professional",
        *("Professional", "Client", "client", "6.1", 7601, None, "Service Pack 1", "i386"),
        "7601.17514.x86fre.win7sp1_rtm.101119-1850",
    ),
    "2012r2": Version(
        "Windows Server 2012 R2 Standard",
        "Windows Server 2012 R2 Standard",
        *("ServerStandard", "Server", "server", "6.3", 9600, 20478, None, "x86_64"),
        "9600.20478.amd64fre.winblue_ltsb.220613-1700",
    ),
    "hyper-v": Version(
        "Hyper-V Server 2016",
        "Hyper-V Server 2016",
        *("ServerHyperCore", "Server Core", "server-core", "10.0", 14393, 5192, None, "x86_64"),
        "14393.5192.amd64fre.rs1_release.220610-1622",
    ),
    "10": Version(
        "Windows 10 Pro",
        "Windows 10 Pro",
        *("Professional", "Client", "client", "10.0", 19045, 3693, None, "x86_64"),
        "19041.1.amd64fre.vb_release.191206-1406",
    ),
    "11": Version(
        "Windows 10 Pro",
        "Windows 11 Pro",
        *("Professional", "Client", "client", "10.0", 22631, 2861, None, "x86_64"),
        "22621.1.amd64fre.ni_release.220506-1250",
    ),
    "2022": Version(
        "Windows Server 2022 Datacenter",
        "Windows Server 2022 Datacenter",
        *("ServerDatacenter", "Server", "server", "10.0", 20348, 2113, None, "x86_64"),
        "20348.859.amd64fre.fe_release_svc_prod2.220707-1832",
    ),
    "2025": Version(
        "Windows Server 2025 Standard",
        "Windows Server 2025 Standard",
        *("ServerStandard", "Server Core", "server-core", "10.0", 26100, 1742, None, "x86_64"),
        "26100.1.amd64fre.ge_release.240331-1435",
    ),
}
MACHINES = {"i386": 0x014C, "x86_64": 0x8664}


def pe(machine: int) -> bytes:
    """The beginning of a program for Windows."""
    head = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0xF8)
    return head.ljust(0xF8, b"\0") + struct.pack("<4sHHIIIHH", b"PE\0\0", machine, 24, 0, 0, 0, 240, 0x22) + bytes(512)


def is_old(version: str) -> bool:
    """Before Vista."""
    return VERSIONS[version].version.startswith("5.")


def merged(first: Keys, second: Keys) -> Keys:
    """The keys of both; a value of the second wins."""
    keys = {path: dict(values) for path, values in first.items()}
    for path, values in second.items():
        keys.setdefault(path, {}).update(values)
    return keys


def software(version: str, more: Keys | None = None) -> Keys:
    """The hive SOFTWARE."""
    facts = VERSIONS[version]
    current: dict[str, Value] = {
        "ProductName": facts.product_name,
        "CurrentVersion": "6.3" if facts.version == "10.0" else facts.version,
        "CurrentBuildNumber": str(facts.build),
        "CurrentBuild": "1.511.1 () (Obsolete data - do not use)" if is_old(version) else str(facts.build),
        "BuildLab" if is_old(version) else "BuildLabEx": facts.label,
        "SystemRoot": r"C:\Windows",
    }
    if facts.version == "10.0":
        current |= {"CurrentMajorVersionNumber": 10, "CurrentMinorVersionNumber": 0}
    optional = {
        "EditionID": facts.edition_id,
        "InstallationType": facts.stated_type,
        "UBR": facts.revision,
        "CSDVersion": facts.service_pack,
    }
    current |= {name: value for name, value in optional.items() if value is not None}
    keys: dict[str, dict[str, Value]] = {CURRENT_VERSION: current}
    if not is_old(version):
        keys[r"Microsoft\Windows\CurrentVersion\Setup\State"] = {"ImageState": "IMAGE_STATE_COMPLETE"}
        foundation = rf"{PACKAGES}\Microsoft-Windows-Foundation-Package~31bf3856ad364e35~amd64~~10.0.20348.1"
        keys[foundation] = {"CurrentState": 0x70, "InstallClient": "DISM Package Manager Provider"}
    return merged(keys, more or {})


def system(version: str, more: Keys | None = None) -> Keys:
    """The hive SYSTEM."""
    control, services = r"ControlSet001\Control", r"ControlSet001\Services"
    firewall = rf"{services}\SharedAccess\Parameters\FirewallPolicy"
    profiles = ("StandardProfile", "DomainProfile") + (() if is_old(version) else ("PublicProfile",))
    keys: dict[str, dict[str, Value]] = {
        "Select": {"Current": 1, "Default": 1, "Failed": 0, "LastKnownGood": 1},
        "Setup": {"SystemSetupInProgress": 0, "OOBEInProgress": 0, "SetupType": 0, "CmdLine": "setup -newsetup"},
        rf"{control}\Terminal Server": {"fDenyTSConnections": 0},
        rf"{control}\TimeZoneInformation": {"TimeZoneKeyName": "China Standard Time"},
        rf"{control}\Session Manager": {"BootExecute": ["autocheck autochk *"]},
        rf"{control}\Session Manager\Power": {"HiberbootEnabled": 0},
        rf"{control}\Class\{{4d36e967-e325-11ce-bfc1-08002be10318}}": {
            "Class": "DiskDrive",
            "UpperFilters": ["partmgr"],
        },
        rf"{services}\partmgr": {"Start": 0, "ImagePath": r"System32\drivers\partmgr.sys"},
        rf"{services}\TermService": {"Start": 3},
        rf"{services}\viostor": {"Start": 0, "ImagePath": r"System32\drivers\viostor.sys", "Group": "SCSI miniport"},
        rf"{services}\netkvm": {"Start": 3, "ImagePath": r"\SystemRoot\System32\drivers\netkvm.sys", "Group": "NDIS"},
        **{rf"{firewall}\{profile}": {"EnableFirewall": 0} for profile in profiles},
    }
    if VERSIONS[version].version == "10.0":
        keys[rf"{services}\viostor"]["Owners"] = ["oem3.inf"]
        keys[rf"{services}\netkvm"]["Owners"] = ["oem2.inf"]
        keys[rf"{services}\stornvme"] = {"Start": 0, "ImagePath": r"System32\drivers\stornvme.sys"}
        keys[rf"{services}\stornvme\StartOverride"] = {"0": 3}
        folder = "viostor.inf_amd64_7e4e1a02d5c0a3b8"
        keys[r"DriverDatabase\DriverInfFiles\oem3.inf"] = {"": [folder], "Active": folder}
    return merged(keys, more or {})


def boot_store() -> bytes:
    """A BCD store with the boot manager in it."""
    manager = r"Objects\{9dea862c-5cdd-4e70-acc1-f32b344d4795}\Description"
    return hive({manager: {"Type": 0x10100002}}, minimal(3))


@cache
def _hives(version: str) -> dict[str, bytes]:
    others = dict.fromkeys(("SAM", "SECURITY", "DEFAULT"), minimal(3))
    found = {"SYSTEM": hive(system(version)), "SOFTWARE": hive(software(version)), **others}
    if VERSIONS[version].version == "10.0":
        folder = "netkvm.inf_amd64_805ada81dc455029"
        found["DRIVERS"] = hive({r"DriverDatabase\DriverInfFiles\oem2.inf": {"": [folder], "Active": folder}})
    return found


def files(version: str) -> dict[str, Content]:
    """All files of a sound guest that starts by BIOS from its only partition."""
    root = "/WINDOWS/system32" if is_old(version) else "/Windows/System32"
    lower = ("SYSTEM", "SOFTWARE", "DEFAULT") if is_old(version) else ()
    program = pe(MACHINES[VERSIONS[version].architecture])
    drivers = ("viostor", "netkvm", "partmgr", "stornvme")
    found: dict[str, Content] = {
        **{f"{root}/config/{name.lower() if name in lower else name}": data for name, data in _hives(version).items()},
        **{f"{root}/drivers/{name}.sys": program for name in drivers},
        f"{root}/ntoskrnl.exe": program,
        "/pagefile.sys": b"",
    }
    if is_old(version):
        found |= {"/ntldr": b"\xe9", "/boot.ini": "[boot loader]\r\ntimeout=30\r\n", "/Documents and Settings/": ""}
    else:
        found |= {
            "/bootmgr": b"\xe9",
            "/Boot/BCD": boot_store(),
            "/Users/Public/Desktop/desktop.ini": "[.ShellClassInfo]",
        }
    return found
