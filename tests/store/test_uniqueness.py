# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The rule by itself: which bindings exclude each other."""

from __future__ import annotations

import pytest

from keyservice.core.errors import AlreadyBound, RecordForeign
from keyservice.core.username import Person
from keyservice.store import uniqueness

from .conftest import binding

HERS, HIS = binding(), binding("bob", 1001, "SN2", 2)


@pytest.mark.parametrize(
    ("person", "found"),
    [
        (Person("alice", 1000), HERS),
        (Person("bob", 1001), HIS),
        (Person("carol", 1002), None),
        (Person("alice", 1001), RecordForeign),  # her name, and his uid
        (Person("alice", 1002), RecordForeign),
        (Person("carol", 1000), RecordForeign),
    ],
)
def test_a_person_is_a_name_and_a_uid(person: Person, found: object) -> None:
    if found is RecordForeign:
        with pytest.raises(RecordForeign) as caught:
            uniqueness.theirs([HIS, HERS], person)
        assert caught.value.facts["user"] == person.name
        expected = "alice" if person != Person("bob", 1001) else "bob"
        assert caught.value.facts["record_user"] == expected
    else:
        assert uniqueness.theirs([HIS, HERS], person) == ((found,) if found else ())


def test_what_is_under_the_name_comes_before_what_is_under_the_uid() -> None:
    toor, root = binding("toor", 0, "SN3", 3), binding("root", 0, "SN4", 4)
    assert uniqueness.theirs([toor, root], Person("root", 0)) == (root,)
    assert uniqueness.theirs([root, toor], Person("toor", 0)) == (toor,)


def test_a_ukey_and_a_key_are_free_or_not() -> None:
    uniqueness.check_free([HERS, HIS], serial="SN3")
    uniqueness.check_free([HERS, HIS], key="00" * 32)
    uniqueness.check_free([], serial="SN1", key=HERS.fingerprint)
    for serial, key in (("SN2", ""), ("", HIS.fingerprint)):
        with pytest.raises(AlreadyBound) as caught:
            uniqueness.check_free([HERS, HIS], serial=serial, key=key)
        assert caught.value.facts == {"user": "bob", "serial": "SN2"}


def test_those_that_share_a_ukey_or_a_key_are_told_in_pairs() -> None:
    ukey, key = binding("carol", 1002, "SN1", 3), binding("dave", 1003, "SN4", 3)
    both = binding("erin", 1004, "SN1", 1)
    pairs = list(uniqueness.shared([HERS, HIS, ukey, key, both]))
    assert pairs == [(ukey, HERS), (key, ukey), (both, HERS)]
    assert list(uniqueness.shared([HERS, HIS])) == []
