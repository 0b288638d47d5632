# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Sessions: one conversation each, from Begin to its verdict.

An operation runs as one task and speaks to its person through :class:`Session`; a front carries
the steps out with :meth:`Session.next_step` and the answers in with :meth:`Session.answer`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from keyservice.contract.names import (
    ANSWER_MAX,
    DEADLINE_MAX,
    SESSION_ID_BYTES,
    TEXT_MAX,
    Code,
    Flag,
    Operation,
    WaitFor,
)
from keyservice.contract.steps import Error, Info, Prompt, Step, Verdict, Wait
from keyservice.core.errors import (
    BadRequest,
    Busy,
    Cancelled,
    DeadlinePassed,
    NoSession,
    NotAllowed,
    UkeyError,
)
from keyservice.core.secret import Secret

from . import policy, verdicts
from .audit import Attempt
from .authentication import authenticate
from .conversation import Caller, Conversation, Request
from .enrolment import bind, unbind
from .messages import Texts
from .pins import change_pin, unblock_pin, verify_pin
from .uniform import tick
from .world import World

PER_UID = 4  #: sessions of one uid at a time
PER_ROOT = 256
#: Of root's, those of programs that one person began: su asks its prompts as root, and whoever
#: starts it by the hundred must not use up what everybody logs in with.
PER_PERSON = 64
#: Seconds before a release from which on the loop is kept awake. epoll sleeps whole milliseconds,
#: counted from whenever the loop last had something to do: a release that just woke it would tell,
#: by its fraction of a millisecond, whether a ukey was at work after the answer.
AWAKE = 0.002
LINGER = 10.0  #: seconds that a verdict nobody fetches is kept

_log = logging.getLogger(__name__)

_Operation = Callable[[World, Conversation, Attempt], Awaitable[Verdict]]
_OPERATIONS: Mapping[Operation, _Operation] = {
    Operation.AUTHENTICATION: authenticate,
    Operation.BIND: bind,
    Operation.UNBIND: unbind,
    Operation.CHANGE_PIN: change_pin,
    Operation.UNBLOCK_PIN: unblock_pin,
    Operation.VERIFY_PIN: verify_pin,
}


