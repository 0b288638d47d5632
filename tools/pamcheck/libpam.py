# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""libpam's own verdicts on a stack's copy, with each of many outcomes of its modules.

libpam runs in a child process, which has a deadline, no rights, a folder of its own, and writes
neither to the log nor to the audit trail: thousands of logins that nobody tried would stand there.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import select
import shutil
import signal
import syslog
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .copy import SERVICE, Copy

#: What a row is: the code that each module returns, None for one that is missing.
Row = tuple[str | None, ...]

_SUCCESS = 0
_CONV_ERR = 19
_ESTABLISH_CRED = 2
_TEXT_INFO = 4
_PR_SET_PDEATHSIG = 1
#: The uids that systemd gives to services without an account; none of them is anybody's.
_NOBODYS = range(61184, 65520)


class LibpamFailed(Exception):
    """libpam cannot be asked. The text says why, in English, for a bug report."""


class Unable(LibpamFailed):
    """libpam is older than 1.4, or its pam_debug.so or pam_echo.so is not there."""


@dataclass(frozen=True)
class Ran:
    """One run of the stack."""

    code: int  #: of pam_authenticate, or of pam_start where the stack cannot be loaded
    setcred: int  #: of pam_setcred, -1 where nobody was let in
    trace: tuple[int, ...]  #: the modules that ran, in order

    @property
    def success(self) -> bool:
        return self.code == _SUCCESS


def run(copy: Copy, rows: Sequence[Row], seconds: float) -> list[Ran]:
    """Run each of `rows`. Raises :class:`LibpamFailed`, also after `seconds`."""
    uid = _uid() if os.geteuid() == 0 else None
    with _folder(uid) as folder:
        ran = list(_in_a_child(copy, rows, folder, uid, time.monotonic() + seconds))
    if len(ran) != len(rows):
        raise LibpamFailed(f"libpam's process ended after {len(ran)} of {len(rows)} rows")
    return ran


def _uid() -> int:
    """A uid that is nobody's, not even the account nobody's."""
    for uid in _NOBODYS:
        try:
            pwd.getpwuid(uid)
        except KeyError:
            return uid
    return _NOBODYS[0]


@contextmanager
def _folder(uid: int | None) -> Iterator[Path]:
    """A folder that only `uid` can enter. It is not where TMPDIR says: that may be closed to `uid`,
    and no stack can name a path with a space."""
    base = "/run" if uid is not None and os.access("/run", os.W_OK) else "/tmp"
    folder = Path(tempfile.mkdtemp(prefix="ukey-pam-check-", dir=base))
    try:
        if uid is not None:
            with suppress(OSError):
                os.chown(folder, uid, uid)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _in_a_child(
    copy: Copy, rows: Sequence[Row], folder: Path, uid: int | None, deadline: float
) -> Iterator[Ran]:
    reading, writing = os.pipe()
    parent, child = os.getpid(), os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            _become_nobody(uid)
            _die_with(parent)
            status = _Child(copy, folder, writing).work(rows)
        finally:
            os._exit(status)
    os.close(writing)
    try:
        yield from _answers(reading, deadline)
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        _pid, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) == _Child.UNABLE:
        raise Unable("pam_start_confdir, pam_debug.so or pam_echo.so is missing")


def _answers(reading: int, deadline: float) -> Iterator[Ran]:
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    rest = b""
    while True:
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise LibpamFailed("libpam did not answer in time")
        more = os.read(reading, 65536)
        if not more:
            return
        *lines, rest = (rest + more).split(b"\n")
        for line in lines:
            code, setcred, *trace = map(int, line.split())
            yield Ran(code, setcred, tuple(trace))


def _become_nobody(uid: int | None) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    syslog.setlogmask(syslog.LOG_MASK(syslog.LOG_EMERG))
    if uid is not None:
        # Fails where this root has no rights itself; then there is nothing to give up.
        with suppress(OSError):
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)


def _die_with(parent: int) -> None:
    """No child outlives the process that reads its answers."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


class _Message(ctypes.Structure):
    _fields_ = (("style", ctypes.c_int), ("text", ctypes.c_char_p))


_CONVERSE = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_int,
    ctypes.POINTER(ctypes.POINTER(_Message)),
    ctypes.c_void_p,
    ctypes.c_void_p,
)


class _Conversation(ctypes.Structure):
    _fields_ = (("converse", _CONVERSE), ("data", ctypes.c_void_p))


class _Child:
    """The process that libpam runs in."""

    #: Its exit status if this libpam lacks what the copy needs.
    UNABLE = 3

    def __init__(self, copy: Copy, folder: Path, writing: int) -> None:
        self._copy, self._folder, self._writing = copy, folder, writing
        self._pam = ctypes.CDLL("libpam.so.0")
        self._callback = _CONVERSE(self._converse)
        self._conversation = _Conversation(self._callback, None)
        self._shown: list[str] = []
        self._written: dict[str, str] = {}

    def work(self, rows: Sequence[Row]) -> int:
        if not hasattr(self._pam, "pam_start_confdir"):
            return self.UNABLE
        # An open handle keeps both modules loaded.
        probe = self._probe()
        if probe is None:
            return self.UNABLE
        out: list[str] = []
        for number, row in enumerate(rows):
            self._write(row)
            ran = self._run(SERVICE)
            out.append(" ".join(map(str, (ran.code, ran.setcred, *ran.trace))) + "\n")
            if len(out) == 64 or number == len(rows) - 1:
                data = "".join(out).encode()
                while data:
                    data = data[os.write(self._writing, data) :]
                out.clear()
        return 0

    def _probe(self) -> ctypes.c_void_p | None:
        """A handle with both modules; None if one of them is not as it should be."""
        for code, wanted in (("auth_err", 7), ("success", _SUCCESS)):
            text = f"auth [default=ignore] pam_echo.so 5\nauth required pam_debug.so auth={code}\n"
            (self._folder / "probe").write_text(text)
            ran = self._run("probe")
            if ran.code != wanted or ran.trace != (5,):
                return None
        return self._start("probe")

    def _write(self, row: Row) -> None:
        for name, pieces in self._copy.files.items():
            text = "".join(
                self._copy.module(piece, row[piece]) if isinstance(piece, int) else piece
                for piece in pieces
            ).format(folder=self._folder)
            if self._written.get(name) != text:
                (self._folder / name).write_text(text, "utf-8", "surrogateescape")
                self._written[name] = text

    def _converse(self, count: int, messages: object, _responses: int, _data: int) -> int:
        for index in range(count):
            message = messages[index].contents  # type: ignore[index]
            if message.style != _TEXT_INFO:
                return _CONV_ERR
            self._shown.append(message.text.decode("ascii", "replace"))
        return _SUCCESS

    def _start(self, service: str) -> ctypes.c_void_p | None:
        handle = ctypes.c_void_p()
        self._code = self._pam.pam_start_confdir(
            service.encode(),
            b"nobody",
            ctypes.byref(self._conversation),
            os.fsencode(self._folder),
            ctypes.byref(handle),
        )
        return handle if self._code == _SUCCESS else None

    def _run(self, service: str) -> Ran:
        self._shown.clear()
        handle = self._start(service)
        if handle is None:
            return Ran(self._code, -1, ())
        code = self._pam.pam_authenticate(handle, 0)
        trace = tuple(int(text) for text in self._shown if text.isdigit())
        setcred = self._pam.pam_setcred(handle, _ESTABLISH_CRED) if code == _SUCCESS else -1
        self._pam.pam_end(handle, code)
        return Ran(code, setcred, trace)
