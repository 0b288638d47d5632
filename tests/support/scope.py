# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Things that a host has for a while, and how they are undone."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

from keyservice.core.closing import Closing

from .network import Far
from .people import People
from .restore import Restorer
from .stacks import Pam
from .terminal import Terminal


class Scope(Closing):
    """Files, people, daemons and terminals from one moment on. Undone last first, when left."""

    def __init__(self, outside: Scope | None = None) -> None:
        """`outside`: the scope that goes on meanwhile, and is used where this one makes nothing of
        its own."""
        self.console: Terminal | None = outside.console if outside else None
        self.far: Far | None = outside.far if outside else None
        self.on_bus: bool = outside.on_bus if outside else False
        self.folder = Path(tempfile.mkdtemp(prefix="host-"))
        self.exit = contextlib.ExitStack()
        self.exit.callback(shutil.rmtree, self.folder)
        self.restorer = Restorer()
        self.exit.callback(self.restorer.restore)
        self.pam = Pam(self.restorer)
        self.people = People(self.restorer)
        self.exit.callback(self.people.close)

    def close(self) -> None:
        self.exit.close()
