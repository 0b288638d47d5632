# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""One ukey, one user, in records that came from a backup or from another host too."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keyservice.core.errors import AlreadyBound, RecordDamaged
from keyservice.core.username import Person
from keyservice.store.files import PrivateDirectory
from keyservice.store.record_text import serialize
from keyservice.store.records import Binding

from .conftest import binding, started, state_of

ALICE, BOB, DAVE = Person("alice", 1000), Person("bob", 1001), Person("dave", 1003)
HERS = binding()
#: The same ukey, or its key in another one: bob has it since she gave it back.
BOBS = (binding("bob", 1001), binding("bob", 1001, key=2), binding("bob", 1001, "SN2"))


@pytest.mark.parametrize("bobs", BOBS, ids=["ukey", "serial", "key"])
def test_a_record_that_came_back_beside_another_s_is_damage(
    folder: PrivateDirectory, bobs: Binding
) -> None:
    state = started(folder)
    state.bindings.add(HERS)
    state.bindings.remove(HERS)
    state.bindings.add(bobs)
    folder.create("alice", serialize([HERS]))
    again = state_of(folder)
    assert len(again.start()) == 2
    assert [each.facts for each in again.damage()] == [
        {"path": f"{folder.path}/{name}", "why": "shared", "other": other}
        for name, other in (("bob", "alice"), ("alice", "bob"))
    ]
    with pytest.raises(RecordDamaged):
        again.bindings.of(DAVE)
    with pytest.raises(AlreadyBound):
        again.bindings.add(replace(bobs, user="dave", uid=1003))
    again.bindings.remove(HERS)
    assert again.damage() == []
    assert again.bindings.of(BOB) == (bobs,)
    assert again.bindings.of(DAVE) == ()
