"""The kernels that are installed: their images by name, their versions, and the initramfs that belongs to each.

Specification: UAPI group, Boot Loader Specification; else the habits of the distributions, which the constants name.
https://uapi-group.org/specifications/specs/boot_loader_specification/
"""

import re
from collections.abc import Iterable, Iterator

import msgspec

from preflight.contents.tree import Tree
from preflight.guests import _kernel_headers, _modules

MAX_KERNELS = 32  # examined: distributions keep three to five
MAX_CANDIDATES = 4 * MAX_KERNELS  # files that are looked at: a kernel may be found in four places
MAX_DIRECTORIES = 16  # below /boot/ostree: two deployments are kept
MAX_ENTRIES = 64  # of the boot loader

# Names are printable ASCII here and in the module tree: no honest kernel has others, and they go into messages.
_NAME = re.compile(r"(?:vmlinu[zx]|[Ii]mage|kernel|b?zImage)(?:-(?P<rest>[!-~]+?))?(?:\.gz)?\Z")
_LEFTOVER = re.compile(
    r".*(?:\.(?:old|bak|orig|rpmsave|rpmnew|rpmorig|hmac|sig|asc|dpkg-\w+|efi\.signed|config|map)|~)\Z"
)
_RESCUE = re.compile(r"0-rescue|rescue")  # what dracut copies aside, for a kernel that boots anywhere
_VERSION = re.compile(r"\d+\.\d+[\w.+~-]*\Z", re.ASCII)
_MACHINE_ID = re.compile(r"[0-9a-f]{32}-")
_TRIES = re.compile(r"\+\d+(?:-\d+)?\Z")  # boot counting of the Boot Loader Specification
_PLAIN = re.compile(r"[!-~]+\Z")
_PARTS = re.compile(r"\d+|[a-zA-Z]+|~")

_DIRECTORIES = ("/boot", "/boot/flatcar", "/boot/coreos")
_OSTREE = "/boot/ostree"
_ENTRIES = ("/boot/loader/entries", "/boot/efi/loader/entries", "/efi/loader/entries")
_UNIFIED = ("/boot/efi/EFI/Linux", "/boot/EFI/Linux", "/efi/EFI/Linux")
_RELATIVE_TO = ("", "/boot", "/boot/efi", "/efi")  # what the paths of boot loaders may begin at
_INITRAMFS_INSIDE = ("/boot/flatcar/", "/boot/coreos/")  # CoreOS and Flatcar link it into the kernel

# Debian, Ubuntu · RHEL, Fedora, Arch · SUSE · CentOS 5 · Alpine, Gentoo · genkernel · mkinitcpio's with all drivers
_INITRAMFS_NAMES = (
    "initrd.img-{}",
    "initramfs-{}.img",
    "initrd-{}",
    "initrd-{}.img",
    "initramfs-{}",
    "initramfs-genkernel-{}",
    "initramfs-{}-fallback.img",
)
_PLAIN_INITRAMFS_NAMES = ("initrd.img", "initrd", "initramfs.img", "initramfs", "initrd.gz", "initramfs-linux.img")


class Image(msgspec.Struct, frozen=True):
    """A kernel, as a file that can be booted, or as its modules only."""

    version: str
    """As `uname -r` would print it; the name of the file where nothing tells."""
    version_known: bool
    path: str | None
    """None where only modules are left."""
    resolved: str | None
    """The path without links."""
    label: str
    """What the names of the files that belong to it end in, mostly the version."""
    initramfs: tuple[str, ...]
    """Paths of what the boot loader gives it, or of what is named like it; of itself for a unified kernel image."""
    initramfs_window: tuple[int, int] | None
    """Offset and size of the initramfs in a unified kernel image."""
    initramfs_inside: bool
    """Whether an initramfs is linked into it, where it is not searched."""


class _Candidate(msgspec.Struct, frozen=True):
    path: str
    label: str
    version: str | None = None
    """Where the place tells it for sure."""
    initramfs: tuple[str, ...] = ()
    unified: bool = False