#: (session, what its operation returned or raised) → (verdict, when it shows; None for at once).
#: Never raises.
_Conclude = Callable[["Session", "Verdict | BaseException"], tuple[Verdict, float | None]]


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a session is: a uid, and the connection or the unique bus name that began it."""

    uid: int
    key: str  #: ``:1.42`` on the bus, another form for sockets

    @property
    def on_bus(self) -> bool:
        return self.key.startswith(":")


class Session:
    """One conversation. Made by :meth:`Sessions.begin` only."""

    def __init__(
        self,
        owner: Owner,
        deadline: float,
        *,
        person: int | None,
        silent: bool,
        gone: Callable[[Session], None],
    ) -> None:
        """`deadline` is on the loop's clock; `gone` is called when nothing is left to do."""
        self.id = secrets.token_bytes(SESSION_ID_BYTES)
        self.owner = owner
        self.person = person  #: who began it, see ``Caller.person``
        self.answered_at: float | None = None  #: when the last answer came, on the loop's clock
        self._loop = asyncio.get_running_loop()
        self._deadline = deadline
        self._silent, self._gone = silent, gone
        self._steps: deque[Step] = deque()
        self._stepped = asyncio.Event()
        self._prompt: asyncio.Future[Secret] | None = None
        self._answers: list[Secret] = []
        self._cancelled = False
        self._delivered = False
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.Handle | None = None

    # -- for the fronts

    async def next_step(self) -> Step:
        """The next step, as soon as there is one. Raises :class:`NoSession` after the verdict."""
        while not self._steps:
            if self._delivered:
                raise NoSession("The session is over")
            self._stepped.clear()
            await self._stepped.wait()
        step = self._steps.popleft()
        if isinstance(step, Verdict):
            self._delivered = True
            self._stepped.set()
            self._close()
        return step

    def answer(self, answer: Secret) -> None:
        """Answer the open prompt; the session owns, and wipes, `answer` from now on.

        Raises :class:`BadRequest` where no prompt is open or the answer is over 256 bytes.
        """
        self._answers.append(answer)
        if len(answer) > ANSWER_MAX:
            answer.wipe()
            raise BadRequest(f"An answer has at most {ANSWER_MAX} bytes")
        if self._prompt is None or self._prompt.done():
            answer.wipe()
            raise BadRequest("No prompt is open")
        self.answered_at = self._loop.time()
        self._prompt.set_result(answer)

    def cancel(self) -> None:
        """End it: its person hung up. A PIN that is on its way to a ukey gets there first."""
        self._cancelled = True
        if self._task is not None:
            # not at once: a task that is cancelled before its first step never runs at all
            self._loop.call_soon(self._task.cancel)

    async def ended(self) -> None:
        """Wait until its operation has ended."""
        if self._task is not None:
            await asyncio.wait({self._task})

    # -- for the operations

    @property
    def session_id(self) -> bytes:
        return self.id

    def remaining(self) -> float:
        return max(0.0, self._deadline - self._loop.time())

    async def info(self, text: str) -> None:
        if not self._silent:
            self._put(Info(_cut(text)))

    async def error(self, text: str) -> None:
        if not self._silent:
            self._put(Error(_cut(text)))

    async def wait(self, text: str, what: WaitFor) -> None:
        if not self._silent:
            self._put(Wait(_cut(text), what))

    async def ask(self, text: str, *, echo: bool = False) -> Secret:
        self._prompt = self._loop.create_future()
        self._put(Prompt(_cut(text), echo))
        try:
            answer = await self._prompt
        finally:
            self._prompt = None
        if len(answer) == 0:
            raise Cancelled("The answer was empty")
        return answer

    # -- its life

    def start(self, work: Callable[[Session], Awaitable[Verdict]], conclude: _Conclude) -> None:
        """Run `work`; `conclude` turns what it returned or raised into what is said, and when."""
        self._task = self._loop.create_task(self._run(work, conclude))

    async def _run(
        self, work: Callable[[Session], Awaitable[Verdict]], conclude: _Conclude
    ) -> None:
        outcome: Verdict | BaseException
        try:
            async with asyncio.timeout_at(self._deadline) as limit:
                outcome = await work(self)
        except asyncio.CancelledError:
            outcome = Cancelled()
        except TimeoutError as error:
            outcome = DeadlinePassed() if limit.expired() else error
        except Exception as error:
            outcome = error
        finally:
            for answer in self._answers:
                answer.wipe()
        verdict, release = conclude(self, outcome)
        if release is None:
            self._end(verdict)
        else:
            self._timer = self._loop.call_at(release - AWAKE, self._release, release, verdict)

    def _release(self, at: float, verdict: Verdict) -> None:
        """End it at the time `at`, which has all but come."""
        if self._loop.time() < at:
            self._timer = self._loop.call_soon(self._release, at, verdict)
        else:
            self._end(verdict)

    def _end(self, verdict: Verdict) -> None:
        self._put(verdict)
        if self._cancelled:
            self._close()
        else:
            self._timer = self._loop.call_later(LINGER, self._close)

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._gone(self)

    def _put(self, step: Step) -> None:
        self._steps.append(step)
        self._stepped.set()


