# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""One enrolled host for the tests of a module; each test finds it as new.

Daemons, people and stacks are made once. The things that a test may change are put back after it,
and a test that leaves anything else behind fails itself.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keyservice.contract import names
from keyservice.contract.pam import PamCode
from keyservice.core.closing import Closing
from keyservice.store import throttle

from .enrolled import CONFIG, Enrolled, enrol
from .host import Host
from .machine import Entry, children, differences, tree
from .process import HostError
from .restore import Snapshot

_RECORDS, _STATE = Path(names.RECORDS_DIR), Path(names.STATE_DIR)
_PAUSES = _STATE / throttle.FOLDER
#: Paths that are put back by other means, and an empty lock of useradd's.
_NOT_LOOKED_AT = (names.RECORDS_DIR, names.CONFIG_FILE, "/etc/.pwd.lock")

#: Faults of a ukey of which a keyservice keeps nothing in mind.
_FORGOTTEN = {"signature", "slow"}


class Shared(Closing):
    """One host for many tests, made when the first asks for it. No other host may be there
    meanwhile.

    `make`: as for ``enrol``. The stacks are those of Debian, helpful, without their pauses.
    """

    def __init__(self, **make: Any) -> None:
        self._make = make
        self._exit = contextlib.ExitStack()
        self._enrolled: Enrolled | None = None
        self._as_made: _State | None = None

    def close(self) -> None:
        """End the host. The next test gets another."""
        self._enrolled = None
        self._exit.close()

    @contextlib.contextmanager
    def test(self, config: str = CONFIG) -> Iterator[Enrolled]:
        """For one test: the keyservice runs with `config`; all that is made on the host is passing.

        Afterwards the daemons run again that the test stopped; the ukey is in, behaves, has its
        tries, and is not in a pause; the records and the service's state are as they were. Raises
        ``HostError`` where anything is left that is not, and a login with both factors fails.
        """
        try:
            enrolled = self._ready(config)
            before = _Around.now()
            enrolled.ukey.control.reset_apdus()
            with enrolled.host.passing():
                yield enrolled
            assert self._as_made is not None
            _put_back(enrolled, self._as_made, config)
            _check(enrolled, self._as_made, before)
        except BaseException:
            # A failure here must not reach the next test.
            self.close()
            raise

    def _ready(self, config: str) -> Enrolled:
        if self._enrolled is None:
            host = self._exit.enter_context(Host())
            made = enrol(host, config, **self._make)
            made.pauses = False
            made.stacks()
            self._as_made = _State.of(made)
            _check_login(made)
            self._enrolled = made
        self._enrolled.serve(config)
        return self._enrolled


@dataclass(frozen=True)
class _State:
    """The things that are put back after each test."""

    stored: Snapshot  #: the records, and the service's state but for the pauses
    ukey: dict[str, Any]

    @classmethod
    def of(cls, enrolled: Enrolled) -> _State:
        stored = Snapshot(_RECORDS, _STATE, leave_out=frozenset({_PAUSES}))
        return cls(stored, _ukey(enrolled))


def _ukey(enrolled: Enrolled) -> dict[str, Any]:
    """The facts about the ukey that can be seen and have to stay the same."""
    told = enrolled.ukey.control.status()
    return {name: value for name, value in told.items() if name not in ("apdus", "busy")}


@dataclass(frozen=True)
class _Around:
    """Things that only the test that made them can put back: files of the host's, and processes."""

    files: dict[str, Entry]
    processes: frozenset[int]

    @classmethod
    def now(cls) -> _Around:
        return cls(tree("/etc", "/home"), children())

    def left(self, expected: Callable[[int], bool]) -> list[str]:
        """Things that are new, gone or changed since then, without the `expected` processes."""
        now = _Around.now()
        paths = differences(self.files, now.files)
        pids = [pid for pid in now.processes - self.processes if not expected(pid)]
        return [
            *(path for path in paths if not path.startswith(_NOT_LOOKED_AT)),
            *(f"process {pid}" for pid in sorted(pids)),
        ]


def _put_back(enrolled: Enrolled, as_made: _State, config: str) -> None:
    """In the order that they need: pcscd, then the ukey, then the keyservice that asks it."""
    for daemon in (enrolled.pcscd, enrolled.keyservice):
        if daemon.ended_by_itself:
            raise HostError(f"{daemon.name} ended by itself\n{daemon.tail()}")
    if not enrolled.pcscd.running:
        enrolled.keyservice.stop()  # sooner than it looks for pcscd again
        enrolled.pcscd = enrolled.host.pcscd(enrolled.slots)
    if _paused() or as_made.stored.changes():
        enrolled.keyservice.stop()
        as_made.stored.restore()  # which leaves no pauses either
    ukey = enrolled.ukey
    if not ukey.daemon.running:
        ukey.start(inserted=False)
    told = ukey.control.status()
    if told["misbehaving"] or told["traits"] != as_made.ukey["traits"]:
        if not told["misbehaving"].keys() <= _FORGOTTEN:
            ukey.remove()  # a keyservice may have wrong facts about it
        ukey.control.behave()
    if told["applications"] != as_made.ukey["applications"]:
        ukey.remove()
        ukey.set_tries(as_made.ukey["applications"][0]["user"]["left"])
    if ukey.control.status()["inserted"]:
        ukey.wait_seen()
    elif enrolled.keyservice.running:
        ukey.put_in()
    else:
        ukey.insert()
    enrolled.serve(config)


def _paused() -> bool:
    """Whether a ukey takes no PIN for some time after wrong PINs."""
    files = (_PAUSES / name for name in (throttle.FILE, throttle.FILE_SENT))
    texts = [file.read_text() for file in files if file.exists()]
    return any(pin["until"] > 0 for text in texts for pin in json.loads(text)["pins"])


def _check(enrolled: Enrolled, as_made: _State, before: _Around) -> None:
    _check_login(enrolled)
    own = {enrolled.pcscd.pid, enrolled.keyservice.pid, enrolled.ukey.daemon.pid}
    left = [*map(str, as_made.stored.changes()), *before.left(lambda pid: pid in own)]
    if left:
        raise HostError(f"this test changed or left behind: {', '.join(left)}")
    if (now := _ukey(enrolled)) != as_made.ukey:
        raise HostError(f"this test changed the ukey: {now}, not {as_made.ukey}")


def _check_login(enrolled: Enrolled) -> None:
    """Both factors let in, as on a new host: this also ends the count of a wrong PIN that was not
    told yet."""
    answered = enrolled.crowd.begin("login", enrolled.user.name, enrolled.right).result(60)
    if answered.code is not PamCode.SUCCESS or len(answered.prompts) != 2:
        raise HostError(f"no login after this test: {answered}\n{enrolled.host.authlog.text}")
