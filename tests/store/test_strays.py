# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Files among the records that are none: told by name, and in nobody's way, unless one may be all
that is left of a record."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyservice.core.errors import RecordDamaged
from keyservice.core.reasons import Reason
from keyservice.core.username import Person, file_name, is_file_name
from keyservice.store.bindings import Bindings
from keyservice.store.files import PrivateDirectory
from keyservice.store.record_text import serialize
from keyservice.store.records import Binding

from .conftest import binding

BOB = Person("bob", 1001)


@pytest.mark.parametrize("name", ["alice", "a.b", "J%C3%B6rg", "DOM%5Cbob", "%2Ehidden", "a%7E"])
def test_a_name_that_a_record_can_have_is_one(name: str) -> None:
    assert is_file_name(name)


@pytest.mark.parametrize(
    "name", ["alice~", "#alice#", "alice ", "a%7e", "%61", "%", "Jörg", "alice,v", ".x", "a."]
)
def test_a_name_that_no_record_can_have_is_none(name: str) -> None:
    assert not is_file_name(name)


def test_names_of_all_sorts_make_file_names() -> None:
    for user in ("alice", "jörg", "DOM\\bob", ".x.", "a b", "\udcff"):
        assert is_file_name(file_name(user))


@pytest.mark.parametrize("content", [b"", b"half a rec", None], ids=["empty", "half", "copy"])
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_stray_file_keeps_nobody_out_and_is_told(
    bindings: Bindings, folder: PrivateDirectory, alice: Binding, content: bytes | None, mode: int
) -> None:
    bindings.add(alice)
    path = write(folder, "alice~", serialize([alice]) if content is None else content, mode)
    assert bindings.all() == ([alice], [])
    assert bindings.of(BOB) == ()
    bindings.add(binding("bob", 1001, "SN2", 2))
    (told,) = bindings.strays()
    assert told.facts == {"path": str(path), "why": Reason.STRAY}


def test_a_copy_of_what_was_unbound_is_only_that(
    bindings: Bindings, folder: PrivateDirectory, alice: Binding
) -> None:
    bindings.add(alice)
    write(folder, "alice~", serialize([alice]))
    bindings.remove(alice)
    assert bindings.of(BOB) == ()


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_what_may_be_all_that_is_left_of_a_record_keeps_it_open(
    bindings: Bindings, folder: PrivateDirectory, alice: Binding, mode: int
) -> None:
    path = write(folder, "alice~", serialize([alice]), mode)
    with pytest.raises(RecordDamaged) as caught:
        bindings.of(BOB)
    facts = {"path": str(path), "why": Reason.OTHER_NAME, "file": "alice"}
    assert caught.value.facts == facts
    assert "rename it" in str(caught.value)
    assert bindings.strays() == []  # nobody is told as well that it counts for nothing


def test_a_record_that_was_renamed_is_gone(
    bindings: Bindings, folder: PrivateDirectory, alice: Binding
) -> None:
    bindings.add(alice)
    (folder.path / "alice").rename(folder.path / "alice~")
    with pytest.raises(RecordDamaged) as caught:
        bindings.of(BOB)
    assert caught.value.facts == {"path": f"{folder.path}/alice", "why": Reason.GONE}


@pytest.mark.parametrize("name", ["alice.bak", "carol"])
def test_a_damaged_file_with_a_record_s_name_still_blocks(
    bindings: Bindings, folder: PrivateDirectory, alice: Binding, name: str
) -> None:
    bindings.add(alice)
    write(folder, name, b"?")
    with pytest.raises(RecordDamaged):
        bindings.of(BOB)


def write(folder: PrivateDirectory, name: str, content: bytes, mode: int = 0o600) -> Path:
    path = folder.path / name
    path.write_bytes(content)
    path.chmod(mode)
    return path
