"""Rules on what sets an instance up in the guest: cloud-init, the growing of the root, and the cloud's agents."""

import re
from collections.abc import Iterator
from itertools import zip_longest

from preflight.guest_facts import CloudInit, Guest, Services
from preflight.rules._guests import Case, guest_rule, is_older
from preflight.verdicts import Breach, CloudInitLimits, Outcome

_INSTALL = "Install it in the guest, run: dnf install cloud-init cloud-utils-growpart || apt-get install cloud-init"
_RESIZE_TOOLS = {"ext2": "resize2fs", "ext3": "resize2fs", "ext4": "resize2fs", "xfs": "xfs_growfs", "btrfs": "btrfs"}


def _is_used(case: Case) -> bool:
    """Whether the cloud sets this guest up by cloud-init at all."""
    return case.kind is None or case.kind.cloud_init


@guest_rule("linux", of="cloud_init")
def cloud_init_missing(cloud_init: CloudInit, case: Case) -> Iterator[Outcome]:
    """cloud-init is not installed.

    What: neither its command nor its library is in the guest.
    Why: host name, network, password, key and the size of the root are set up by it.
    Remedy: install it.
    Source: Install cloud-init; image check item GUESTOS.CloudInit.
    """
    if _is_used(case) and not cloud_init.installed:
        yield Breach("cloud-init is not installed", "cloud-init", _INSTALL)


@guest_rule("linux", of="cloud_init.version")
def cloud_init_too_old(version: str, case: Case) -> Iterator[Outcome]:
    """The version of cloud-init is one that does not work with the cloud.

    What: it is not newer than the last unusable one, or older than the cloud's own build of its series.
    Why: it does not know the cloud's metadata, or the way by which the password comes.
    Remedy: install a newer one, or the cloud's own build.
    Source: Install cloud-init; ImportImage, conditions for setting a password; image check item GUESTOS.CloudInit.
    """
    limits = case.limits.contents.cloud_init
    if _is_used(case) and (needed := _needed(version, limits)):
        yield Breach(f"cloud-init {version}, needed is {needed}", "cloud-init", _INSTALL)


def _needed(version: str, limits: CloudInitLimits) -> str | None:
    """What is needed in place of this version; None where it works."""
    found = _parts(version)
    for build in limits.builds:
        first = _parts(build)
        if found[: len(first) - 1] == first[:-1]:
            number = found[len(first) - 1 : len(first)]
            return None if number and number[0] >= first[-1] else build
    pairs = zip_longest(found, _parts(limits.unusable_to), fillvalue="")
    difference = next(((one, other) for one, other in pairs if one != other), None)
    unusable = difference is None or (difference[0] < difference[1])
    return f"one after {limits.unusable_to}" if unusable else None


def _parts(version: str) -> list[str]:
    """Its numbers and letters apart, each as a text that sorts as it counts: `0.7.6a15` is 0, 7, 6, a, 15."""
    return [part.zfill(9) if part.isdigit() else part for part in re.findall(r"\d{1,9}|[a-z]+", version.lower())]


@guest_rule("linux", of="cloud_init.datasources")
def cloud_init_datasource_missing(datasources: tuple[str, ...], case: Case) -> Iterator[Outcome]:
    """cloud-init is told not to look for the cloud's metadata.

    What: datasource_list is set, and the cloud's data source is not in it.
    Why: cloud-init finds no instance data, and sets up neither key nor network.
    Remedy: add it to datasource_list, or remove the list.
    Source: Install cloud-init: datasource_list has AliYun; image check item GUESTOS.CloudInit.
    """
    wanted = case.limits.contents.cloud_init.datasource
    if _is_used(case) and datasources and wanted.lower() not in map(str.lower, datasources):
        yield Breach(
            f"datasource_list is {', '.join(datasources[:8])}, and {wanted} is not among them",
            "/etc/cloud/cloud.cfg",
            f"Add {wanted} to datasource_list in the guest, or remove the list.",
        )


