# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Ways in which kept data gets lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from keyservice.core.errors import UkeyError
from keyservice.core.username import Person
from keyservice.store import people, revocations
from keyservice.store.files import PrivateDirectory
from keyservice.store.revocations import Revocation
from keyservice.store.witness import FILE, HIDDEN

from .conftest import binding, histories

ALICE, BOB, CAROL = Person("alice", 1000), Person("bob", 1001), Person("carol", 1002)
HERS, HIS = binding(), binding("bob", 1001, "SN2", 2)
KEY, OTHER = "ab" * 32, "cd" * 32


def event(key: str = KEY, *, revoked: bool = True, user: str = "dave") -> Revocation:
    return Revocation(key, revoked, "2026-01-02T03:04:05Z", 0, user, "SN9")


def revoked(folder: PrivateDirectory) -> Path:
    return histories(folder).path / revocations.FILE


def known(folder: PrivateDirectory) -> Path:
    return histories(folder).path / people.FILE


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:-size])


def a_lost_end(folder: PrivateDirectory) -> None:
    cut(revoked(folder), 1)


def half_a_line_lost(folder: PrivateDirectory) -> None:
    cut(revoked(folder), 50)


def half_a_line_more(folder: PrivateDirectory) -> None:
    with revoked(folder).open("ab") as file:
        file.write(b'{"version": 1, "ke')


def a_line_lost(folder: PrivateDirectory) -> None:
    lines = revoked(folder).read_bytes().splitlines(keepends=True)
    revoked(folder).write_bytes(b"".join(lines[:-1]))


def another_line_lost(folder: PrivateDirectory) -> None:
    """And as much added."""
    lines = revoked(folder).read_bytes().splitlines(keepends=True)
    revoked(folder).write_bytes(lines[0] + lines[0])


def emptied(folder: PrivateDirectory) -> None:
    revoked(folder).write_bytes(b"")


def revocations_gone(folder: PrivateDirectory) -> None:
    revoked(folder).unlink()


def all_histories_gone(folder: PrivateDirectory) -> None:
    shutil.rmtree(histories(folder).path)


Loss = Callable[[PrivateDirectory], None]

LOST_REVOCATIONS: tuple[Loss, ...] = (
    a_lost_end,
    half_a_line_lost,
    half_a_line_more,
    a_line_lost,
    another_line_lost,
    emptied,
    revocations_gone,
    all_histories_gone,
)


def people_cut(folder: PrivateDirectory) -> None:
    cut(known(folder), 1)


def people_gone(folder: PrivateDirectory) -> None:
    known(folder).unlink()


def an_unreadable_witness(folder: PrivateDirectory) -> None:
    (folder.path / HIDDEN).write_bytes(b"{}")


def a_record_gone(folder: PrivateDirectory) -> None:
    (folder.path / "alice").unlink()


def all_records_gone(folder: PrivateDirectory) -> None:
    shutil.rmtree(folder.path)


LOST: tuple[Loss, ...] = (
    *LOST_REVOCATIONS,
    people_cut,
    people_gone,
    an_unreadable_witness,
    a_record_gone,
    all_records_gone,
)


def without_what_is_known(folder: PrivateDirectory) -> None:
    """The folders as a version without the history and the witness left them."""
    for path in (folder.path / HIDDEN, histories(folder).path / FILE, known(folder)):
        path.unlink()


def places(errors: list[UkeyError]) -> set[str]:
    return {Path(str(error.facts["path"])).name for error in errors}
