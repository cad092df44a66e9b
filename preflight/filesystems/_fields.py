"""Fields that several superblocks share: labels as `blkid` prints them, and the largest size that one may state."""

from preflight.binary import text

MAX_SIZE = (1 << 63) - 1  # bytes; loff_t: no system addresses more, whatever 64 bits on disk say
WHITE_SPACE = " \t\n\v\f\r"  # isspace() of the C locale


def label(data: bytes) -> str | None:
    """The label in a field of UTF-8: cut at the first NUL, white space at its end removed, None where nothing is left.

    A field in an unknown code page is given the same way; its bytes then show as backslash escapes.
    """
    return (text(data) or "").rstrip(WHITE_SPACE) or None


def utf16_label(data: bytes) -> str | None:
    """The label in a field of little-endian UTF-16; half of a surrogate pair shows as its escaped bytes of UTF-8."""
    whole = data[: len(data) // 2 * 2]
    return label(whole.decode("utf-16-le", "surrogatepass").encode("utf-8", "surrogatepass"))
