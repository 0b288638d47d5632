# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What ukeys need of this host's OpenSSL, and what FIPS mode or a crypto policy takes away of it.

Nothing is fetched past the policy: an administrator who set it is told, and decides.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
from ctypes import c_char_p, c_int, c_void_p
from importlib.util import find_spec
from pathlib import Path

from .errors import CryptoMissing
from .reasons import Reason

#: The one ABI that has all calls that are used. ``ctypes.util.find_library`` would start gcc and
#: ldconfig.
LIBRARY = "libcrypto.so.3"
_KERNEL = Path("/proc/sys/crypto/fips_enabled")


def check() -> None:
    """Raise :class:`CryptoMissing` unless all that ukeys need is there."""
    if names := missing():
        raise lacking(*names)


def missing() -> list[str]:
    """Which of SM2, SM3 and SM4 this process cannot have, from OpenSSL or from gmssl."""
    names = []
    if find_spec("gmssl") is None:  # it stands in for these two
        if not _offers("EVP_PKEY_CTX_new_from_name", b"SM2", "EVP_PKEY_CTX_free"):
            names.append("SM2")
        if not _offers("EVP_CIPHER_fetch", b"SM4-CBC", "EVP_CIPHER_free"):
            names.append("SM4")
    try:
        hashlib.new("sm3", usedforsecurity=False)
    except ValueError:
        names.append("SM3")
    return sorted(names)


def lacking(*names: str) -> CryptoMissing:
    """The error for algorithms that cannot be had: with the cause, as far as it can be told."""
    file = os.environ.get("OPENSSL_CONF", "")
    all_names = ", ".join(names)
    if _by_kernel():
        return CryptoMissing(why=Reason.FIPS_KERNEL, names=all_names)
    if _by_openssl():
        return CryptoMissing(why=Reason.FIPS_OPENSSL, names=all_names)
    if file:
        return CryptoMissing(why=Reason.OPENSSL_CONF, file=file, names=all_names)
    return CryptoMissing(why=Reason.OPENSSL_LACKS, names=all_names)


def _by_kernel() -> bool:
    try:
        return _KERNEL.read_text("ascii").strip() == "1"
    except (OSError, ValueError):
        return False


def _by_openssl() -> bool:
    """Whether OpenSSL's configuration asks for approved algorithms alone."""
    try:
        asked = ctypes.CDLL(LIBRARY).EVP_default_properties_is_fips_enabled
    except (OSError, AttributeError):
        return False
    asked.restype, asked.argtypes = c_int, (c_void_p,)
    return bool(asked(None) == 1)


def _offers(fetch: str, name: bytes, free: str) -> bool:
    try:
        library = ctypes.CDLL(LIBRARY)
        fetching, freeing = getattr(library, fetch), getattr(library, free)
    except (OSError, AttributeError):
        return False
    fetching.restype, fetching.argtypes = c_void_p, (c_void_p, c_char_p, c_char_p)
    freeing.restype, freeing.argtypes = None, (c_void_p,)
    found = fetching(None, name, None)
    if found is None:
        library.ERR_clear_error()  # other libraries share this thread's queue
        return False
    freeing(found)
    return True
