# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Who is enrolled, and that nothing but a sound record says so."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from keyservice.core.errors import (
    AlreadyBound,
    NotEnrolled,
    RecordDamaged,
    RecordForeign,
    StoreFailed,
)
from keyservice.core.reasons import Reason
from keyservice.core.username import Person
from keyservice.store.bindings import Bindings
from keyservice.store.files import PrivateDirectory
from keyservice.store.record_text import parse, serialize
from keyservice.store.records import Binding

from .conftest import binding

ALICE, BOB = Person("alice", 1000), Person("bob", 1001)


def write(folder: PrivateDirectory, name: str, content: bytes, mode: int = 0o600) -> Path:
    path = folder.path / name
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_a_stored_binding_is_found_again(bindings: Bindings, alice: Binding) -> None:
    bindings.add(alice)
    assert bindings.of(ALICE) == (alice,)
    assert bindings.all() == ([alice], [])
    assert bindings.of(BOB) == ()


def test_a_record_is_text_that_a_person_can_read(
    bindings: Bindings, folder: PrivateDirectory, alice: Binding
) -> None:
    bindings.add(alice)
    path = folder.path / "alice"
    assert path.read_text().splitlines()[:4] == [
        "{",
        '  "version": 1,',
        '  "user": "alice",',
        '  "uid": 1000,',
    ]
    assert path.stat().st_mode & 0o777 == 0o600
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert sorted(os.listdir(folder.path)) == [".witness", "alice"]  # noqa: PTH208


def test_a_uid_that_is_bound_counts_under_any_name(bindings: Bindings, alice: Binding) -> None:
    bindings.add(alice)
    for name in ("ALICE", "alice@example.org", "renamed"):
        with pytest.raises(RecordForeign) as caught:
            bindings.of(Person(name, 1000))
        assert caught.value.facts["record_user"] == "alice"


def test_a_name_that_now_has_another_uid_is_refused(bindings: Bindings, alice: Binding) -> None:
    bindings.add(alice)
    with pytest.raises(RecordForeign):
        bindings.of(Person("alice", 2000))
    with pytest.raises(RecordForeign):
        bindings.add(binding(uid=2000, serial="SN2", key=2))


def test_two_names_of_one_uid_each_have_their_own(bindings: Bindings) -> None:
    root, toor = binding("root", 0), binding("toor", 0, "SN2", 2)
    bindings.add(root)
    with pytest.raises(RecordForeign):
        bindings.of(Person("toor", 0))
    write(bindings._folder, "toor", serialize([toor]))
    assert bindings.of(Person("toor", 0)) == (toor,)
    assert bindings.of(Person("root", 0)) == (root,)


@pytest.mark.parametrize(
    "other",
    [
        binding("alice", 1000, "SN2", 2),
        binding("bob", 1001, "SN1", 2),
        binding("bob", 1001, "SN2", 1),
    ],
    ids=["the user", "the ukey", "the key"],
)
def test_nothing_is_bound_twice(bindings: Bindings, alice: Binding, other: Binding) -> None:
    bindings.add(alice)
    with pytest.raises(AlreadyBound):
        bindings.add(other)
    assert bindings.all() == ([alice], [])


def test_removing(bindings: Bindings, alice: Binding) -> None:
    bindings.add(alice)
    with pytest.raises(NotEnrolled):
        bindings.remove(binding(serial="SN2"))
    bindings.remove(alice)
    assert bindings.of(ALICE) == ()
    with pytest.raises(NotEnrolled):
        bindings.remove(alice)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("DOM\\alice", "DOM%5Calice"),
        (".hidden", "%2Ehidden"),
        ("a.b", "a.b"),
        ("dot.", "dot%2E"),
        ("李雷", "%E6%9D%8E%E9%9B%B7"),
        ("a%2Fb", "a%252Fb"),
        ("a b", "a%20b"),
    ],
)
def test_any_name_has_a_file_of_its_own(
    bindings: Bindings, folder: PrivateDirectory, name: str, file: str
) -> None:
    stored = binding(name)
    bindings.add(stored)
    assert folder.names() == [file]
    assert bindings.of(Person(name, 1000)) == (stored,)


def test_a_name_too_long_for_a_file_is_nobody_and_cannot_be_bound(bindings: Bindings) -> None:
    long = "李" * 80  # 240 bytes, 720 encoded
    assert bindings.of(Person(long, 1000)) == ()
    with pytest.raises(StoreFailed):
        bindings.add(binding(long))


def spoilt(change: Callable[[dict[str, object]], object]) -> bytes:
    fields = json.loads(serialize([binding()]))
    change(fields)
    return json.dumps(fields).encode()


