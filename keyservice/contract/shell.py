# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Text that others chose, in a command that is shown: people type or paste it into a shell, often
root's.

A ukey chooses its own serial, and a name service the names of users.
"""

from __future__ import annotations

import re
import shlex

#: Only letters and marks that mean nothing special to any shell.
_PLAIN = re.compile(r"[\w@%+=:,./-]+")


def word(text: str) -> str:
    """`text` as one word of a shell's: in quotes where it is not plain."""
    return text if _PLAIN.fullmatch(text) else shlex.quote(text)
