# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The kernel's consoles, as another kernel would list them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .process import must

_TTYS = Path("/sys/class/tty")


@contextmanager
def kernel_has(*names: str, in_front: str = "") -> Iterator[None]:
    """Inside, every program of this root reads these names, the last being /dev/console's.

    `in_front`: the virtual console that is shown.
    """
    with _saying("console", names):
        if not in_front:
            yield
            return
        with _saying("tty0", [in_front]):
            yield


@contextmanager
def _saying(tty: str, names: Sequence[str]) -> Iterator[None]:
    place = _TTYS / tty / "active"
    with tempfile.NamedTemporaryFile("w") as told:
        told.write(" ".join(names) + "\n")
        told.flush()
        Path(told.name).chmod(0o444)
        must(["mount", "--bind", told.name, place])
        try:
            yield
        finally:
            must(["umount", place])
