# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Sessions that follow a script instead of the product's rules, so that the servers stand alone."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from keyservice.access.conversation import Caller, Request
from keyservice.access.session import Owner
from keyservice.client.session import SocketSession
from keyservice.contract import frames, operations
from keyservice.contract.names import Code, ErrorName, WaitFor
from keyservice.contract.requests import build_begin
from keyservice.contract.steps import Info, Prompt, Step, Verdict, Wait
from keyservice.core.errors import BadRequest, NoSession
from keyservice.core.secret import Secret
from keyservice.servers import listeners
from keyservice.servers.connection import Patience
from keyservice.servers.sockets import Limits, Sockets

NOBODY = 65534


class ScriptedSession:
    """A session whose steps are put in by its script."""

    def __init__(self, owner: Owner, caller: Caller, request: Request) -> None:
        self.id, self.owner, self.caller, self.request = os.urandom(16), owner, caller, request
        self.answers: list[bytes] = []
        self.dropped = asyncio.Event()
        self.waiting = 0  #: how many steps were asked for
        self._steps: asyncio.Queue[Step] = asyncio.Queue()
        self._answer: asyncio.Future[bytes] | None = None

    def put(self, step: Step) -> None:
        self._steps.put_nowait(step)

    async def ask(self, text: str, *, echo: bool = False) -> bytes:
        self._answer = asyncio.get_running_loop().create_future()
        self.put(Prompt(text, echo))
        return await self._answer

    async def next_step(self) -> Step:
        self.waiting += 1
        return await self._steps.get()

    def answer(self, answer: Secret) -> None:
        if self._answer is None or self._answer.done():
            raise BadRequest("Nothing was asked")
        with answer.view() as view:
            self.answers.append(bytes(view))
        self._answer.set_result(self.answers[-1])
        answer.wipe()

    def cancel(self) -> None:
        self.put(Verdict(Code.CONV_ERR, "Cancelled", ErrorName.CANCELLED))


Script = Callable[[ScriptedSession], Awaitable[None]]


async def login(session: ScriptedSession) -> None:
    """Asks for a PIN; 123456 is right."""
    session.put(Info("Hello"))
    session.put(Wait("Insert your ukey", WaitFor.UKEY))
    answer = await session.ask("PIN: ")
    if answer == b"123456":
        session.put(Verdict(Code.SUCCESS, detail={"serial": "SN1", "left": 3, "fresh": True}))
    else:
        session.put(Verdict(Code.AUTH_ERR, "Wrong PIN", ErrorName.PIN_WRONG, {"left": 2}))


class ScriptedSessions:
    """The calls of ``access.session.Sessions``, on scripts."""

    def __init__(self, script: Script = login) -> None:
        self.script = script
        self.begun: list[ScriptedSession] = []
        self.refuse: Exception | None = None
        self._tasks: dict[ScriptedSession, asyncio.Task[None]] = {}

    def begin(self, owner: Owner, caller: Caller, request: Request) -> ScriptedSession:
        if self.refuse is not None:
            raise self.refuse
        session = ScriptedSession(owner, caller, request)
        self.begun.append(session)

        async def run() -> None:
            await self.script(session)

        self._tasks[session] = asyncio.create_task(run())
        return session

    def find(self, id: bytes, caller: Caller) -> ScriptedSession:
        for session in self._tasks:
            here = session.owner.key == caller.source
            elsewhere = session.owner.key.startswith(":") and caller.source.endswith(".sock")
            if session.id == id and session.owner.uid == caller.uid and (here or elsewhere):
                return session
        raise NoSession

    def drop(self, owner: Owner) -> None:
        for session in [each for each in self._tasks if each.owner == owner]:
            self._tasks.pop(session).cancel()
            session.dropped.set()

    @property
    def open(self) -> int:
        return len(self._tasks)


@asynccontextmanager
async def serving(
    directory: Path,
    sessions: ScriptedSessions,
    limits: Limits | None = None,
    patience: Patience | None = None,
) -> AsyncIterator[Sockets]:
    """The server on the sockets in `directory`."""
    server = Sockets(sessions, limits=limits, patience=patience)  # type: ignore[arg-type]
    server.start(listeners.create(directory))
    try:
        yield server
    finally:
        server.stop()


async def dial(path: Path) -> socket.socket:
    """A raw connection, non-blocking."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, str(path))
    return client


async def receive(client: socket.socket, seconds: float = 5) -> bytes:
    """All that comes until the other side closes."""
    loop, out = asyncio.get_running_loop(), b""
    async with asyncio.timeout(seconds):
        while True:
            try:
                data = await loop.sock_recv(client, 65536)
            except ConnectionResetError:
                data = b""
            if not data:
                return out
            out += data


async def receive_exactly(client: socket.socket, count: int, seconds: float = 5) -> bytes:
    loop, out = asyncio.get_running_loop(), b""
    async with asyncio.timeout(seconds):
        while len(out) < count:
            data = await loop.sock_recv(client, count - len(out))
            assert data, f"closed after {out!r}"
            out += data
    return out


async def receive_frame(client: socket.socket, seconds: float = 5) -> tuple[int, bytearray]:
    """(kind, body)."""
    header = await receive_exactly(client, 4, seconds)
    length = int.from_bytes(header[2:], "big")
    return header[1], bytearray(await receive_exactly(client, length, seconds))


async def settled(condition: Callable[[], bool], seconds: float = 5) -> None:
    """Wait until `condition` holds; it is looked at in each turn of the loop."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


def as_nobody(program: str, *arguments: str) -> subprocess.Popen[bytes]:
    """`program` (Python) as uid 65534, with pipes."""
    code = "import os,sys; os.setgroups([]); os.setresgid(65534,65534,65534);"
    code += "os.setresuid(65534,65534,65534)\n" + program
    return subprocess.Popen(
        [sys.executable, "-I", "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


BEGIN = bytes(build_begin(operations.AUTHENTICATION, {"user": "alice", "service": "su"}))


def hold(path: Path, answer: bytes) -> list[Step]:
    """A login with the real client, blocking."""
    steps = []
    with SocketSession(timeout=5, path=str(path)) as session:
        for step in session.begin(operations.AUTHENTICATION, user="alice", service="su"):
            steps.append(step)
            if isinstance(step, Prompt):
                session.answer(bytearray(answer))
    return steps


def refusal(data: bytes) -> tuple[ErrorName, str]:
    """(name, text) from exactly one REFUSED frame."""
    kind, length = frames.parse_header(data[:4])
    assert (kind, len(data)) == (frames.Kind.REFUSED, 4 + length)
    return frames.parse_refused(bytearray(data[4:]))[:2]