class Sessions:
    """All sessions of the service: their limits, their owners, and how they end."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._open: dict[bytes, Session] = {}

    def __len__(self) -> int:
        return len(self._open)

    def begin(self, owner: Owner, caller: Caller, request: Request) -> Session:
        """Begin what `request` asks for. To be called from the event loop.

        Raises :class:`NotAllowed`, :class:`BadRequest`, and :class:`Busy` where the connection
        has a session, or the uid or the person behind it too many; nothing was begun then.
        """
        try:
            policy.check_begin(caller, request)
        except NotAllowed as error:
            attempt = Attempt(caller, request, b"")
            verdict = verdicts.of(error, self._world.texts(request))
            self._world.audit.attempt(attempt, verdict, error)
            raise
        self._check_room(owner, caller.person)
        seconds = min(request.timeout or DEADLINE_MAX, self._world.rules.deadline)
        session = Session(
            owner,
            asyncio.get_running_loop().time() + seconds,
            person=caller.person,
            silent=Flag.SILENT in request.flags,
            gone=self._forget,
        )
        attempt = Attempt(caller, request, session.id)
        texts = self._world.texts(request)
        operation = _OPERATIONS[request.operation]
        self._open[session.id] = session
        session.start(
            lambda talk: operation(self._world, talk, attempt),
            lambda session, outcome: self._conclude(session, attempt, texts, outcome),
        )
        return session

    def find(self, session_id: bytes, caller: Caller) -> Session:
        """The session that `caller` means: its own bus name's, or one to be answered.

        An answer to a session of the bus comes over a socket, on a connection of its own; it must
        come from the same uid. Raises :class:`NoSession` for any other, existing or not.
        """
        session = self._open.get(session_id)
        if session is None or session.owner.uid != caller.uid or not session.owner.on_bus:
            raise NoSession("You have no such session")
        if caller.source.startswith(":") and session.owner.key != caller.source:
            raise NoSession("You have no such session")
        return session

    def drop(self, owner: Owner) -> None:
        """Cancel the sessions of an owner that went away."""
        for session in [s for s in self._open.values() if s.owner == owner]:
            session.cancel()

    async def stop(self) -> None:
        """Cancel all, and wait until the PINs that are on their way have arrived."""
        sessions = list(self._open.values())
        for session in sessions:
            session.cancel()
        for session in sessions:
            await session.ended()
        self._world.audit.flush()

    def _check_room(self, owner: Owner, person: int | None) -> None:
        mine = [s for s in self._open.values() if s.owner.uid == owner.uid]
        if len(mine) >= (PER_ROOT if owner.uid == 0 else PER_UID):
            raise Busy("Too many sessions of this user are open")
        if person != 0 and sum(s.person == person for s in mine) >= PER_PERSON:
            raise Busy("Too many sessions of this person are open")
        if not owner.on_bus and any(s.owner == owner for s in mine):
            raise Busy("This connection has a session already")

    def _forget(self, session: Session) -> None:
        self._open.pop(session.id, None)

    def _conclude(
        self, session: Session, attempt: Attempt, texts: Texts, outcome: Verdict | BaseException
    ) -> tuple[Verdict, float | None]:
        """What the person is told, and when; the log is told why."""
        flags, operation = attempt.request.flags, attempt.request.operation
        error = outcome if isinstance(outcome, BaseException) else None
        try:
            if error is not None and not isinstance(error, UkeyError):
                _log.error("%s failed", operation.name, exc_info=error)
            verdict = outcome if isinstance(outcome, Verdict) else verdicts.of(outcome, texts)
            verdict, release = _shown(session, flags, texts, verdict)
            self._world.audit.attempt(attempt, verdict, error)
        except Exception as bug:  # which neither shows under uniform, nor lets anybody in unlogged
            _log.exception("no verdict of %s could be made", operation.name)
            verdict, release = _shown(session, flags, texts, verdicts.bug(texts))
            with suppress(Exception):  # it may be the log that fails
                self._world.audit.attempt(attempt, verdict, bug)
        return verdict, release


def _shown(
    session: Session, flags: Flag, texts: Texts, verdict: Verdict
) -> tuple[Verdict, float | None]:
    """What is shown of `verdict`, and when.

    Under ``uniform`` every failure after an answer is the same, at a time that only the time of
    the answer decides.
    """
    release = None
    if Flag.UNIFORM in flags and verdict.code is not Code.SUCCESS:
        if session.answered_at is not None:
            release = tick(session.answered_at, asyncio.get_running_loop().time())
        if release is not None or verdict.code is not Code.CONV_ERR:
            verdict = verdicts.uniform(texts)
    return verdict, release


def _cut(text: str) -> str:
    """`text` within ``TEXT_MAX`` bytes of UTF-8."""
    return text.encode()[:TEXT_MAX].decode(errors="ignore")
