"""Files compressed as `compact /exe` stores them: by wimlib, as resources of a WIM have the same form.

[MS-XCA] for XPRESS with Huffman codes; a resource begins with the offsets of its chunks, and so does the stream
WofCompressedData.
"""

import re
import tempfile
from functools import cache
from pathlib import Path

from tests.tools import run

ALGORITHMS = {"xpress4k": 0, "lzx": 1, "xpress8k": 2, "xpress16k": 3}  # WIM_PROVIDER / FILE_PROVIDER_COMPRESSION_…
CHUNK_SIZES = {"xpress4k": 4096, "lzx": 32_768, "xpress8k": 8192, "xpress16k": 16_384}


@cache
def compacted(data: bytes, algorithm: str) -> bytes:
    """What the stream WofCompressedData holds of these bytes."""
    with tempfile.TemporaryDirectory() as folder:
        source, wim = Path(folder, "source"), Path(folder, "wim")
        source.mkdir()
        (source / "file").write_bytes(data)
        kind, size = "LZX" if algorithm == "lzx" else "XPRESS", CHUNK_SIZES[algorithm]
        run("wimcapture", source, wim, f"--compress={kind}", f"--chunk-size={size}", "--no-acls")
        for blob in run("wiminfo", wim, "--blobs").split("\n\n"):
            fields = dict(re.findall(r"^(\S[^=]*?) *= (.*)", blob, re.MULTILINE))
            if "METADATA" not in fields.get("Flags", "METADATA"):
                offset, stored = (int(fields[name].split()[0]) for name in ("Offset in WIM", "Compressed size"))
                assert "COMPRESSED" in fields["Flags"], "too little is gained by compressing these bytes"
                return wim.read_bytes()[offset : offset + stored]
    raise AssertionError(f"wimcapture stored no file of {len(data)} bytes")