def version_key(version: str) -> tuple[tuple[int, int, str], ...]:
    """Sorts versions as package managers do: numbers as such, `rc` and `~` before the release they lead to."""
    key = []
    for part in _PARTS.findall(version[:256]):
        if part.isascii() and part.isdigit():
            key.append((3, int(part), ""))
        elif part in ("rc", "~"):
            key.append((0, 0, part))
        else:
            key.append((2, 0, part))
    return (*key, (1, 0, ""))


def find_images(tree: Tree, default: str | None) -> list[Image]:
    """The kernels, newest first, one of each version, at most `MAX_KERNELS` and the `default` among them.

    `default`: path or version of the one that boots, if it is known. Raises `ContentsError` where a directory cannot
    be read.
    """
    module_versions = sorted(_modules.versions(tree), key=version_key, reverse=True)
    preferred = _resolved(tree, locate(tree, default)) if default and "/" in default else None
    candidates = sorted(
        _candidates(tree, module_versions),
        # What is in a module directory is the package's own copy: /boot has the one that boots, if it has one.
        key=lambda known: (known.path == preferred, known.version is None, version_key(known.version or known.label)),
        reverse=True,
    )
    images: dict[str, Image] = {}
    seen: set[str] = set()
    for candidate in candidates[:MAX_CANDIDATES]:
        found = tree.find(candidate.path)
        if found is None or found.node.kind != "file" or found.path in seen:
            continue
        seen.add(found.path)
        image = _examine(tree, candidate, found.path, module_versions)
        images.setdefault(image.version, image)
    for version in module_versions:
        if version not in images:
            images[version] = Image(version, True, None, None, version, (), None, False)
    ordered = sorted(
        images.values(), key=lambda image: (image.path is not None, version_key(image.version)), reverse=True
    )
    return _default_first(ordered, default, preferred)[:MAX_KERNELS]


def _default_first(images: list[Image], default: str | None, path: str | None) -> list[Image]:
    """The same, beginning with the one that boots, as far as it is known."""
    base = default and default.rpartition("/")[2]
    for image in images:
        names = (image.version, image.label, image.path and image.path.rpartition("/")[2])
        if (path and path in (image.path, image.resolved)) or (base and base in names):
            return [image, *(other for other in images if other is not image)]
    return images


def locate(tree: Tree, path: str) -> str | None:
    """Where a file is that a boot loader names, None where it is not.

    Its path may begin at the root of another file system than the guest's root.
    """
    inside = path.partition(")")[2] if path.startswith("(") else path  # GRUB: (hd0,1)/vmlinuz, ($root)/vmlinuz
    inside = "/" + inside.replace("\\", "/").lstrip("/")
    return next((base + inside for base in _RELATIVE_TO if tree.is_file(base + inside)), None)


def _resolved(tree: Tree, path: str | None) -> str | None:
    found = tree.find(path) if path else None
    return found.path if found else None


def _candidates(tree: Tree, module_versions: list[str]) -> Iterator[_Candidate]:
    """What may be a kernel, by its name or place, the preferred ones of a version first."""
    below = [f"{_OSTREE}/{name}" for name in tree.names(_OSTREE)[:MAX_DIRECTORIES] if _PLAIN.match(name)]
    for directory in (*_DIRECTORIES, *below):
        yield from sorted(
            _named(directory, tree.names(directory)), key=lambda known: "/vmlinuz" in known.path, reverse=True
        )
    for directory in _ENTRIES:
        yield from _entries(tree, directory)
    for directory in _UNIFIED:
        for name in tree.names(directory):
            if name.lower().endswith(".efi") and _PLAIN.match(name):
                label = _TRIES.sub("", _MACHINE_ID.sub("", name[:-4], count=1))
                yield _Candidate(f"{directory}/{name}", label, unified=True)
    for version in module_versions[:MAX_KERNELS]:
        yield _Candidate(f"{_modules.directory_of(tree, version)}/vmlinuz", version, version)


