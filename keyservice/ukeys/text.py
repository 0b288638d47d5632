# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What text from a ukey may look like: service and worker both check it."""

from __future__ import annotations

from keyservice.core.text import is_plain

SERIAL_MAX = 32  #: bytes, printable ASCII
NAME_MAX = 48  #: bytes of UTF-8, of an application or a container


def is_serial(text: str) -> bool:
    """Whether `text` can be a serial: 1 to 32 printable ASCII characters, no space."""
    return 1 <= len(text) <= SERIAL_MAX and all("!" <= char <= "~" for char in text)


def is_name(text: str, limit: int = NAME_MAX) -> bool:
    """Whether `text` can name an application or a container."""
    return 1 <= len(text.encode("utf-8", "replace")) <= limit and is_plain(text)
