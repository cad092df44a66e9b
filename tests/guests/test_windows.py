"""Windows of all ages, in phony trees with hives by hivexregedit."""

import struct
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from preflight.contents import ContentsError, Node
from preflight.contents.tree import Tree
from preflight.facts import Unknown
from preflight.guest_facts import Windows
from preflight.guests.windows import read_windows, read_windows_identity
from tests.contents.phony import Content, PhonyReader, tree
from tests.guests.hives import Keys, hive, minimal
from tests.guests.windows_guests import CONFIG, PACKAGES, VERSIONS, boot_store, files, pe, software, system

DISK_CLASS = r"ControlSet001\Control\Class\{4d36e967-e325-11ce-bfc1-08002be10318}"
SERVICES = r"ControlSet001\Services"


def windows(changed: dict[str, Content | None] | None = None, version: str = "2022", **more: Any) -> Windows:
    """The facts about a sound guest with some files changed, or taken away with None."""
    contents: dict[str, Content | None] = {**files(version), **(changed or {})}
    facts = read_windows(tree({path: content for path, content in contents.items() if content is not None}), **more)
    assert isinstance(facts, Windows)
    assert msgspec.json.decode(msgspec.json.encode(facts), type=Windows) == facts
    return facts


def with_software(keys: Keys, version: str = "2022") -> Windows:
    return windows({f"{CONFIG}/SOFTWARE": hive(software(version, keys))}, version)


def with_system(keys: Keys, version: str = "2022", changed: dict[str, Content | None] | None = None) -> Windows:
    return windows({f"{CONFIG}/SYSTEM": hive(system(version, keys)), **(changed or {})}, version)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_windows_is_known_by_name_and_version(version: str) -> None:
    expected = VERSIONS[version]
    identity = read_windows_identity(tree(files(version)))
    assert identity is not None
    assert identity.name == expected.name
    assert identity.version == expected.full_version
    assert identity.architecture == expected.architecture
    assert identity.distro == "windows"
    facts = windows(version=version)
    assert (facts.version, facts.build, facts.update_revision, facts.service_pack) == (
        expected.version,
        expected.build,
        expected.revision,
        expected.service_pack,
    )
    assert facts.installation_type == expected.installation_type
    assert facts.edition_id == expected.edition_id


@pytest.mark.parametrize("version", VERSIONS)
def test_a_sound_guest_has_no_defect(version: str) -> None:
    facts = windows(version=version)
    old = VERSIONS[version].version in ("5.1", "5.2")
    assert facts.virtio_storage == "boot"
    assert facts.virtio_network == "present"
    assert facts.hives_missing == facts.hives_damaged == ()
    assert facts.bcd_present is facts.bootmgr_present is True
    assert facts.desktop_config_present is (None if old else True)
    assert facts.disk_upper_filters == ()
    assert facts.dirty_volumes == ()
    for value in (
        facts.xen_hide_devices,
        facts.device_install_disabled,
        facts.sysprep_pending,
        facts.update_pending,
        facts.hibernated,
        facts.firewall_enabled,
        facts.cloud_assistant,
        facts.qemu_guest_agent,
        facts.rtc_is_utc,
    ):
        assert value is False
    assert facts.rdp_enabled is True


def test_a_volume_without_windows_is_none() -> None:
    for contents in ({"/etc/fstab": ""}, {"/Windows/": ""}, {"/Windows/System32/drivers/": ""}, {"/Windows": "file"}):
        phony = tree(contents)
        assert read_windows_identity(phony) is None
        assert read_windows(phony) == Unknown("no Windows is on this volume")


def test_the_label_of_the_build_tells_the_architecture_where_no_program_does() -> None:
    contents = files("2022")
    contents["/Windows/System32/ntoskrnl.exe"] = b"MZ" + bytes(600)
    identity = read_windows_identity(tree(contents))
    assert identity is not None
    assert identity.architecture == "x86_64"


