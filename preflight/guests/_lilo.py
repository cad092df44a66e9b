"""LILO: lilo.conf, from which its map was made. Its boot code holds the places of the kernels, not their names.

Specification: lilo.conf(5).
"""

from preflight.guests._boot_menu import MAX_STANZAS, Files, Menu, refuse_above, stanza

CONFIGURATION = "/etc/lilo.conf"


def read_lilo(root: Files) -> Menu | None:
    """The menu of lilo.conf; None where there is none. Raises `ContentsError`."""
    text = root.text(CONFIGURATION)
    if text is None:
        return None
    general: dict[str, str] = {}
    images: list[dict[str, str]] = []
    for line in text.split("\n"):
        name, _, value = line.partition("#")[0].partition("=")
        name, value = name.strip().lower(), value.strip().strip('"')
        if name in ("image", "other"):
            images.append({name: value})
            refuse_above(len(images), MAX_STANZAS, CONFIGURATION, "images")
        elif name:
            (images[-1] if images else general)[name] = value
    stanzas = tuple(
        stanza(
            image.get("label"),
            image.get("image"),
            [initrd] if (initrd := image.get("initrd") or general.get("initrd")) else [],
            _options(general, image),
            CONFIGURATION,
        )
        for image in images
    )
    labels = [image.get("label") for image in images]
    default = general.get("default")
    if not images:
        return Menu((), None)
    return Menu(stanzas, labels.index(default) if default in labels else 0)


def _options(general: dict[str, str], image: dict[str, str]) -> str:
    """The command line: what lilo makes of `root` and `read-only`, then what is to be appended."""
    if "image" not in image:
        return ""
    both = {**general, **image}
    parts = [f"root={both['root']}"] if both.get("root") else []
    parts += [short for name, short in (("read-only", "ro"), ("read-write", "rw")) if name in both]
    parts.append(image.get("append", general.get("append", "")))
    parts.append(image.get("addappend", ""))
    return " ".join(filter(None, parts))
