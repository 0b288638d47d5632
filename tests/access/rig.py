# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The rules in this process, on the real pool of ukeys, the code of its workers, emulated ukeys and
record files.

Their surroundings are scripted: the callers, the users, logind's answers, the throttle's clock.
Except in ``test_on_pcscd``, so are pcscd and the workers' processes (``tests.inprocess``). The
sockets, the bus and libpam have tests of their own.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from keyservice.access.admissions import Admissions
from keyservice.access.audit import Audit
from keyservice.access.conversation import Caller, Request
from keyservice.access.locality import Logind
from keyservice.access.sdlogin import LoginSession
from keyservice.access.services import Services
from keyservice.access.session import Owner, Session, Sessions
from keyservice.access.settings import Rules
from keyservice.access.throttle import Throttle
from keyservice.contract import operations
from keyservice.contract.names import Code, ErrorName, Flag
from keyservice.contract.steps import Prompt, Step, Verdict
from keyservice.core.errors import UnknownUser
from keyservice.core.logsocket import LogSocket
from keyservice.core.secret import Secret
from keyservice.core.username import Person, check
from keyservice.store import makers
from keyservice.store.admissions import AdmissionsFile
from keyservice.store.bindings import Bindings
from keyservice.store.files import PrivateDirectory
from keyservice.store.records import Binding
from keyservice.store.revocations import Revocations
from keyservice.store.state import State
from keyservice.store.throttle import ThrottleFile
from keyservice.ukeys.pool import Ukeys
from keyservice.ukeys.reader import ReaderStatus
from keyservice.ukeys.settings import ReaderSettings
from tests.support.ukeys import Softkey

from . import stores

PIN, WRONG, NEW = b"528491", b"000000", b"719365"
ADMIN_PIN = b"80352917"
MACHINE_ID = "0123456789abcdef0123456789abcdef"
BOOT = "3c1c1c1c-0000-4000-8000-000000000001"

PEOPLE = {"root": 0, "alice": 1000, "bob": 1001, "carol": 1002, "dave": 1003}

#: logind's sessions: alice at the desk, alice by ssh, bob at the desk
SESSIONS = {
    "desk": LoginSession(1000, False, "seat0", "tty2"),
    "ssh": LoginSession(1000, True, "", "pts/3"),
    "bobs": LoginSession(1001, False, "seat0", "tty3"),
    "serial": LoginSession(1000, False, "", "ttyS0", "login"),
}


def desk_has(display: str) -> list[LoginSession]:
    return [SESSIONS["desk"]] if display == ":0" else []


def nobody_at(console: int) -> list[LoginSession]:
    return []


LOGIND = Logind(SESSIONS.get, desk_has, nobody_at)

GETTY = Caller(0, 101, 0, None, None, "root.sock")  #: with tty1: local, begun by root
SU = Caller(0, 102, 1000, 1000, "desk", "root.sock")  #: su by alice at the desk
SSHD = Caller(0, 103, 0, None, None, "root.sock")
SU_BY_SSH = Caller(0, 104, 1000, 1000, "ssh", "root.sock")
LOCKER = Caller(1000, 105, 1000, 1000, "desk", "user.sock")  #: alice's screen locker
ROOT = Caller(0, 106, 0, 1000, "desk", "root.sock")  #: alice's root shell

MOMENT = 0.002  #: seconds between looks at things that do not report their changes

#: The ukeys that the test has made.
IN_READERS: list[Softkey] = []

CANCEL, SILENCE = object(), object()

#: bytes; CANCEL, SILENCE; or something to do first that returns one of these
Answer = Any


