# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Sessions: one conversation each, from Begin to its verdict.

An operation runs as one task and speaks to its person through :class:`Session`; a server carries
the steps out with :meth:`Session.next_step` and the answers in with :meth:`Session.answer`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from keyservice.contract.names import (
    ANSWER_MAX,
    DEADLINE_MAX,
    SESSION_ID_BYTES,
    TEXT_MAX,
    Code,
    Flag,
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

from . import policy, shares, verdicts
from .context import Context
from .conversation import Caller, Request
from .messages import Texts
from .operations import FUNCTIONS
from .services import Services
from .shares import Claim, Room, Share
from .uniform import tick

#: Seconds between two log lines about a share that is used up.
COMPLAINT = 60.0
#: Seconds before a release during which the loop is kept awake. epoll sleeps whole milliseconds,
#: counted from the loop's last work: a release that just woke it would tell, by its fraction of a
#: millisecond, whether a ukey was at work after the answer.
AWAKE = 0.002
LINGER = 10.0  #: seconds that a verdict nobody fetches is kept

_log = logging.getLogger(__name__)

#: (session, what its operation returned or raised) → (verdict, when it shows; None for at once).
#: Never raises.
_Conclude = Callable[["Session", "Verdict | BaseException"], tuple[Verdict, float | None]]


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of a session: a uid, and the connection or the unique bus name that began it."""

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
        claim: Claim,
        silent: bool,
        gone: Callable[[Session], None],
    ) -> None:
        """`deadline` is on the loop's clock; `gone` is called when nothing is left to do."""
        self.id = secrets.token_bytes(SESSION_ID_BYTES)
        self.owner = owner
        self.claim = claim  #: what it draws on
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

    # -- for the servers

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
        """End it: the person hung up. A PIN that is on its way to a ukey gets there first."""
        self._cancelled = True
        if self._task is not None:
            # not at once: a task that is cancelled before its first step never runs at all
            self._loop.call_soon(self._task.cancel)

    async def ended(self) -> None:
        """Wait until its operation has ended."""
        if self._task is not None:
            await asyncio.wait({self._task})

    # -- for the operations

    prompted = False  #: texts are shown, unless the caller asked for none

    @property
    def originator_uid(self) -> int | None:
        return self.claim.originator_uid

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

    async def confirm(self, text: str) -> None:
        # hidden, since some type the PIN at once; all answers are wiped
        await self._answer_to(Prompt(_cut(text), False))

    async def ask(self, text: str, *, echo: bool = False) -> Secret:
        answer = await self._answer_to(Prompt(_cut(text), echo))
        if len(answer) == 0:
            raise Cancelled("The answer was empty")
        return answer

    async def _answer_to(self, prompt: Prompt) -> Secret:
        self._prompt = self._loop.create_future()
        self._put(prompt)
        try:
            return await self._prompt
        finally:
            self._prompt = None

    # -- from its start to its end

    def start(self, work: Awaitable[Verdict], conclude: _Conclude) -> None:
        """Run `work`; `conclude` turns what it returned or raised into what is said, and when."""
        self._task = self._loop.create_task(self._run(work, conclude))

    async def _run(self, work: Awaitable[Verdict], conclude: _Conclude) -> None:
        outcome: Verdict | BaseException
        try:
            async with asyncio.timeout_at(self._deadline) as limit:
                outcome = await work
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
        """End it at the time `at`, which has almost come."""
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

    def __init__(self, services: Services) -> None:
        self._services = services
        self._open: dict[bytes, Session] = {}
        self._room = Room()
        self._quiet_until: dict[Share, float] = {}

    def __len__(self) -> int:
        return len(self._open)

    def begin(self, owner: Owner, caller: Caller, request: Request) -> Session:
        """Begin what `request` asks for. To be called from the event loop.

        Raises :class:`NotAllowed`, :class:`BadRequest`, and :class:`Busy` if the connection has a
        session, or the share that it draws on is used up; nothing was begun then.
        """
        claim = shares.of_login(
            caller, request, self._services.rules.local_ttys, self._services.logind
        )
        context = Context(self._services, caller, request, share=claim.share)
        try:
            policy.check_begin(caller, request)
        except NotAllowed as error:
            self._services.audit.attempt(context, verdicts.of(error, context.texts), error)
            raise
        claim = self._take_room(owner, claim, context.texts)
        seconds = min(request.timeout or DEADLINE_MAX, self._services.rules.deadline)
        session = Session(
            owner,
            asyncio.get_running_loop().time() + seconds,
            claim=claim,
            silent=Flag.SILENT in request.flags,
            gone=self._forget,
        )
        context.session_id, context.conversation = session.id, session
        context.share = claim.share
        self._open[session.id] = session
        session.start(FUNCTIONS[request.operation](context), partial(self._conclude, context))
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
        self._services.audit.flush()

    def _take_room(self, owner: Owner, claim: Claim, texts: Texts) -> Claim:
        if not owner.on_bus and any(s.owner == owner for s in self._open.values()):
            raise Busy("This connection has a session already")
        try:
            return self._room.take(claim)
        except Busy as error:
            self._complain(claim.share)
            raise Busy(texts.error(error)) from None

    def _complain(self, share: Share) -> None:
        """Tell the administrators who holds the share, at most once in ``COMPLAINT`` seconds."""
        now = asyncio.get_running_loop().time()
        if now >= self._quiet_until.get(share, 0.0):
            self._quiet_until[share] = now + COMPLAINT
            holder, count = self._room.most(share)
            person = "an unknown uid" if holder is None else f"uid {holder}"
            _log.warning(
                "a session was refused: %d of %s are open, %d of them of %s",
                self._room.taken(share),
                share.name.lower(),
                count,
                "root's programs" if share is Share.SYSTEM else person,
            )

    def _forget(self, session: Session) -> None:
        if self._open.pop(session.id, None) is not None:
            self._room.give_back(session.claim)

    def _conclude(
        self, context: Context, session: Session, outcome: Verdict | BaseException
    ) -> tuple[Verdict, float | None]:
        """What the person is told, and when; the log gets the reason."""
        operation, audit = context.request.operation, self._services.audit
        error = outcome if isinstance(outcome, BaseException) else None
        try:
            if error is not None and not isinstance(error, UkeyError):
                _log.error("%s failed", operation.name, exc_info=error)
            texts = context.texts
            verdict = outcome if isinstance(outcome, Verdict) else verdicts.of(outcome, texts)
            verdict, release = _shown(session, context, verdict)
            audit.attempt(context, verdict, error)
        except Exception as bug:  # neither shows under uniform, nor lets anybody in unlogged
            _log.exception("no verdict of %s could be made", operation.name)
            verdict, release = _shown(session, context, verdicts.bug(context.texts))
            with suppress(Exception):  # it may be the log that fails
                audit.attempt(context, verdict, bug)
        return verdict, release


def _shown(session: Session, context: Context, verdict: Verdict) -> tuple[Verdict, float | None]:
    """What is shown of `verdict`, and when.

    Under ``uniform`` every failure after an answer is the same, at a time that only the time of
    the answer decides.
    """
    release = None
    if Flag.UNIFORM in context.request.flags and verdict.code is not Code.SUCCESS:
        since = session.answered_at
        if since is None and context.tick is not None:
            since = context.tick.began  # nothing is asked for there
        if since is not None:
            release = tick(since, asyncio.get_running_loop().time())
        if release is not None or verdict.code is not Code.CONV_ERR:
            verdict = verdicts.uniform(context.texts)
    verdict = verdicts.for_program(verdict, context.request)
    return verdict, release


def _cut(text: str) -> str:
    """`text` within ``TEXT_MAX`` bytes of UTF-8."""
    return text.encode()[:TEXT_MAX].decode(errors="ignore")