def test_arm64_is_read_from_the_kernel() -> None:
    contents = files("11")
    contents["/Windows/System32/ntoskrnl.exe"] = pe(0xAA64)
    identity = read_windows_identity(tree(contents))
    assert identity is not None
    assert identity.architecture == "arm64"
    assert "/Windows/System32/ntoskrnl.exe" in identity.read_from


def test_drivers_are_told_with_start_file_and_package() -> None:
    facts = windows()
    assert isinstance(facts.drivers, tuple)
    drivers = {driver.service: driver for driver in facts.drivers}
    assert drivers["viostor"].image_path == r"System32\drivers\viostor.sys"
    assert drivers["viostor"].start == "boot"
    assert drivers["viostor"].package == "viostor.inf_amd64_7e4e1a02d5c0a3b8"
    assert drivers["netkvm"].start == "demand"
    assert drivers["netkvm"].package == "netkvm.inf_amd64_805ada81dc455029"  # from the hive DRIVERS
    assert drivers["stornvme"].start == "demand"  # by StartOverride: it was installed on another disk
    assert drivers["stornvme"].file_present


def test_a_driver_that_does_not_start_at_boot_is_only_present() -> None:
    assert with_system({rf"{SERVICES}\viostor": {"Start": 3}}).virtio_storage == "present"
    assert with_system({rf"{SERVICES}\viostor": {"Start": 4}}).virtio_storage == "present"
    assert with_system({rf"{SERVICES}\viostor\StartOverride": {"0": 3}}).virtio_storage == "present"
    assert with_system({rf"{SERVICES}\viostor\StartOverride": {"0": 0}}).virtio_storage == "boot"


def test_a_driver_without_its_file_is_missing() -> None:
    facts = windows({"/Windows/System32/drivers/viostor.sys": None, "/Windows/System32/drivers/netkvm.sys": None})
    assert facts.virtio_storage == facts.virtio_network == "missing"
    assert isinstance(facts.drivers, tuple)
    assert [driver.service for driver in facts.drivers if not driver.file_present] == ["viostor", "netkvm"]


def test_a_driver_that_was_only_copied_is_present() -> None:
    keys = {key: values for key, values in system("2022").items() if not key.endswith("viostor")}
    assert windows({f"{CONFIG}/SYSTEM": hive(keys)}).virtio_storage == "present"


@pytest.mark.parametrize(
    "path",
    [
        r"\SystemRoot\System32\drivers\viostor.sys",
        r"system32\DRIVERS\viostor.sys",
        r"%SystemRoot%\system32\drivers\viostor.sys",
        r"\??\C:\Windows\System32\drivers\viostor.sys",
        r"C:\WINDOWS\system32\drivers\VIOSTOR.SYS",
    ],
)
def test_image_paths_are_found_in_all_their_spellings(path: str) -> None:
    assert with_system({rf"{SERVICES}\viostor": {"ImagePath": path}}).virtio_storage == "boot"


def test_a_driver_may_be_started_from_the_driver_store() -> None:
    store = "System32/DriverStore/FileRepository/viostor.inf_amd64_7e4e1a02d5c0a3b8/viostor.sys"
    facts = with_system(
        {rf"{SERVICES}\viostor": {"ImagePath": "\\SystemRoot\\" + store.replace("/", "\\")}},
        changed={f"/Windows/{store}": pe(0x8664), "/Windows/System32/drivers/viostor.sys": None},
    )
    assert facts.virtio_storage == "boot"


def test_xen_drivers_are_told() -> None:
    facts = with_system({rf"{SERVICES}\xenvbd": {"Start": 0}, rf"{SERVICES}\XenPCI": {"Start": 0}})
    assert isinstance(facts.drivers, tuple)
    assert {"xenvbd", "XenPCI"} <= {driver.service for driver in facts.drivers}


def test_the_control_set_is_the_one_that_select_names() -> None:
    keys = {key.replace("ControlSet001", "ControlSet003"): values for key, values in system("2022").items()}
    keys["ControlSet001\\Services\\viostor"] = {"Start": 4}
    keys["Select"] = {"Current": 3, "Default": 3}
    assert windows({f"{CONFIG}/SYSTEM": hive(keys)}).virtio_storage == "boot"


