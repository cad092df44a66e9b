"""Whether the journal of an NTFS volume has nothing that the next mount would replay.

Specification: NTFS documentation, https://flatcap.github.io/linux-ntfs/ntfs/files/logfile.html; which of two restart
pages counts, and what is clean: libntfs-3g/logfile.c of ntfs-3g, ntfs_check_logfile and ntfs_is_logfile_clean
"""

import struct

from preflight.contents._ntfs_streams import Stream

RESTART_MAGIC, EMPTY = b"RSTR", b"\xff\xff\xff\xff"
PAGE = struct.Struct("<4s20xH")  # magic, restart_area_offset
AREA = struct.Struct("<Q4xHH")  # current_lsn, client_in_use_list, flags
RESTART_VOLUME_IS_CLEAN = 0x0002
NO_CLIENT = 0xFFFF
PAGE_SIZE = 4096  # DefaultLogPageSize
MAX_AREA_OFFSET = 512 - 2 - AREA.size  # within the first sector, whose end is not what it was


def is_clean(log: Stream) -> bool:
    """Whether the volume was unmounted, or the journal is empty; `ContentsError` where it cannot be read."""
    areas = []
    for offset in (0, PAGE_SIZE):
        if log.size < offset + PAGE_SIZE:
            break
        data = log.read(offset, PAGE_SIZE)
        magic, area_offset = PAGE.unpack_from(data)
        if not offset and magic == EMPTY:
            return True
        if magic == RESTART_MAGIC and area_offset <= MAX_AREA_OFFSET:
            areas.append(AREA.unpack_from(data, area_offset))
    if not areas:
        return False
    _, client, flags = max(areas)
    return client == NO_CLIENT or bool(flags & RESTART_VOLUME_IS_CLEAN)