@dataclass
class Clock:
    """Seconds since the boot, which tests set."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Held:
    """A session that was held to its end."""

    steps: list[Step]
    answered: float = 0.0  #: the loop's time of the last answer
    ended: float = 0.0

    @property
    def verdict(self) -> Verdict:
        assert isinstance(self.steps[-1], Verdict)
        return self.steps[-1]

    @property
    def code(self) -> Code:
        return self.verdict.code

    @property
    def kinds(self) -> list[str]:
        return [type(step).__name__ for step in self.steps]

    @property
    def prompts(self) -> list[str]:
        return [step.text for step in self.steps if isinstance(step, Prompt)]

    @property
    def text(self) -> str:
        return "\n".join(step.text for step in self.steps)


@dataclass
class Service:
    """The surroundings, the sessions, and the log."""

    services: Services
    sessions: Sessions
    ukeys: Ukeys
    clock: Clock
    kept: State
    put: Callable[[Binding], None]
    records: PrivateDirectory
    state: PrivateDirectory
    log: socket.socket
    _numbers: list[int] = field(default_factory=list)
    _heard: list[str] = field(default_factory=list)

    @property
    def bindings(self) -> Bindings:
        return self.kept.bindings

    @property
    def revocations(self) -> Revocations:
        return self.kept.revocations

    def begin(self, request: Request, caller: Caller = GETTY, key: str = "") -> Session:
        self._numbers.append(0)
        owner = Owner(caller.uid, key or f"socket-{len(self._numbers)}")
        return self.sessions.begin(owner, caller, request)

    async def hold(self, request: Request, *answers: Answer, caller: Caller = GETTY) -> Held:
        """Hold one session to its verdict, with an answer to each prompt."""
        return await carry(self.begin(request, caller), *answers)

    async def login(
        self, *answers: Answer, user: str = "alice", caller: Caller = GETTY, **fields: Any
    ) -> Held:
        return await self.hold(login(user, **fields), *answers, caller=caller)

    async def put_in(self, softkey: Softkey) -> None:
        """Insert the ukey, which is out; returns once the pool has seen it.

        It is inserted only after the pool has seen that it was out: otherwise that news may end
        what was begun meanwhile.
        """

        def seen_in() -> bool:
            return any(each.reader == softkey.reader for each in cards(self.ukeys))

        async with asyncio.timeout(15):
            while seen_in():
                await asyncio.sleep(MOMENT)
            softkey.insert()
            while not seen_in():
                await asyncio.sleep(MOMENT)

    def lines(self) -> list[str]:
        """The log's lines since the last look."""
        self.listen()
        found, self._heard = self._heard, []
        return found

    async def next_lines(self) -> list[str]:
        """The same, once there is at least one."""
        async with asyncio.timeout(10):
            while not (found := self.lines()):
                await asyncio.sleep(MOMENT)
        return found

    def listen(self) -> None:
        """Read the logged lines: a socket that nobody reads holds only ten."""
        with suppress(BlockingIOError):
            while True:
                self._heard.append(self.log.recv(8192).decode())

    def bind(self, softkey: Softkey, user: str = "alice", **changes: Any) -> Binding:
        """Write the record of a binding as if the ukey had been bound."""
        application = softkey.file.load().applications[0]
        container = application.containers[0]
        assert container.key is not None
        binding = Binding(
            user=user,
            uid=PEOPLE.get(user, -1),
            serial=softkey.serial,
            kind="gmt0017",
            application=application.name,
            container=container.name,
            algorithm="sm2",
            public_key=container.key.point.hex(),
            attested=False,
            bound_at="2026-01-02T03:04:05Z",
            bound_by=0,
        )
        binding = replace(binding, **changes)
        self.put(binding)
        return binding


def refused(held: Held, code: Code, error: ErrorName, *, asked: bool) -> None:
    """Check that it ended with `code` for `error`, that the PIN was asked, or not, and that
    something was said."""
    assert (held.code, held.verdict.error) == (code, error)
    assert bool(held.prompts) is asked
    assert held.verdict.text


def login(user: str = "alice", **fields: Any) -> Request:
    return Request(operations.AUTHENTICATION, user, **{"service": "login", "tty": "tty1", **fields})


def uniform(user: str = "alice", **fields: Any) -> Request:
    return login(user, **{"flags": Flag.UNIFORM, **fields})


async def carry(session: Session, *answers: Answer) -> Held:
    """Take its steps, and give its prompts `answers`."""
    held, left = Held([]), list(answers)
    loop = asyncio.get_running_loop()
    while True:
        async with asyncio.timeout(30):
            step = await session.next_step()
        held.steps.append(step)
        if isinstance(step, Verdict):
            held.ended = loop.time()
            assert not left, f"not asked for: {left}"
            return held
        if isinstance(step, Prompt):
            assert left, f"no answer to {step.text!r}"
            held.answered = loop.time()
            answer = left.pop(0)
            if callable(answer):
                answer = answer()
                if isinstance(answer, Awaitable):
                    answer = await answer
                held.answered = loop.time()
            if answer is CANCEL:
                session.cancel()
            elif answer is not SILENCE:
                session.answer(Secret(answer))