def test_a_control_set_that_is_not_there_makes_its_facts_unknown() -> None:
    facts = with_system({"Select": {"Current": 7}})
    assert isinstance(facts.virtio_storage, Unknown)
    assert "ControlSet007" in facts.virtio_storage.unknown
    assert facts.hives_damaged == ()


def test_left_over_disk_filters_are_found() -> None:
    keys: Keys = {
        DISK_CLASS: {"UpperFilters": ["partmgr", "snapman", "vsflt53", "gone"]},
        rf"{SERVICES}\snapman": {"ImagePath": r"system32\DRIVERS\snapman.sys", "Start": 0},
        rf"{SERVICES}\vsflt53": {"ImagePath": r"system32\DRIVERS\vsflt53.sys", "Start": 0},
    }
    facts = with_system(keys, changed={"/Windows/System32/drivers/snapman.sys": pe(0x8664)})
    assert facts.disk_upper_filters == ("vsflt53", "gone")


def test_hidden_xen_devices_are_told() -> None:
    key = rf"{SERVICES}\XenPCI\Parameters"
    assert with_system({key: {"hide_devices": ["IDE"]}}).xen_hide_devices is True
    assert with_system({key: {"hide_devices": "VEN_8086&DEV_7010"}}).xen_hide_devices is True
    assert with_system({key: {"hide_devices": ""}}).xen_hide_devices is False
    assert with_system({key: {"hide_devices": [""]}}).xen_hide_devices is False


@pytest.mark.parametrize("service", ["DeviceInstall", "PlugPlay"])
def test_a_disabled_device_installation_is_told(service: str) -> None:
    key = rf"{SERVICES}\{service}\Parameters"
    assert with_system({key: {"DeviceInstallDisabled": 1}}).device_install_disabled is True
    assert with_system({key: {"DeviceInstallDisabled": 0}}).device_install_disabled is False


def test_remote_desktop_is_off_by_setting_policy_or_service() -> None:
    server = r"ControlSet001\Control\Terminal Server"
    assert with_system({server: {"fDenyTSConnections": 1}}).rdp_enabled is False
    assert with_system({rf"{SERVICES}\TermService": {"Start": 4}}).rdp_enabled is False
    policy = r"Policies\Microsoft\Windows NT\Terminal Services"
    assert with_software({policy: {"fDenyTSConnections": 1}}).rdp_enabled is False


def test_the_firewall_is_on_with_any_profile() -> None:
    policy = rf"{SERVICES}\SharedAccess\Parameters\FirewallPolicy"
    on: Keys = {rf"{policy}\PublicProfile": {"EnableFirewall": 1}}
    assert with_system(on).firewall_enabled is True
    assert with_system({**on, rf"{SERVICES}\mpssvc": {"Start": 4}}).firewall_enabled is False
    group = r"Policies\Microsoft\WindowsFirewall\DomainProfile"
    assert with_software({group: {"EnableFirewall": 1}}).firewall_enabled is True


def test_a_universal_hardware_clock_is_told() -> None:
    key = r"ControlSet001\Control\TimeZoneInformation"
    assert with_system({key: {"RealTimeIsUniversal": 1}}).rtc_is_utc is True
    assert with_system({key: {"RealTimeIsUniversal": 0}}).rtc_is_utc is False


