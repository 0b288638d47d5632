# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Has this Python process count which of the product's lines and branches it runs.

``inside.sh`` puts this file into a sandbox's dist-packages as ``ukey_counting.py``, with a ``.pth``
that calls :func:`start`: so it reaches launchers that ignore the environment (``python3 -I``) and
the interpreters that pam_python starts in login programs. Nothing here may show in a test: if
something fails, it is left out of the figures, in silence.
"""

from __future__ import annotations

import os
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

ROOTS = ("/usr/src/ukey", "/usr/lib/ukey")
PACKAGES = ("keyservice", "pam_ukey", "tools")

#: Words of the command lines of processes that do not count: a confined process could not save its
#: counts, and is killed; others run nothing of the product, or run it to look at the process
#: itself.
NOT_COUNTING = (
    b"/usr/libexec/ukey/device-worker",
    b"keyservice.ukeys.device",
    b"tests.softkey",
    b"sys.modules",
    b"/mypy",
    b"/ruff",
    b"/rpmlint",
)
_STATUS_MAX = 4096  # bytes
_SIGINT = 2
_RT_SIGACTION = {"x86_64": 13, "aarch64": 134}
_SIGACTION_MAX = 256  # bytes; the kernel's struct sigaction is smaller everywhere
_SIGSET = 8  # bytes
_SAVING = 3.0  # seconds that a child may need for it


def start(folder: str) -> None:
    """Count from now on; the counts go into `folder` when the process ends by itself."""
    try:
        words = Path("/proc/self/cmdline").read_bytes().split(b"\0")
        if _is_traced() or any(mark in word for word in words for mark in NOT_COUNTING):
            return
        if b"python" in os.fsencode(Path("/proc/self/exe").readlink().name):
            _count(folder)
        else:
            _count_in_others(folder)
    except Exception:
        return


def _is_traced() -> bool:
    """Whether strace traces it: a test looks at each call that the product makes. This makes three,
    always."""
    status = os.open("/proc/self/status", os.O_RDONLY)
    try:
        return b"TracerPid:\t0\n" not in os.read(status, _STATUS_MAX)
    finally:
        os.close(status)


def _count_in_others(folder: str) -> None:
    """Python's module signal, which coverage brings along, takes SIGINT from a login program.

    The C library's own sigaction would not put back a flag that it adds.
    """
    import ctypes

    def sigaction(new: object, old: object) -> None:
        number = _RT_SIGACTION[os.uname().machine]
        ctypes.CDLL(None).syscall(number, _SIGINT, new, old, ctypes.c_size_t(_SIGSET))

    action = ctypes.create_string_buffer(_SIGACTION_MAX)
    sigaction(None, action)
    _count(folder)
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # else it is changed when the interpreter ends
    sigaction(action, None)


def _count(folder: str) -> None:
    import atexit

    import coverage

    counting = coverage.Coverage(
        data_file=f"{folder}/data",
        data_suffix=True,
        branch=True,
        config_file=False,
        include=[f"{root}/{package}/*" for root in ROOTS for package in PACKAGES],
    )
    counting._warn = lambda *_words, **_more: None
    counting.start()

    def save() -> None:
        try:
            if not _is_traced():
                counting.stop()
                counting.save()
        except Exception:
            return

    atexit.register(save)
    os._exit = _before(os._exit, save)  # type: ignore[assignment]
    os.kill = _before_own_end(os.kill, save)
    os.killpg = _after_its_end(os.killpg)


def _before(
    leave: Callable[[int], NoReturn], save: Callable[[], None]
) -> Callable[[int], NoReturn]:
    """Forked children end this way: no handler of atexit's is called."""

    def saved(status: int) -> NoReturn:
        save()
        leave(status)

    return saved


def _before_own_end(
    send: Callable[[int, int], None], save: Callable[[], None]
) -> Callable[[int, int], None]:
    """A command that was stopped by a signal ends by that signal."""

    def saved(pid: int, number: int) -> None:
        import signal

        ends = number not in (0, signal.SIGTSTP) and signal.getsignal(number) is signal.SIG_DFL
        if pid == os.getpid() and ends:
            save()
        send(pid, number)

    return saved


def _after_its_end(send: Callable[[int, int], None]) -> Callable[[int, int], None]:
    """A child that is killed as soon as it has sent its result may save its counts first."""

    def saved(group: int, number: int) -> None:
        import time

        deadline = time.monotonic() + _SAVING
        try:
            while not os.waitid(os.P_PID, group, os.WEXITED | os.WNOWAIT | os.WNOHANG):
                if time.monotonic() > deadline:
                    break
                time.sleep(0.01)
        except ChildProcessError:
            pass  # it is nobody's child here
        send(group, number)

    return saved