DAMAGED = {
    "empty": b"",
    "half": serialize([binding()])[:100],
    "no object": b"[]",
    "deep": b"[" * 5000,
    "not ASCII": b'{"user": "\xff"}',
    "another version": spoilt(lambda f: f.update(version=3)),
    "one key as a list has it": spoilt(lambda f: f.update(version=2)),
    "a version that is true": spoilt(lambda f: f.update(version=True)),
    "no version": spoilt(lambda f: f.pop("version")),
    "a field missing": spoilt(lambda f: f.pop("serial")),
    "a field too many": spoilt(lambda f: f.update(admin=True)),
    "a field twice": serialize([binding()]).replace(b'"uid": 1000,', b'"uid": 0,\n  "uid": 1000,'),
    "uid a text": spoilt(lambda f: f.update(uid="1000")),
    "uid a bool": spoilt(lambda f: f.update(uid=True)),
    "uid out of range": spoilt(lambda f: f.update(uid=-1)),
    "attested a number": spoilt(lambda f: f.update(attested=1)),
    "no serial": spoilt(lambda f: f.update(serial="")),
    "a short key": spoilt(lambda f: f.update(public_key="00")),
    "no hexadecimal key": spoilt(lambda f: f.update(public_key="x" * 128)),
    "a spaced key": spoilt(lambda f: f.update(public_key="00" * 62 + "    ")),
    "another algorithm": spoilt(lambda f: f.update(algorithm="rsa")),
    "another user": spoilt(lambda f: f.update(user="bob")),
    "a user that cannot be": spoilt(lambda f: f.update(user="../alice")),
    "no time": spoilt(lambda f: f.update(bound_at="yesterday")),
    "too large": serialize([binding()]) + b" " * 70000,
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_record_is_refused_by_name_and_reason(
    bindings: Bindings, folder: PrivateDirectory, content: bytes
) -> None:
    path = write(folder, "alice", content)
    with pytest.raises(RecordDamaged) as caught:
        bindings.of(ALICE)
    assert caught.value.facts["path"] == str(path)
    assert caught.value.facts["why"] in set(Reason)
    everyone, damaged = bindings.all()
    assert everyone == []
    assert len(damaged) == 1


def test_nobody_is_proven_to_have_none_while_a_record_is_damaged(
    bindings: Bindings, folder: PrivateDirectory, alice: Binding
) -> None:
    bindings.add(alice)
    write(folder, "carol", b"?")
    with pytest.raises(RecordDamaged):
        bindings.of(BOB)
    with pytest.raises(RecordDamaged):
        bindings.add(binding("bob", 1001, "SN2", 2))
    assert bindings.of(ALICE) == (alice,)  # whose own record is sound


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o601])
def test_a_record_open_to_others_is_refused(
    bindings: Bindings, folder: PrivateDirectory, mode: int
) -> None:
    write(folder, "alice", serialize([binding()]), mode)
    with pytest.raises(RecordDamaged, match=f"{mode:04o}"):
        bindings.of(ALICE)


def test_a_record_of_another_owner_is_refused(bindings: Bindings, folder: PrivateDirectory) -> None:
    path = write(folder, "alice", serialize([binding()]))
    os.chown(path, 1000, 0)
    with pytest.raises(RecordDamaged, match="belongs to uid 1000"):
        bindings.of(ALICE)


def test_a_link_is_not_followed(
    bindings: Bindings, folder: PrivateDirectory, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(serialize([binding()]))
    elsewhere.chmod(0o600)
    (folder.path / "alice").symlink_to(elsewhere)
    with pytest.raises(RecordDamaged, match="symbolic link"):
        bindings.of(ALICE)
    (folder.path / "bob").symlink_to("/nonexistent")
    with pytest.raises(RecordDamaged, match="symbolic link"):
        bindings.of(BOB)


@pytest.mark.parametrize("kind", ["directory", "fifo", "socket"])
def test_what_is_no_file_is_refused_at_once(
    bindings: Bindings, folder: PrivateDirectory, kind: str
) -> None:
    path = folder.path / "alice"
    if kind == "directory":
        path.mkdir(0o700)
    elif kind == "fifo":
        os.mkfifo(path, 0o600)
    else:
        os.mknod(path, 0o140600)
    with pytest.raises((RecordDamaged, StoreFailed)):
        bindings.of(ALICE)


def test_a_folder_open_to_others_or_missing_is_refused(
    bindings: Bindings, folder: PrivateDirectory, alice: Binding
) -> None:
    bindings.add(alice)
    folder.path.chmod(0o750)
    with pytest.raises(RecordDamaged):
        bindings.of(ALICE)
    folder.path.chmod(0o700)
    os.chown(folder.path, 1000, 0)
    with pytest.raises(RecordDamaged):
        bindings.of(ALICE)
    folder.path.rename(folder.path.with_name("away"))
    with pytest.raises(StoreFailed):
        bindings.of(BOB)  # not "not enrolled"
    folder.path.symlink_to("away")
    with pytest.raises(StoreFailed):
        bindings.of(BOB)


def test_hidden_files_are_nobodys(bindings: Bindings, folder: PrivateDirectory) -> None:
    write(folder, ".swp", b"?")
    assert bindings.of(ALICE) == ()


def test_a_damaged_record_can_be_discarded(bindings: Bindings, folder: PrivateDirectory) -> None:
    write(folder, "alice", b"?")
    bindings.discard("alice")
    assert bindings.of(ALICE) == ()


def test_what_is_written_is_what_is_read() -> None:
    for stored in (binding(), binding("李雷"), binding("a\udcffb")):
        assert parse(serialize([stored])) == (stored,)