@pytest.mark.parametrize(
    ("state", "setup", "pending"),
    [
        ("IMAGE_STATE_COMPLETE", {"SystemSetupInProgress": 0, "OOBEInProgress": 0}, False),
        ("IMAGE_STATE_COMPLETE", {"SystemSetupInProgress": 1, "CmdLine": r"oobe\windeploy.exe"}, True),
        ("IMAGE_STATE_COMPLETE", {"SystemSetupInProgress": 0, "OOBEInProgress": 1}, True),
        ("IMAGE_STATE_UNDEPLOYABLE", {"SystemSetupInProgress": 0}, True),
        (
            "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE",
            {"SystemSetupInProgress": 1, "OOBEInProgress": 1, "CmdLine": r"oobe\windeploy.exe", "SetupType": 2},
            False,
        ),
        ("IMAGE_STATE_GENERALIZE_RESEAL_TO_AUDIT", {"SystemSetupInProgress": 1}, False),
        ("IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE", {"SystemSetupInProgress": 1}, False),
    ],
)
def test_only_an_interrupted_setup_is_pending(state: str, setup: dict[str, int | str], pending: bool) -> None:
    facts = windows(
        {
            f"{CONFIG}/SOFTWARE": hive(
                software("2022", {r"Microsoft\Windows\CurrentVersion\Setup\State": {"ImageState": state}})
            ),
            f"{CONFIG}/SYSTEM": hive(system("2022", {"Setup": setup})),
        }
    )
    assert facts.sysprep_pending is pending


def test_a_sealed_windows_2003_is_not_pending() -> None:
    sealed: Keys = {"Setup": {"SystemSetupInProgress": 1, "CmdLine": "setup -newsetup -mini", "MiniSetupInProgress": 1}}
    facts = windows({"/WINDOWS/system32/config/system": hive(system("2003", sealed))}, "2003")
    assert facts.sysprep_pending is False
    broken: Keys = {"Setup": {"SystemSetupInProgress": 1, "CmdLine": "setup -newsetup"}}
    facts = windows({"/WINDOWS/system32/config/system": hive(system("2003", broken))}, "2003")
    assert facts.sysprep_pending is True


def test_pending_updates_are_told_by_each_of_their_signs() -> None:
    servicing = PACKAGES.rpartition("\\")[0]
    assert windows({"/Windows/WinSxS/pending.xml": "<PendingTransaction/>"}).update_pending is True
    assert with_software({rf"{servicing}\RebootPending": {}}).update_pending is True
    automatic = r"Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired"
    assert with_software({automatic: {}}).update_pending is True
    rollup = rf"{PACKAGES}\Package_for_RollupFix~31bf3856ad364e35~amd64~~20348.2113.1.3"
    assert with_software({rollup: {"CurrentState": 0x60}}).update_pending is True
    manager = r"ControlSet001\Control\Session Manager"
    replaced = [r"\??\C:\Windows\WinSxS\Temp\PendingRenames\1.cdf-ms", r"!\??\C:\Windows\WinSxS\FileMaps\1.cdf-ms"]
    assert with_system({manager: {"PendingFileRenameOperations": replaced}}).update_pending is True


def test_pending_xml_is_work_for_the_next_start_and_so_is_its_name_in_the_hive_components() -> None:
    done: Keys = {r"CanonicalData\Catalogs": {}, r"DerivedData\Components": {}}
    components = hive(done)
    assert windows({f"{CONFIG}/COMPONENTS": components}).update_pending is False
    left: dict[str, Content | None] = {"/Windows/WinSxS/pending.xml": "<PendingTransaction/>"}
    assert windows({**left, f"{CONFIG}/COMPONENTS": components}).update_pending is True
    left["/Windows/WinSxS/pending.xml"] = ""
    assert windows({**left, f"{CONFIG}/COMPONENTS": components}).update_pending is False
    queued = hive({"": {"PendingXmlIdentifier": b"\x01\xda"}, **done})
    assert windows({f"{CONFIG}/COMPONENTS": queued}).update_pending is True


def test_files_that_an_installer_wants_deleted_are_no_update() -> None:
    manager = r"ControlSet001\Control\Session Manager"
    deleted = [r"\??\C:\Users\ADMINI~1\AppData\Local\Temp\nsu1234.tmp", "", r"\??\C:\Windows\WinSxS\Temp\x", ""]
    assert with_system({manager: {"PendingFileRenameOperations": deleted}}).update_pending is False