async def hang_up_at(softkey: Softkey, ins: int, session: Session) -> None:
    """Cancel `session` once the ukey is at work on the command `ins`."""
    softkey.control.reset_apdus()
    async with asyncio.timeout(10):
        while all(each != ins for each, _ in softkey.control.apdus()):
            await asyncio.sleep(MOMENT)
    session.cancel()


def resolve(name: str) -> Person:
    check(name)
    if name.lower() not in PEOPLE:
        raise UnknownUser(user=name)
    return Person(name.lower(), PEOPLE[name.lower()])


def resolve_uid(uid: int) -> Person:
    for name, number in PEOPLE.items():
        if number == uid:
            return Person(name, uid)
    raise UnknownUser(uid=uid)


@asynccontextmanager
async def serving(
    folder: Path,
    rules: Rules | None = None,
    *,
    clock: Clock | None = None,
    boot: str = BOOT,
    readers: ReaderSettings | None = None,
) -> AsyncIterator[Service]:
    """A service on `folder`, which may be used again: then it has been restarted."""
    rules = rules or Rules(allow_virtual_readers=True, wait_for_ukey=0)
    clock = clock or Clock()
    records, state = PrivateDirectory(folder / "records"), PrivateDirectory(folder / "state")
    kept = State(records, state, MACHINE_ID)
    kept.start()
    store, put = stores.of(kept)
    address = folder / "log"
    address.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(address))
        log.setblocking(False)
        ukeys = Ukeys(readers or ReaderSettings(allow_virtual_readers=rules.allow_virtual_readers))
        services = Services(
            rules=rules,
            records=store,
            throttle=Throttle(ThrottleFile(state), rules, boot=boot, now=clock),
            ukeys=ukeys,
            admissions=Admissions(AdmissionsFile(state, boot)),
            audit=Audit(LogSocket(path=str(address))),
            machine_id=MACHINE_ID,
            resolve=resolve,
            resolve_uid=resolve_uid,
            logind=LOGIND,
            makers=partial(makers.read, folder / "makers"),
        )
        sessions = Sessions(services)
        await ukeys.start()
        try:
            await seen(ukeys)
            service = Service(services, sessions, ukeys, clock, kept, put, records, state, log)
            asyncio.get_running_loop().add_reader(log, service.listen)
            yield service
        finally:
            asyncio.get_running_loop().remove_reader(log)
            await sessions.stop()
            await ukeys.stop()


async def seen(ukeys: Ukeys) -> None:
    """Wait until the pool has seen all the ukeys of the test that are in a reader.

    pcscd tells its clients of a card a moment after it has asked the card what it is.
    """
    expected = sum(each.control.status()["inserted"] for each in IN_READERS)
    async with asyncio.timeout(15):
        while True:
            await ukeys.settled(asyncio.get_running_loop().time() + 10)
            found = cards(ukeys)
            if len(found) == expected and all(each.info or each.refused for each in found):
                return
            await asyncio.sleep(MOMENT)


def cards(ukeys: Ukeys) -> list[ReaderStatus]:
    """The readers that have a card in them."""
    return [each for each in ukeys.present() if each.card_present]


def run(
    folder: Path,
    scene: Callable[[Service], Awaitable[None]],
    rules: Rules | None = None,
    **more: Any,
) -> None:
    """Play `scene` on a service of its own."""

    async def play() -> None:
        async with serving(folder, rules, **more) as service:
            await scene(service)

    asyncio.run(play())


def run_beside(
    folder: Path, *scenes: Callable[[Service], Awaitable[None]], rules: Rules | None = None
) -> None:
    """Play `scenes` at the same time, each on a service of its own."""

    async def play(number: int, scene: Callable[[Service], Awaitable[None]]) -> None:
        own = folder / str(number)
        own.mkdir()
        async with serving(own, rules) as service:
            await scene(service)

    async def all_of_them() -> None:
        await asyncio.gather(*(play(*each) for each in enumerate(scenes)))

    asyncio.run(all_of_them())
