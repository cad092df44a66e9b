"""qemu-img's view of an image, beside ours: asked only where our own parser found nothing dangerous.

The precautions are in `preflight.tools.qemu_img`; what must never be handed to it is decided here.
"""

import msgspec

from preflight.errors import ToolError
from preflight.facts import Image, Problem, ProblemCode
from preflight.tools import qemu_img

# qemu-img follows what these refer to, or trusts the field that is wrong (CVE-2015-5162, CVE-2024-4467).
_NEVER_ASKED: frozenset[ProblemCode] = frozenset(
    {
        "conflicting-formats",
        "qcow2-header-invalid",
        "qcow2-header-extension-invalid",
        "qcow2-table-invalid",
        "qcow2-unknown-feature",
        "qcow2-backing-file",
        "qcow2-data-file",
        "qcow2-encrypted",
        "vhd-differencing",
        "vhd-footer-invalid",
        "vhd-header-invalid",
    }
)


def require() -> None:
    """Raise `ToolError`, which says how to get it, where qemu-img is not installed."""
    qemu_img.locate()


def compared(image: Image, path: str) -> Image:
    """The image with a problem more for each thing that qemu-img sees otherwise; `path` is where it lies.

    That qemu-img refuses the image is a problem too.
    """
    if image.format not in qemu_img.DRIVERS:
        return image
    if any(problem.code in _NEVER_ASKED for problem in image.problems):
        return image
    problems = list(image.problems)

    def report(code: ProblemCode, message: str) -> None:
        problems.append(Problem(code=code, message=message, where="qemu-img", offset=None))

    try:
        info = qemu_img.info(path, image.format)
        if info.virtual_size != image.virtual_size:
            report(
                "second-opinion-differs",
                f"qemu-img sees a virtual size of {info.virtual_size} bytes, preflight {image.virtual_size} bytes",
            )
        if image.format == "qcow2":
            found = qemu_img.check(path, image.format)
            if found.corruptions or found.check_errors:
                report(
                    "second-opinion-differs",
                    f"qemu-img check counts {found.corruptions} corruptions and {found.check_errors} errors",
                )
    except ToolError as error:
        report("second-opinion-refused", str(error))
    return msgspec.structs.replace(image, problems=tuple(problems))
