r"""Updates of Windows, and what a servicing or deployment left unfinished.

Specification: Microsoft, "DismPackageFeatureState Enumeration", the names of the states that Component Based Servicing
keeps, https://learn.microsoft.com/en-us/windows-hardware/manufacture/desktop/dism/dismpackagefeaturestate-enumeration;
"Windows Setup States", https://learn.microsoft.com/en-us/windows-hardware/manufacture/desktop/windows-setup-states;
"MoveFileExA function" for PendingFileRenameOperations.
"""

import re

import msgspec

from preflight.contents.tree import Tree
from preflight.guests._hives import Key
from preflight.guests._registry import Registry

SERVICING = r"Microsoft\Windows\CurrentVersion\Component Based Servicing"
HOTFIX = r"Microsoft\Windows NT\CurrentVersion\HotFix"  # before Vista
AUTO_UPDATE = r"Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update"
SETUP_STATE = r"Microsoft\Windows\CurrentVersion\Setup\State"

# CurrentState of a package; absent, staged and superseded ones are not in force.
INSTALLED = (0x70, 0x80)  # installed, permanent
PENDING = (0x05, 0x60)  # uninstallation or installation waits for a start
KB = re.compile(r"KB[0-9]{6,8}(?![0-9])", re.IGNORECASE)
ROLLUP = re.compile(r"Package_for_RollupFix~.{0,64}~([0-9]{4,5}\.[0-9]{1,5})\.", re.IGNORECASE)
MAX_HOTFIXES = 1024
# The manifest of a package begins with what it is: `<package identifier="KB5032198" …>`.
IDENTIFIER = re.compile(rb"<package\s[^>]{0,512}?identifier=\"(KB[0-9]{6,8})\"", re.IGNORECASE)
MANIFEST_HEAD = 4096  # bytes; the whole has megabytes
MAX_MANIFESTS = 8  # a system has one cumulative update in force; each costs a search through a folder of thousands

# Cumulative updates and monthly rollups are all called Package_for_RollupFix, with build and revision. These are the
# ones that support pages warn of by number: the release information of Windows 10, 11 and Server. Of others, the number
# is in their manifest only.
CUMULATIVE_UPDATES = {
    "14393.4886": "KB5009546",
    "17763.2452": "KB5009557",
    "20348.469": "KB5009555",
    "14393.5192": "KB5014702",
    "17763.3046": "KB5014692",
    "20348.768": "KB5014678",
    "26100.4349": "KB5060842",
}

UNDEPLOYABLE = "IMAGE_STATE_UNDEPLOYABLE"  # "if queried offline, the image did not finish a phase"
SEALED = "_RESEAL_TO_"  # sysprep ended well; setup goes on at the next start, and says so in SYSTEM\Setup


class Updates(msgspec.Struct, frozen=True):
    """What the list of packages tells."""

    hotfixes: tuple[str, ...]
    """Installed ones, as `KB5009624`, by number."""
    pending: bool
    """Whether one waits for a start to be installed or removed."""


def read_updates(registry: Registry, tree: Tree, root: str) -> Updates:
    """The updates that are installed. Raises `StructureError` and `ContentsError`."""
    found: set[str] = set()
    rollups: list[str] = []
    pending = False
    packages = registry.software(rf"{SERVICING}\Packages")
    if packages is not None:
        for key in packages.beginning("Package_for_"):
            state = key.number("CurrentState")
            pending = pending or state in PENDING
            if state is None or state in INSTALLED:
                numbers = _numbers(key.name)
                found |= numbers
                if not numbers and ROLLUP.match(key.name):
                    rollups.append(key.name)
        for name in rollups[:MAX_MANIFESTS]:
            found |= _number_in_manifest(tree, f"{root}/servicing/Packages/{name}.mum")
    else:
        old = registry.software(HOTFIX)
        for key in old.beginning("KB") if old else ():
            found |= _numbers(key.name)
    return Updates(tuple(sorted(found, key=lambda name: int(name[2:]))[:MAX_HOTFIXES]), pending)


def read_update_pending(registry: Registry, tree: Tree, root: str) -> bool:
    """Whether servicing was interrupted, or waits for a start. Raises `StructureError` and `ContentsError`."""
    servicing = registry.software(SERVICING)
    if servicing is not None and any(servicing.find(name) for name in ("RebootPending", "RebootInProgress")):
        return True
    automatic = registry.software(AUTO_UPDATE)
    if automatic is not None and automatic.find("RebootRequired"):
        return True
    if _is_queued(registry, tree, root):
        return True
    manager = registry.system(r"Control\Session Manager")
    return manager is not None and _renames_updates(manager, root, old=servicing is None)


def read_sysprep_pending(registry: Registry) -> bool:
    """Whether a setup phase began and did not end. Raises `StructureError` and `ContentsError`.

    An image that sysprep sealed is sound, although its setup is to go on at the next start.
    """
    state = registry.software(SETUP_STATE)
    image_state = (state and state.text("ImageState")) or ""
    if SEALED in image_state:
        return False
    if image_state == UNDEPLOYABLE:
        return True
    setup = registry.hive("SYSTEM").find("Setup")
    if setup is None:
        return False
    # Sealed by the sysprep of Windows 2003 and before: mini-setup is to run.
    if setup.number("MiniSetupInProgress") or "-mini" in (setup.text("CmdLine") or "").lower():
        return False
    return bool(setup.number("SystemSetupInProgress") or setup.number("OOBEInProgress"))


def _numbers(name: str) -> set[str]:
    number = KB.search(name)
    if number:
        return {number.group().upper()}
    rollup = ROLLUP.match(name)
    known = CUMULATIVE_UPDATES.get(rollup.group(1)) if rollup else None
    return {known} if known else set()


def _number_in_manifest(tree: Tree, path: str) -> set[str]:
    number = IDENTIFIER.search(tree.head(path, MANIFEST_HEAD) or b"")
    return {number.group(1).decode("ascii").upper()} if number else set()


def _is_queued(registry: Registry, tree: Tree, root: str) -> bool:
    """Whether pending.xml has work for the next start: the file is there, or the hive COMPONENTS names it.

    The file is taken away when the work is done; the hive is asked first, as WinSxS has 20,000 entries.
    """
    if registry.exists("COMPONENTS") and registry.hive("COMPONENTS").has("PendingXmlIdentifier"):
        return True
    return bool(tree.size(f"{root}/WinSxS/pending.xml"))


def _renames_updates(manager: Key, root: str, *, old: bool) -> bool:
    """Whether files of an update are to be put in place at the next start, which before Vista was done like this.

    Installers let their remains be deleted so, on every other sound system: a source without a target.
    """
    places = (f"{root.lower()}/",) if old else (f"{root.lower()}/winsxs/", f"{root.lower()}/servicing/")
    for source, target in manager.pairs("PendingFileRenameOperations"):
        moved = f"{source}\n{target}".replace("\\", "/").lower()
        if target and any(place in moved for place in places):
            return True
    return False
