# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A disk that hangs: a system call of the store that does not return, in whatever thread makes it.

It stands between ``store.files`` and the kernel. All other calls go through, so that what somebody
else waits for beside the hung one is the service's own doing. (A disk that hangs for everybody
would show less: there nobody could go on.)
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Disk:
    """``os``, as ``store.files`` has it."""

    def __init__(self) -> None:
        self._call, self._before, self._path = "", 0, ""
        self._lock = threading.Lock()
        self.hung = threading.Event()
        self._release = threading.Event()
        self.by_main = list[str]()  #: the calls that the event loop's thread made

    def hang(self, call: str, before: int = 0, path: Path | str = "") -> None:
        """The next `call` hangs, of this path if one is named, that comes after so many others."""
        self._call, self._before, self._path = call, before, str(path)

    def release(self) -> None:
        """It comes back, and works again."""
        self._call = ""
        self._release.set()

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return self._watched(name, real) if callable(real) else real

    def _watched(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            if threading.current_thread() is threading.main_thread():
                self.by_main.append(name)
            if self._is_this(name, str(args[0])):
                self.hung.set()
                assert self._release.wait(60)
            return real(*args, **more)

        return call

    def _is_this(self, name: str, what: str) -> bool:
        with self._lock:
            if name != self._call or self._path not in ("", what):
                return False
            self._before -= 1
            if self._before >= 0:
                return False
            self._call = ""
            return True
