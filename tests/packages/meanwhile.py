# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""People who log in, one after the other, while something is done to the host."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from keyservice.contract.pam import PamCode

#: What a login may come to while parts are replaced: in, or out for want of a part.
EXPECTED = frozenset({PamCode.SUCCESS, PamCode.AUTHINFO_UNAVAIL, PamCode.MODULE_UNKNOWN})


class Meanwhile:
    """While it is entered: logins with both factors, and logins that break off at the PIN.

    A login that gets in by the password alone, ends in another way than it may, or crashes, is
    raised when it is left.
    """

    def __init__(self, log_in: Callable[..., PamCode], password: str, pin: str) -> None:
        """`log_in` is given the answers."""
        self.right, self.unfinished = list[PamCode](), list[PamCode]()
        self._log_in, self._password, self._pin = log_in, password, pin
        self._over = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._go)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error
        assert set(self.right) <= EXPECTED, self.right
        assert PamCode.SUCCESS not in self.unfinished

    def _go(self) -> None:
        try:
            while not self._over.is_set():
                self.right.append(self._log_in(self._password, self._pin))
                self.unfinished.append(self._log_in(self._password))
        except BaseException as error:
            self._error = error
