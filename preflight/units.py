"""Units of size, and how a size is shown to a person."""

KiB = 1024
MiB = 1024 * KiB
GiB = 1024 * MiB
TiB = 1024 * GiB

SECTOR = 512  # the unit of MBR, VHD and LVM2, whatever the disk's own sector size


def ceil_div(value: int, unit: int) -> int:
    """How many whole `unit`s hold `value`."""
    return -(-value // unit)


def align_up(value: int, unit: int) -> int:
    """The least multiple of `unit` that is not below `value`."""
    return ceil_div(value, unit) * unit


def is_power_of_two(value: int) -> bool:
    """True for 1, 2, 4, 8 and so on."""
    return value > 0 and value & (value - 1) == 0


def human_size(size: int) -> str:
    """A size in bytes with a binary unit, exact where it can be: `20 GiB`, `2.1 TiB`, `511 bytes`.

    A size that is not a whole number of units is marked by its decimals, never rounded onto a whole one:
    20 GiB and one byte is `20.0 GiB`, which no reader takes for `20 GiB`.
    """
    for unit, name in ((TiB, "TiB"), (GiB, "GiB"), (MiB, "MiB"), (KiB, "KiB")):
        if size >= unit:
            return f"{size // unit} {name}" if size % unit == 0 else f"{size / unit:.1f} {name}"
    return f"{size} byte{'' if size == 1 else 's'}"
