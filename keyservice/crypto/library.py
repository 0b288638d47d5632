# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""OpenSSL 3's libcrypto, called through ctypes, which lets go of the interpreter's lock."""

from __future__ import annotations

import ctypes
from typing import Any

from keyservice.core.fips import LIBRARY

#: A function's name, the type of its result, and those of its arguments.
_Call = tuple[str, Any, tuple[Any, ...]]


def load(*calls: _Call) -> ctypes.CDLL:
    """libcrypto with the types of `calls`. Raises :class:`OSError` where there is none, and
    :class:`AttributeError` where it lacks one."""
    library = ctypes.CDLL(LIBRARY)
    for name, result, arguments in calls:
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