def test_hotfixes_are_those_in_force() -> None:
    def package(name: str, state: int) -> Keys:
        return {rf"{PACKAGES}\{name}": {"InstallName": f"{name}.mum", "CurrentState": state}}

    facts = with_software(
        {
            **package("Package_for_KB5009624~31bf3856ad364e35~amd64~~6.3.1.3", 0x70),
            **package("Package_1_for_KB5009624~31bf3856ad364e35~amd64~~6.3.1.3", 0x70),
            **package("Package_for_KB3033929~31bf3856ad364e35~amd64~~6.1.1.1", 0x80),
            **package("Package_for_KB4000001~31bf3856ad364e35~amd64~~6.3.1.0", 0x40),
            **package("Package_for_KB4000002~31bf3856ad364e35~amd64~~6.3.1.0", 0x50),
            **package("Package_for_KB4000003~31bf3856ad364e35~amd64~~6.3.1.0", 0x00),
            **package("Package_for_RollupFix~31bf3856ad364e35~amd64~~20348.469.1.6", 0x70),
            **package("Package_for_RollupFix~31bf3856ad364e35~amd64~~20348.768.1.1", 0x50),
            **package("Package_for_RollupFix~31bf3856ad364e35~amd64~~20348.4690.1.6", 0x70),
            **package("Microsoft-Windows-Foundation-Package~31bf3856ad364e35~amd64~~10.0.20348.1", 0x70),
        }
    )
    assert facts.hotfixes == ("KB3033929", "KB5009555", "KB5009624")
    assert facts.update_pending is False


def test_the_number_of_a_cumulative_update_is_in_its_manifest() -> None:
    for name in (
        "Package_for_RollupFix~31bf3856ad364e35~amd64~~20348.2113.1.11",
        "Package_for_RollupFix~31bf3856ad364e35~amd64~~9600.21013.1.3",  # a monthly rollup of 2012 R2
    ):
        _is_told_by_manifest(name)


def _is_told_by_manifest(name: str) -> None:
    head = '<?xml version="1.0"?>\n<assembly description="Fix for KB5032198">\n  <assemblyIdentity name="Package"/>'
    body = f'{head}\n  <package identifier="KB5032198" releaseType="Security Update">\n' + "<update/>\n" * 20_000
    for state, manifest, hotfixes in (
        (0x70, body, ("KB5032198",)),
        (0x50, body, ()),  # superseded
        (0x70, head, ()),
        (0x70, None, ()),
    ):
        content = hive(software("2022", {rf"{PACKAGES}\{name}": {"CurrentState": state}}))
        changed: dict[str, Content | None] = {f"{CONFIG}/SOFTWARE": content}
        facts = windows({**changed, f"/Windows/servicing/Packages/{name}.mum": manifest})
        assert facts.hotfixes == hotfixes


def test_hotfixes_are_found_among_thousands_of_packages_with_few_reads() -> None:
    state: dict[str, int | str | bytes | list[str]] = {"CurrentState": 0x70}
    names = [f"Package_{number}_for_KB4{number:06}~31bf3856ad364e35~amd64~~6.1.1.1" for number in range(700)]
    names += [f"Microsoft-Windows-Feature{number}~31bf3856ad364e35~amd64~~6.1.1.1" for number in range(700)]
    wanted = [f"KB3{number:06}" for number in range(30)]
    names += [f"Package_for_{name}~31bf3856ad364e35~amd64~~6.1.1.1" for name in wanted]
    content = hive(software("2008r2", {rf"{PACKAGES}\{name}": state for name in names}))
    reader = PhonyReader({**files("2008r2"), f"{CONFIG}/SOFTWARE": content})
    facts = read_windows(Tree(reader))
    assert isinstance(facts, Windows)
    assert facts.hotfixes == tuple(wanted)
    assert reader.bytes_read < 1_500_000  # of 15 MB, which hivexregedit makes of these


def test_too_long_a_list_of_packages_costs_only_itself() -> None:
    state: dict[str, int | str | bytes | list[str]] = {"CurrentState": 0x70, "InstallName": "x" * 2000}
    names = [f"Package_for_KB3{number:06}~31bf3856ad364e35~amd64~~6.1.1.1" for number in range(1200)]
    content = hive(software("2008r2", {rf"{PACKAGES}\{name}": state for name in names}))
    facts = windows({f"{CONFIG}/SOFTWARE": content}, "2008r2")
    assert isinstance(facts.hotfixes, Unknown)
    assert "bytes of it would be read" in facts.hotfixes.unknown
    assert facts.rdp_enabled is True
    assert facts.firewall_enabled is facts.sysprep_pending is False
    assert facts.build == 7601


