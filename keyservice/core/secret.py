# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A PIN or another short secret, held in one place that can be wiped."""

from __future__ import annotations

import hmac
from types import TracebackType
from typing import NoReturn


class Secret:
    """Bytes that must not be printed, copied by accident or left behind.

    The content lives in one ``bytearray``; :meth:`wipe` overwrites it. Python may have made
    copies before the bytes came here (a socket buffer, say), so code that reads a secret reads
    it into a buffer that it hands over with :meth:`take`.
    """

    __slots__ = ("_content",)

    def __init__(self, content: bytes | bytearray | memoryview) -> None:
        """Copy `content`; the caller still owns, and wipes, what it passed."""
        self._content = bytearray(content)

    @classmethod
    def take(cls, buffer: bytearray) -> Secret:
        """Own `buffer` itself, without a copy."""
        secret = cls(b"")
        secret._content = buffer
        return secret

    def __len__(self) -> int:
        return len(self._content)

    def view(self) -> memoryview:
        """The content in place. Release the view before :meth:`wipe`."""
        return memoryview(self._content)

    def padded(self, length: int) -> bytearray:
        """A copy filled up with 00 to `length` bytes. The caller wipes it (:func:`wipe`)."""
        if len(self._content) > length:
            raise ValueError("a secret is longer than its field")
        out = bytearray(length)
        out[: len(self._content)] = self._content
        return out

    def matches(self, other: Secret) -> bool:
        """Whether they are equal, in a time that does not depend on where they differ."""
        return hmac.compare_digest(self._content, other._content)

    def wipe(self) -> None:
        wipe(self._content)

    def __enter__(self) -> Secret:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.wipe()

    def __del__(self) -> None:
        self.wipe()

    def __repr__(self) -> str:
        return "<secret>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError("compare secrets with matches()")


def wipe(buffer: bytearray) -> None:
    """Overwrite `buffer` with zeros, in place."""
    buffer[:] = bytes(len(buffer))
