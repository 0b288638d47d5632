# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""To this version and back: records that an older package wrote, and what it finds afterwards.

``data/version1`` is a host's folders as that package left them; ``older`` is its code, which reads.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from keyservice.core.errors import RecordDamaged
from keyservice.core.username import Person
from keyservice.store.files import PrivateDirectory
from keyservice.store.records import Binding, Purpose
from keyservice.store.state import State
from keyservice.store.witness import FILE, HIDDEN, Witness

from .conftest import HOST, binding, histories, started, state_of
from .credentials import of_ssh, spare
from .older.bindings import Bindings as OlderBindings
from .older.people import People as OlderPeople
from .older.records import Binding as OlderBinding
from .test_killed import ran, traced

KEPT = Path(__file__).with_name("data") / "version1"
ALICE, BOB, CAROL = Person("alice", 1000), Person("bob", 1001), Person("carol", 1002)
DAVE, ERIN, FRANK = Person("dave", 1003), Person("erin", 1004), Person("frank", 1005)
NOBODY = Person("grace", 1006)
ALL = (ALICE, BOB, CAROL, ERIN)
SPARE, SSH, FRANKS = spare(9), of_ssh(8), binding("frank", 1005, "SN6", 6)


@dataclass(frozen=True)
class Older:
    """An older package on the same folders, as its service starts."""

    bindings: OlderBindings
    people: OlderPeople

    def logs_in(self, person: Person) -> bool:
        """Whether it finds the person's key, and takes it for good."""
        found = self.bindings.own(person)
        return found is not None and self.bindings._revocations.find(found.fingerprint) is None


def older(folder: PrivateDirectory) -> Older:
    state = state_of(folder)
    witness = Witness(HOST, (histories(folder), FILE), (folder, HIDDEN))
    people = OlderPeople(histories(folder), witness)
    made = Older(OlderBindings(folder, people, state.revocations), people)
    made.bindings.adopt(made.bindings.all()[0], wait=True)
    return made


def logs_in(state: State, person: Person) -> bool:
    enrolment = state.enrolled(person)
    return enrolment is not None and not enrolment.of(Purpose.LOGIN)[0].revoked


def kept(at: Path) -> PrivateDirectory:
    shutil.copytree(KEPT, at)
    for path in (at, *at.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return PrivateDirectory(at / "records")


def texts(folder: PrivateDirectory) -> dict[str, bytes]:
    return {name: (folder.path / name).read_bytes() for name in folder.names()}


@pytest.fixture
def host(tmp_path: Path) -> PrivateDirectory:
    return kept(tmp_path / "host")


def test_records_of_an_older_package_log_in_after_the_upgrade_and_stay_as_they_are(
    host: PrivateDirectory,
) -> None:
    before = texts(host)
    assert set(before) == {"alice", "bob", "carol", "erin"}
    state = started(host)
    assert [logs_in(state, each) for each in ALL] == [True, True, True, False]
    assert state.enrolled(DAVE) is None
    assert state.people.had(DAVE) is not None
    assert state.enrolled(NOBODY) is None
    assert texts(host) == before


def test_what_this_version_did_is_right_for_the_older_one_as_far_as_version_1_can_say_it(
    host: PrivateDirectory,
) -> None:
    before, state = texts(host), started(host)
    state.bindings.add(SPARE, limit=2)
    state.bindings.add(SSH)
    state.bindings.remove(state.bindings.own(BOB)[0])
    state.bindings.add(FRANKS)
    back = older(host)
    assert back.logs_in(CAROL)
    assert back.logs_in(FRANK)
    with pytest.raises(RecordDamaged):
        back.logs_in(ALICE)
    with pytest.raises(RecordDamaged):  # as docs/operate.md says
        back.bindings.of(NOBODY)
    for each in (SPARE, SSH):
        started(host).bindings.remove(each)
    back = older(host)
    assert [back.logs_in(each) for each in (ALICE, CAROL, FRANK)] == [True, True, True]
    assert back.bindings.of(NOBODY) is None
    assert back.bindings.of(BOB) is None
    assert back.people.had(BOB) is not None
    assert texts(host)["alice"] == before["alice"]


def test_what_the_older_one_did_meanwhile_is_right_after_the_next_upgrade(
    host: PrivateDirectory,
) -> None:
    state = started(host)
    state.bindings.add(SPARE, limit=2)
    state.bindings.remove(state.bindings.own(ALICE)[0])
    state.bindings.remove(SPARE)
    back = older(host)
    for each in (back.bindings.own(BOB), back.bindings.own(CAROL)):
        assert each is not None
        back.bindings.remove(each)
    assert started(host).bindings.of(BOB) == ()
    back.bindings.add(_older(FRANKS))
    again = started(host)
    assert logs_in(again, FRANK)
    assert again.enrolled(NOBODY) is None


def test_a_record_that_the_older_one_gave_up_is_missed_for_the_keys_it_did_not_know(
    host: PrivateDirectory,
) -> None:
    state = started(host)
    hers = state.bindings.own(ALICE)[0]
    state.bindings.add(SPARE, limit=2)
    older(host).bindings.discard("alice")
    state = state_of(host)
    assert state.start()
    with pytest.raises(RecordDamaged):
        state.enrolled(NOBODY)
    assert [each.key for each in state.bindings.gone()] == [hers.fingerprint]
    state.accept(0)
    assert started(host).enrolled(NOBODY) is None


def _older(binding: Binding) -> OlderBinding:
    names = OlderBinding.__annotations__
    return OlderBinding(**{name: getattr(binding, name) for name in names})


# -- killed in between


def begin(folder: PrivateDirectory) -> None:
    state_of(folder).start()


def a_second_ukey(folder: PrivateDirectory) -> None:
    state_of(folder).bindings.add(SPARE, limit=2)


def a_second_one_less(folder: PrivateDirectory) -> None:
    state_of(folder).bindings.remove(SPARE)


def nothing(_folder: PrivateDirectory) -> None: ...


@pytest.mark.slow
@pytest.mark.parametrize(
    ("write", "given", "versions"),
    [
        (begin, nothing, {1}),
        (a_second_ukey, nothing, {1, 2}),
        (a_second_one_less, a_second_ukey, {1, 2}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_killed_on_the_way_all_log_in_in_both_versions(
    tmp_path: Path,
    write: Callable[[PrivateDirectory], None],
    given: Callable[[PrivateDirectory], None],
    versions: set[int],
) -> None:
    """But alice in the older one, as long as she has two ukeys."""

    def made(name: str) -> PrivateDirectory:
        host = kept(tmp_path / name)
        given(host)
        return host

    calls, seen = traced(write, made("whole"), tmp_path / "calls"), set()
    for number, (call, occurrence) in enumerate(calls):
        host = made(str(number))
        inject = f"inject={call}:signal=SIGKILL:when={occurrence}"
        assert ran(write, host, "-o", "/dev/null", "-e", inject) == -signal.SIGKILL
        version = 2 if b'"version": 2' in texts(host)["alice"] else 1
        seen.add(version)
        back = older(host)
        assert back.logs_in(BOB)
        assert back.logs_in(CAROL)
        if version == 1:
            assert back.logs_in(ALICE)
            assert back.bindings.of(NOBODY) is None
        state = state_of(host)
        assert [each for each in state.start() if "killed writer" not in each] == []
        assert [logs_in(state, each) for each in ALL] == [True, True, True, False]
        assert state.enrolled(NOBODY) is None
    assert seen == versions
