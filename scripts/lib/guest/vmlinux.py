# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""vmlinux.py BZIMAGE OUT: the kernel within a bzImage, unpacked.

Fields of the header are those of the Linux x86 boot protocol 2.08 and later.
"""

from __future__ import annotations

import lzma
import subprocess
import sys
from pathlib import Path

_SETUP_SECTORS = 0x1F1
_PAYLOAD_OFFSET, _PAYLOAD_LENGTH = 0x248, 0x24C
_SECTOR = 512
_XZ, _ZSTD = b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"


def unpacked(image: bytes) -> bytes:
    """The ELF file. Raises ValueError where it is packed in a way that Debian does not use."""

    def u32(at: int) -> int:
        return int.from_bytes(image[at : at + 4], "little")

    start = ((image[_SETUP_SECTORS] or 4) + 1) * _SECTOR + u32(_PAYLOAD_OFFSET)
    payload = image[start : start + u32(_PAYLOAD_LENGTH)]
    if payload.startswith(_XZ):
        # The four bytes of its length follow, which no xz reader takes.
        return lzma.LZMADecompressor().decompress(payload)
    if payload.startswith(_ZSTD):
        command = ["zstd", "--decompress", "--stdout"]
        return subprocess.run(
            command, input=payload[:-4], stdout=subprocess.PIPE, check=True
        ).stdout
    raise ValueError(f"a kernel that is packed otherwise: {payload[:6].hex()}")


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(unpacked(Path(sys.argv[1]).read_bytes()))