@guest_rule("linux", of="cloud_init.disabled")
def cloud_init_disabled(disabled: bool, case: Case) -> Iterator[Outcome]:
    """cloud-init is installed and disabled.

    What: there is /etc/cloud/cloud-init.disabled, or its services are not enabled.
    Why: it does nothing at the start of an instance.
    Remedy: enable it.
    Source: Install cloud-init; image check item GUESTOS.CloudInit.
    """
    if _is_used(case) and disabled:
        yield Breach(
            "cloud-init is disabled",
            "cloud-init",
            "Enable it in the guest, run: rm -f /etc/cloud/cloud-init.disabled; systemctl enable cloud-init",
        )


@guest_rule("linux", of="cloud_init")
def root_cannot_grow(cloud_init: CloudInit, case: Case) -> Iterator[Outcome]:
    """The tools that let the root file system grow are missing.

    What: growpart is not there, or not the tool of the root's file system: resize2fs, xfs_growfs, btrfs.
    Why: the root file system keeps the size that it has in the image, however large the instance's disk is.
    Remedy: install them.
    Source: ImportImage, conditions for growing the system disk; image check item GUESTOS.OnlineResizeFS.
    """
    if not _is_used(case):
        return
    root = next((entry.type for entry in case.image.filesystems if entry.on == case.guest.root), "")
    tool = _RESIZE_TOOLS.get(root)
    missing = [] if cloud_init.growpart else ["growpart"]
    if tool and not {tool, "systemd-growfs"} & set(cloud_init.resize_tools):
        missing.append(tool)
    if missing:
        yield Breach(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed",
            "root file system",
            "Install them in the guest (packages cloud-utils-growpart or cloud-guest-utils, e2fsprogs, xfsprogs).",
        )


@guest_rule("linux", of="services")
def cloud_assistant_missing(services: Services, case: Case) -> Iterator[Outcome]:
    """The cloud's agent for commands, Cloud Assistant, is not installed.

    What: neither aliyun.service nor its programs are in the guest.
    Why: commands cannot be run on the instance from the console; it starts and works without.
    Remedy: install it on the instance, or before the import.
    Source: Alibaba Cloud image requirements; image check item GUESTOS.CloudAssistant.
    """
    if not services.cloud_assistant:
        yield Breach("Cloud Assistant is not installed", "agents", "Install it where commands from the console matter.")


@guest_rule("linux", of="services")
def security_center_agent_missing(services: Services, case: Case) -> Iterator[Outcome]:
    """The agent of the cloud's Security Center is not installed.

    What: aegis is not in the guest.
    Why: Security Center does not see the instance; it starts and works without.
    Remedy: install it on the instance, or let the cloud do it.
    Source: image check item GUESTOS.SecurityCenterAgent.
    """
    if not services.security_center_agent:
        yield Breach("the agent aegis is not installed", "agents", "Install it where Security Center is in use.")


@guest_rule("linux", of="version")
def release_too_old(version: str, case: Case) -> Iterator[Outcome]:
    """The release is older than those that the cloud's documents name.

    What: its version is below the first that is listed for its platform.
    Why: nobody has tried whether the cloud can set it up.
    Remedy: import it as Others Linux, or upgrade it.
    Source: instructions for importing images (2020), list of operating systems.
    """
    kind = case.kind
    if kind and is_older(version, kind.oldest):
        yield Breach(
            f"{kind.platform} {version}, the documents begin with {kind.oldest}", "version", "Upgrade the guest."
        )


@guest_rule()
def distribution_not_told(guest: Guest, case: Case) -> Iterator[Outcome]:
    """No file of the guest tells which distribution it is.

    What: /etc/os-release and the older release files are missing, changed beyond recognition, or could not be read.
    Why: the cloud goes by the same files; where it does not recognise the system, it does not set the instance up.
    Remedy: restore the files of the distribution.
    Source: instructions for importing images: do not modify /etc/issue, /etc/*-release; Image FAQ.
    """
    if not isinstance(guest.distro, str):
        yield Breach(guest.distro.unknown, "/etc/os-release", "Restore the file from the distribution's package.")
