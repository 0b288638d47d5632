# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A number that passes from one person to another: who is forgotten with whom."""

from __future__ import annotations

from keyservice.core.username import Person
from keyservice.store.files import PrivateDirectory
from keyservice.store.state import State

from .conftest import binding, started

#: Her number has gone to bob since she had a ukey.
CAROL, CAROL_NOW, BOB = Person("carol", 1001), Person("carol", 1002), Person("bob", 1001)


def renumbered(folder: PrivateDirectory) -> State:
    """Carol had a ukey under the number that is bob's now."""
    state = started(folder)
    bound = binding("carol", 1001, "SN3", 3)
    state.bindings.add(bound)
    state.bindings.remove(bound)
    for each in (CAROL_NOW, BOB):
        assert state.people.had(each) is not None
    return state


def test_who_has_a_number_now_is_forgotten_without_who_had_it(folder: PrivateDirectory) -> None:
    renumbered(folder).forget("bob", 1001, 0)
    for state in (started(folder), started(folder)):
        assert state.people.had(BOB) is None
        assert state.people.had(CAROL_NOW) is not None, "nouserok would let her pass"
    state.forget("carol", 1002, 0)
    assert started(folder).people.had(CAROL_NOW) is None


def test_what_was_bound_to_them_since_is_no_hindrance_and_stays_known(
    folder: PrivateDirectory,
) -> None:
    state = renumbered(folder)
    since = binding("carol", 1002, "SN4", 4)
    state.bindings.add(since)
    assert [each.user for each in state.forget("bob", 1001, 0)] == ["bob"]
    state = started(folder)
    assert state.people.had(BOB) is None
    assert state.bindings.of(CAROL_NOW) == (since,)
    (folder.path / "carol").unlink()
    assert len(state.damage()) == 1, "a loss is missed as before"


def test_who_was_renamed_is_forgotten_by_both(folder: PrivateDirectory) -> None:
    """A user who comes by the old name is told so again."""
    state = renumbered(folder)
    state.forget("bob", 1001, 0)
    assert state.people.had(CAROL) is not None
    state.forget("carol", 1001, 0)
    for each in (CAROL, CAROL_NOW, BOB):
        assert started(folder).people.had(each) is None