def test_hotfixes_of_windows_2003_are_in_their_own_key() -> None:
    key = r"Microsoft\Windows NT\CurrentVersion\HotFix"
    facts = windows(
        {"/WINDOWS/system32/config/software": hive(software("2003", {rf"{key}\KB958644": {"Installed": 1}}))}, "2003"
    )
    assert facts.hotfixes == ("KB958644",)


@pytest.mark.parametrize("name", ["SYSTEM", "SOFTWARE", "SAM", "SECURITY", "DEFAULT"])
def test_missing_and_damaged_hives_are_named(name: str) -> None:
    assert windows({f"{CONFIG}/{name}": None}).hives_missing == (name,)
    sound = files("2022")[f"{CONFIG}/{name}"]
    assert isinstance(sound, bytes)
    for broken in (
        b"",
        bytes(len(sound)),
        sound[:4096],
        sound[:-1],  # shorter than its header says
        sound[:508] + bytes(4) + sound[512:],  # checksum
        sound[:4096] + b"nibh" + sound[4100:],
        sound[:4096] + bytes(len(sound) - 4096),
    ):
        facts = windows({f"{CONFIG}/{name}": broken})
        assert facts.hives_damaged == (name,)
        assert facts.hives_missing == ()


def test_a_missing_hive_costs_its_own_facts_only() -> None:
    facts = windows({f"{CONFIG}/SOFTWARE": None})
    assert isinstance(facts.product_name, Unknown)
    assert "SOFTWARE is missing" in facts.product_name.unknown
    assert isinstance(facts.hotfixes, Unknown)
    assert facts.virtio_storage == "boot"
    assert facts.desktop_config_present is True
    facts = windows({f"{CONFIG}/SYSTEM": None})
    assert isinstance(facts.virtio_storage, Unknown)
    assert isinstance(facts.drivers, Unknown)
    assert facts.build == 20348


def test_a_hive_that_was_not_written_to_its_end_is_no_damage() -> None:
    sound = hive(system("2022"))
    words = list(struct.unpack_from("<127I", sound))
    words[1] += 1  # primary_sequence_number
    checksum = 0
    for word in words:
        checksum ^= word
    dirty = struct.pack("<128I", *words, checksum) + sound[512:]
    facts = windows({f"{CONFIG}/SYSTEM": dirty, f"{CONFIG}/SYSTEM.LOG1": b"HvLE"})
    assert facts.hives_damaged == ()
    assert facts.hives_dirty == ("SYSTEM",)
    assert facts.virtio_storage == "boot"
    assert windows().hives_dirty == ()


@pytest.mark.parametrize(
    ("signature", "hibernated"),
    [(b"hibr", True), (b"HIBR", True), (b"wake", False), (b"WAKE", False), (bytes(4), False), (b"", False)],
)
def test_only_a_suspended_session_is_hibernation(signature: bytes, hibernated: bool) -> None:
    assert windows({"/hiberfil.sys": signature + bytes(64 if signature else 0)}).hibernated is hibernated


def test_the_boot_manager_and_its_store_may_be_on_a_system_partition_or_an_esp() -> None:
    bare: dict[str, Content | None] = {"/bootmgr": None, "/Boot/BCD": None}
    facts = windows(bare)
    assert facts.bootmgr_present is facts.bcd_present is False
    reserved = tree({"/bootmgr": b"\xe9", "/Boot/BCD": boot_store()})
    facts = windows(bare, system_partitions=[reserved])
    assert facts.bootmgr_present is facts.bcd_present is True
    esp = tree({"/EFI/Microsoft/Boot/bootmgfw.efi": pe(0x8664), "/EFI/Microsoft/Boot/BCD": boot_store()})
    facts = windows(bare, esps=[esp])
    assert facts.bootmgr_present is facts.bcd_present is True
    assert "/EFI/Microsoft/Boot/BCD" in facts.read_from


