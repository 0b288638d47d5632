# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The real libpam on a stack of the test's own, in this process: for stacks without Python."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from keyservice.contract.pam import PamCode


class _Message(ctypes.Structure):
    _fields_ = (("style", ctypes.c_int), ("text", ctypes.c_char_p))


class _Response(ctypes.Structure):
    _fields_ = (("text", ctypes.c_void_p), ("code", ctypes.c_int))


_CONVERSE = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_int,
    ctypes.POINTER(ctypes.POINTER(_Message)),
    ctypes.POINTER(ctypes.POINTER(_Response)),
    ctypes.c_void_p,
)


class _Conversation(ctypes.Structure):
    _fields_ = (("converse", _CONVERSE), ("data", ctypes.c_void_p))


_libc = ctypes.CDLL(None)
_libc.calloc.restype = _libc.strdup.restype = ctypes.c_void_p
_libpam = ctypes.CDLL("libpam.so.0")
_PROMPTS = (1, 2)
_ITEMS = {"tty": 3, "rhost": 4, "ruser": 8}


@dataclass
class Outcome:
    """The result of a run of the stack."""

    code: int = -1
    setcred: int = -1
    shown: list[str] = field(default_factory=list)  #: every text, prompts included


def keep_loaded(folder: Path, service: str) -> None:
    """Keep the stack's modules in this process: to load them takes longer than most of a login."""
    none = _Conversation(_CONVERSE(), None)
    handle = ctypes.byref(ctypes.c_void_p())
    confdir = str(folder).encode()
    started = _libpam.pam_start_confdir(
        service.encode(), b"nobody", ctypes.byref(none), confdir, handle
    )
    assert started == PamCode.SUCCESS, started


def authenticate(
    folder: Path,
    service: str,
    user: str = "nobody",
    answers: Callable[[str], str] = lambda text: "",
    *,
    setcred: bool = False,
    setcred_alone: bool = False,
    variable: str = "",
    **items: str,
) -> Outcome:
    """Run the auth stack of `service` in `folder`; then, or only, pam_setcred.

    `variable`: one of libpam's own environment, which the program sets before: ``NAME=value``.
    """
    outcome = Outcome()

    def converse(count: int, messages: object, responses: object, _data: object) -> int:
        array = ctypes.cast(
            _libc.calloc(count, ctypes.sizeof(_Response)), ctypes.POINTER(_Response)
        )
        for index in range(count):
            message = messages[index].contents  # type: ignore[index]
            text = message.text.decode()
            outcome.shown.append(text)
            if message.style in _PROMPTS:
                array[index].text = _libc.strdup(answers(text).encode())
        responses[0] = array  # type: ignore[index]
        return PamCode.SUCCESS

    callback = _CONVERSE(converse)
    conversation = _Conversation(callback, None)
    handle = ctypes.c_void_p()
    started = _libpam.pam_start_confdir(
        service.encode(),
        user.encode(),
        ctypes.byref(conversation),
        str(folder).encode(),
        ctypes.byref(handle),
    )
    assert started == PamCode.SUCCESS, started
    try:
        for name, value in items.items():
            _libpam.pam_set_item(handle, _ITEMS[name], value.encode())
        if variable:
            _libpam.pam_putenv(handle, variable.encode())
        if not setcred_alone:
            outcome.code = _libpam.pam_authenticate(handle, 0)
        if setcred_alone or setcred:
            outcome.setcred = _libpam.pam_setcred(handle, 2)
    finally:
        _libpam.pam_end(handle, max(outcome.code, 0))
    return outcome
