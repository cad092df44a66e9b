"""How NTFS lies on the disk: attributes, lists of them, index blocks and reparse points. All is little-endian.

Specification: NTFS documentation, https://flatcap.github.io/linux-ntfs/ntfs/, concepts Attribute Header, Data Runs,
Index Record; attributes $ATTRIBUTE_LIST, $FILE_NAME, $INDEX_ROOT. Reparse points: [MS-FSCC] 2.1.2,
https://learn.microsoft.com/openspecs/windows_protocols/ms-fscc/
"""

from typing import NamedTuple

from construct import Bytes, Int8ul, Int16ul, Int32ul, Int64ul, Padding, Struct

# The flags of a file record.
MFT_RECORD_IN_USE = 0x0001
MFT_RECORD_IS_DIRECTORY = 0x0002

# magic, usa_ofs, usa_count, (lsn,) sequence_number, (link_count,) attrs_offset, flags, bytes_in_use, (bytes_allocated,)
# base_mft_record, (next_attribute_instance, reserved,) mft_record_number
FILE_RECORD_FORMAT = "<4sHH8xH2xHHI4xQ4xI"
RECORD_NUMBER_END = 0x30  # the number is there since NTFS 3.1, where the update sequence array begins behind it

FILE_MFT, FILE_ROOT, FILE_UPCASE = 0, 5, 10  # numbers of records

AT_STANDARD_INFORMATION = 0x10
AT_ATTRIBUTE_LIST = 0x20
AT_FILE_NAME = 0x30
AT_DATA = 0x80
AT_INDEX_ROOT = 0x90
AT_INDEX_ALLOCATION = 0xA0
AT_REPARSE_POINT = 0xC0

ATTRIBUTE_FORMAT = "<IIBBHHH"  # type, length, non_resident, name_length, name_offset, flags, instance
RESIDENT_FORMAT = "<IH"  # behind it: value_length, value_offset
MIN_ATTRIBUTE = 24  # bytes of a resident one without name and value
ATTRIBUTE_ALIGNMENT = 8

NON_RESIDENT = Struct(  # behind ATTRIBUTE_FORMAT
    "lowest_vcn" / Int64ul,
    "highest_vcn" / Int64ul,  # all ones where there are no runs
    "mapping_pairs_offset" / Int16ul,
    "compression_unit" / Int8ul,  # as power of 2, in clusters
    Padding(5),
    "allocated_size" / Int64ul,
    "data_size" / Int64ul,
    "initialized_size" / Int64ul,
)
NON_RESIDENT_SIZE = 48

# The flags of an attribute.
ATTR_COMPRESSION_MASK = 0x00FF
ATTR_IS_LZNT1 = 0x0001
ATTR_IS_ENCRYPTED = 0x4000

# type, length, name_length, name_offset, lowest_vcn, mft_reference, instance
ATTRIBUTE_LIST_ENTRY_FORMAT = "<IHBBQQH"

STANDARD_INFORMATION_FORMAT = "<32xI"  # file_attributes
FILE_ATTRIBUTE_REPARSE_POINT = 0x0400
FILE_ATTRIBUTE_ENCRYPTED = 0x4000

FILE_NAME_FORMAT = "<Q56xBB"  # parent_directory; file_name_length, file_name_type; the name follows
FILE_NAME_DOS = 2  # file_name_type of a short name that has a long one beside it

INDEX_NAME = "$I30".encode("utf-16-le")
COLLATION_FILE_NAME = 1
INDEX_ROOT = Struct(
    "type" / Int32ul,
    "collation_rule" / Int32ul,
    "index_block_size" / Int32ul,
    "clusters_per_index_block" / Int8ul,
    Padding(3),
)
INDEX_ROOT_SIZE = 16
INDEX_HEADER = Struct(  # its offsets and lengths count from its own beginning
    "entries_offset" / Int32ul,
    "index_length" / Int32ul,
    "allocated_size" / Int32ul,
    "flags" / Int32ul,  # and three bytes that mean nothing
)
INDEX_HEADER_SIZE = 16
INDEX_HAS_CHILDREN = 0x00000001  # in its flags: LARGE_INDEX of a root, INDEX_NODE of a block
INDEX_BLOCK = Struct(
    "magic" / Bytes(4),
    "usa_ofs" / Int16ul,
    "usa_count" / Int16ul,
    "lsn" / Int64ul,
    "index_block_vcn" / Int64ul,
)
INDEX_BLOCK_SIZE = 24
INDEX_MAGIC = b"INDX"
INDEX_ENTRY_FORMAT = "<QHHH2x"  # indexed_file, length, key_length, flags; the key follows
INDEX_ENTRY_NODE = 0x0001  # a block with smaller keys hangs on it, its VCN is in the last 8 bytes
INDEX_ENTRY_END = 0x0002  # it has no key
VCN_OF_SMALL_BLOCKS = 512  # bytes that a VCN counts where a cluster is larger than an index block

REPARSE_POINT = Struct("reparse_tag" / Int32ul, "reparse_data_length" / Int16ul, "reserved" / Int16ul)
REPARSE_POINT_SIZE = 8
IO_REPARSE_TAG_MOUNT_POINT = 0xA0000003
IO_REPARSE_TAG_SYMLINK = 0xA000000C
IO_REPARSE_TAG_WOF = 0x80000017
SPECIAL_TAGS = (
    0x8000001B,  # IO_REPARSE_TAG_APPEXECLINK
    0xA000001D,  # IO_REPARSE_TAG_LX_SYMLINK: of the Linux subsystem, and its target is not what Windows follows
    0x80000023,  # IO_REPARSE_TAG_AF_UNIX
    0x80000024,  # IO_REPARSE_TAG_LX_FIFO
    0x80000025,  # IO_REPARSE_TAG_LX_CHR
    0x80000026,  # IO_REPARSE_TAG_LX_BLK
)
LINK = Struct(
    "substitute_name_offset" / Int16ul,
    "substitute_name_length" / Int16ul,
    "print_name_offset" / Int16ul,
    "print_name_length" / Int16ul,
)
LINK_SIZE = 8
SYMLINK_FLAGS_SIZE = 4  # between them and the names; a mount point has none

# WOF_EXTERNAL_INFO and FILE_PROVIDER_EXTERNAL_INFO_V1 of the Windows SDK.
WOF = Struct("wof_version" / Int32ul, "provider" / Int32ul, "version" / Int32ul, "algorithm" / Int32ul)
WOF_SIZE = 16
WOF_PROVIDER_FILE = 2
WOF_STREAM = "WofCompressedData".encode("utf-16-le")

RECORD_BITS = 48  # of a file reference; the 16 above them count how often the record was used


class Reference(NamedTuple):
    """A file reference, so that references are in the order of their records."""

    number: int
    """Of the record."""
    sequence_number: int
    """That the record must have; 0 where any will do."""

    @classmethod
    def of(cls, value: int) -> "Reference":
        """From the 64 bits on the disk."""
        return cls(value & (1 << RECORD_BITS) - 1, value >> RECORD_BITS)