def test_a_store_that_is_damaged_or_has_no_objects_is_not_there() -> None:
    for store in (bytes(8192), b"", minimal(3)):
        facts = windows({"/Boot/BCD": store})
        assert facts.bcd_present is False
        assert facts.bootmgr_present is True


def test_agents_desktop_and_dirty_volumes_are_told() -> None:
    assert windows({"/ProgramData/aliyun/assist/2.0/aliyun_assist_service.exe": b""}).cloud_assistant is True
    assert with_system({rf"{SERVICES}\AliyunService": {"Start": 2}}).cloud_assistant is True
    assert with_system({rf"{SERVICES}\QEMU-GA": {"Start": 2}}).qemu_guest_agent is True
    assert windows({"/Program Files/Qemu-ga/qemu-ga.exe": b""}).qemu_guest_agent is True
    assert windows({"/Users/Public/Desktop/desktop.ini": None}).desktop_config_present is False
    assert windows(dirty=["partition 2"]).dirty_volumes == ("partition 2",)


class Failing(PhonyReader):
    """A file system that cannot read some files."""

    def __init__(self, contents: dict[str, Content], broken: bytes) -> None:
        super().__init__(contents)
        self._broken = broken

    def read(self, node: Node, offset: int, size: int) -> bytes:
        if node.handle == self._broken:
            raise ContentsError("a compressed file")
        return super().read(node, offset, size)


def test_what_the_file_system_cannot_read_is_unknown_and_no_damage() -> None:
    contents = files("2022")
    broken = contents[f"{CONFIG}/SYSTEM"]
    assert isinstance(broken, bytes)
    facts = read_windows(Tree(Failing(contents, broken)))
    assert isinstance(facts, Windows)
    assert facts.virtio_storage == Unknown("a compressed file")
    assert facts.hives_damaged == facts.hives_missing == ()
    assert facts.product_name == "Windows Server 2022 Datacenter"


def test_a_program_that_cannot_be_read_leaves_the_architecture_to_the_next() -> None:
    contents = {**files("2022"), "/Windows/System32/ntoskrnl.exe": b"MZ is compacted"}
    by_label = read_windows_identity(Tree(Failing(contents, b"MZ is compacted")))
    contents["/Windows/System32/winload.exe"] = pe(0xAA64)
    by_program = read_windows_identity(Tree(Failing(contents, b"MZ is compacted")))
    assert by_label is not None
    assert by_program is not None
    assert (by_label.architecture, by_program.architecture) == ("x86_64", "arm64")


def test_names_with_control_characters_stay_values() -> None:
    facts = with_software({r"Microsoft\Windows NT\CurrentVersion": {"ProductName": "Windows\x1b[31m Server"}})
    assert facts.product_name == "Windows\x1b[31m Server"
    assert facts.installation_type == "server"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(("SYSTEM", "SOFTWARE")), st.integers(4096, 20_000), st.binary(min_size=1, max_size=8))
def test_any_change_of_a_hive_gives_a_value(name: str, offset: int, change: bytes) -> None:
    contents = files("2022")
    sound = contents[f"{CONFIG}/{name}"]
    assert isinstance(sound, bytes)
    contents[f"{CONFIG}/{name}"] = (sound[:offset] + change + sound[offset + len(change) :])[: len(sound)]
    assert isinstance(read_windows(tree(contents)), Windows)
    assert read_windows_identity(tree(contents)) is not None


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from((f"{CONFIG}/SYSTEM", "/Boot/BCD", "/hiberfil.sys", "/Windows/System32/ntoskrnl.exe")),
    st.binary(max_size=9000),
)
def test_any_bytes_in_any_file_give_a_value(path: str, content: bytes) -> None:
    contents = {**files("2022"), path: content}
    assert isinstance(read_windows(tree(contents)), Windows)