def _named(directory: str, names: Iterable[str]) -> Iterator[_Candidate]:
    """The kernels among the names of a directory."""
    for name in names:
        match = _NAME.match(name)
        if match and not _LEFTOVER.match(name) and not _RESCUE.match(match["rest"] or ""):
            yield _Candidate(f"{directory}/{name}", match["rest"] or "")


def _entries(tree: Tree, directory: str) -> Iterator[_Candidate]:
    """The kernels of the boot loader's entries: Boot Loader Specification, type #1."""
    for name in [name for name in tree.names(directory) if name.endswith(".conf")][:MAX_ENTRIES]:
        fields: dict[str, list[str]] = {}
        for line in (tree.text(f"{directory}/{name}") or "").splitlines():
            key, _, value = line.strip().partition(" ")
            fields.setdefault(key, []).extend(value.split())
        linux = fields.get("linux")
        path = locate(tree, linux[0]) if linux else None
        version = next(iter(fields.get("version", ())), "")
        if path is None or _RESCUE.match(version) or "rescue" in path.rpartition("/")[2]:
            continue
        archives = (locate(tree, archive) for archive in fields.get("initrd", ())[:4])
        match = _NAME.match(path.rpartition("/")[2])
        yield _Candidate(
            path, (match and match["rest"]) or version, None, tuple(archive for archive in archives if archive)
        )


def _examine(tree: Tree, candidate: _Candidate, resolved: str, module_versions: list[str]) -> Image:
    """What a candidate is, and what belongs to it."""
    version, window = candidate.version, None
    if candidate.unified:
        unified = _kernel_headers.read_uki(tree, candidate.path)
        version, window = unified.version, unified.initramfs
    version = version or _version_of(tree, candidate, module_versions)
    known = version is not None
    version = version or candidate.path.rpartition("/")[2]
    initramfs = (candidate.path,) if window else candidate.initramfs
    if not initramfs and not candidate.unified:
        initramfs = _initramfs_of(tree, candidate, version)
    inside = candidate.path.startswith(_INITRAMFS_INSIDE) or (candidate.unified and window is None)
    return Image(version, known, candidate.path, resolved, candidate.label, initramfs, window, inside)


def _version_of(tree: Tree, candidate: _Candidate, module_versions: list[str]) -> str | None:
    """The version of a kernel: by its name if there are modules for that, by its header, by modules that fit."""
    label = candidate.label
    if label in module_versions:
        return label
    if not candidate.unified and (version := _kernel_headers.version_of_image(tree, candidate.path)):
        return version
    for version in module_versions:
        # genkernel-x86_64-V, Gentoo · V-virt of vmlinuz-virt, Alpine · V-lts of vmlinuz-linux-lts, Arch
        if label.endswith(f"-{version}") or (label and version.endswith(f"-{label.removeprefix('linux-')}")):
            return version
    if label and not _VERSION.match(label):
        for version in module_versions[:MAX_KERNELS]:
            if (tree.text(f"{_modules.directory_of(tree, version)}/pkgbase") or "").strip() == label:  # Arch
                return version
    if _VERSION.match(label):
        return label
    return module_versions[0] if len(module_versions) == 1 else None


def _initramfs_of(tree: Tree, candidate: _Candidate, version: str) -> tuple[str, ...]:
    """The initramfs that is named like a kernel, in its own directory or in /boot."""
    names = [form.format(key) for key in dict.fromkeys((version, candidate.label)) if key for form in _INITRAMFS_NAMES]
    if not candidate.label:
        names += _PLAIN_INITRAMFS_NAMES
    paths = [f"{place}/{name}" for place in dict.fromkeys((_parent(candidate.path), "/boot")) for name in names]
    if modules := _modules.directory_of(tree, version):
        paths += [f"{modules}/initramfs.img", f"{modules}/initrd"]  # ostree · kernel-install
    paths.append(f"{_parent(candidate.path)}/initrd")  # kernel-install: /boot/MACHINE/VERSION/initrd
    return tuple([path for path in paths if tree.is_file(path)][:1])


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
