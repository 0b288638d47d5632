# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The stores that the rules are tested on: each, and what puts a record into it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from keyservice.store.file_records import FileRecords
from keyservice.store.records import CREDENTIALS_MAX, Binding, Records
from keyservice.store.state import State
from tests.store.memory import MemoryRecords

Store = tuple[Records, Callable[[Binding], None]]


def in_files(kept: State) -> Store:
    return FileRecords(kept), partial(kept.bindings.add, limit=CREDENTIALS_MAX)


def in_memory(_kept: State) -> Store:
    made = MemoryRecords()
    return made, partial(made.put, limit=CREDENTIALS_MAX)


#: The one in use; ``test_on_memory`` has the other one.
of: Callable[[State], Store] = in_files
