# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Which system calls this process may still make, by libseccomp.

A call that is not listed answers ENOSYS, as in a kernel that does not have it. The C library knows
what to do then; and a version of it that makes a newer call falls back to an older one. The calls
of another ABI (32 bits, x32) end the process. Refusals are not logged: a process that causes them
without end would fill the kernel's audit queue, and each login that logs there would wait.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_LIBRARY = "libseccomp.so.2"

_KILL_PROCESS, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_BAD_ARCHITECTURE, _ALL_THREADS = 2, 4  #: enum scmp_filter_attr
_MASKED_EQUAL = 7  #: enum scmp_compare


@dataclass(frozen=True, slots=True)
class Zero:
    """These bits of the argument with this number, counted from 0, must be zero."""

    argument: int
    bits: int = 0xFFFF_FFFF_FFFF_FFFF


class _Comparison(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("comparison", ctypes.c_int),
        ("mask", ctypes.c_uint64),
        ("value", ctypes.c_uint64),
    )


class Filter:
    """Made while files can still be opened; in force from :meth:`load` on, for good."""

    def __init__(self, allowed: Mapping[str, Sequence[Zero]]) -> None:
        """`allowed`: a call's name, and what must hold of its arguments. A name that this
        architecture does not have is passed over.

        Raises :class:`OSError` where the library is missing, or does not know the architecture.
        """
        self._library = _load()
        self._context = self._library.seccomp_init(_ERRNO | errno.ENOSYS)
        if not self._context:
            raise OSError(errno.ENOSYS, f"{_LIBRARY} does not know this architecture")
        self._set(_BAD_ARCHITECTURE, _KILL_PROCESS)
        self._set(_ALL_THREADS, 1)
        for name, conditions in allowed.items():
            number = self._library.seccomp_syscall_resolve_name(name.encode())
            if number >= 0:
                self._allow(number, conditions)

    def load(self) -> None:
        """No other call is made any more. Raises :class:`OSError`."""
        self._must(self._library.seccomp_load(self._context), "seccomp_load")

    def _set(self, attribute: int, value: int) -> None:
        done = self._library.seccomp_attr_set(self._context, attribute, value)
        self._must(done, f"seccomp_attr_set {attribute}")

    def _allow(self, number: int, conditions: Sequence[Zero]) -> None:
        rows = (_Comparison * len(conditions))()
        for row, condition in zip(rows, conditions, strict=True):
            row.argument, row.comparison = condition.argument, _MASKED_EQUAL
            row.mask, row.value = condition.bits, 0
        done = self._library.seccomp_rule_add_exact_array(
            self._context, _ALLOW, number, len(conditions), rows
        )
        self._must(done, f"seccomp_rule_add_exact_array {number}")

    @staticmethod
    def _must(result: int, what: str) -> None:
        if result < 0:
            raise OSError(-result, f"{what}: {os.strerror(-result)}")


def _load() -> ctypes.CDLL:
    library = ctypes.CDLL(_LIBRARY)
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = (ctypes.c_uint32,)
    library.seccomp_load.argtypes = (ctypes.c_void_p,)
    library.seccomp_attr_set.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32)
    library.seccomp_syscall_resolve_name.argtypes = (ctypes.c_char_p,)
    library.seccomp_rule_add_exact_array.argtypes = (
        *(ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint),
        ctypes.POINTER(_Comparison),
    )
    return library
