# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The client over the sockets against services that are not what they should be."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from keyservice.client import channel
from keyservice.client.session import (
    ClientError,
    NotTrusted,
    ProtocolError,
    ServiceRefused,
    SocketSession,
    TimedOut,
    Unreachable,
)
from keyservice.contract import frames, operations
from keyservice.contract.names import Code, ErrorName
from keyservice.contract.steps import Info, Prompt, Step, Verdict
from tests.support.doors import open_to_others

CHECKOUT = Path(__file__).parents[2]
ID = bytes(range(16))


@contextmanager
def service(path: Path, serve: Callable[[socket.socket], None]) -> Iterator[None]:
    """Serve one connection in a thread."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)

        def run() -> None:
            connection, _ = listener.accept()
            with connection:
                serve(connection)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield
        thread.join(5)
        assert not thread.is_alive()


def said(data: bytes) -> Callable[[socket.socket], None]:
    """Takes the request, says `data`, closes."""

    def serve(connection: socket.socket) -> None:
        connection.recv(5000)
        connection.sendall(data)

    return serve


def steps(path: Path, timeout: float = 5) -> list[Step]:
    with SocketSession(timeout=timeout, path=str(path)) as session:
        return list(session.begin(operations.AUTHENTICATION, user="alice"))


def step(what: Step) -> bytes:
    return bytes(frames.build_step(ID, what))


@pytest.mark.parametrize(
    "data",
    [
        b"\x02\x81\0\0",
        b"\x01\x81\xff\xff",
        b"\x01\x81\0\0",
        b"\x01\x83\0\0",
        b"\x01\x10\0\0",
        b"\x01\x82\0\x01\x01",
        step(Info("x"))[:-1] + b"\x09",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
)
def test_nonsense_is_a_protocol_error(tmp_path: Path, data: bytes) -> None:
    with service(tmp_path / "s", said(data)), pytest.raises(ProtocolError):
        steps(tmp_path / "s")


@pytest.mark.parametrize("data", [b"", b"\x01", step(Info("x")), step(Info("x"))[:-3]])
def test_an_end_without_a_verdict_is_an_error(tmp_path: Path, data: bytes) -> None:
    with service(tmp_path / "s", said(data)), pytest.raises(Unreachable, match="closed"):
        steps(tmp_path / "s")


def test_steps_may_come_all_at_once_and_nothing_is_heard_after_the_verdict(tmp_path: Path) -> None:
    told: list[Step] = [Info("a"), Info("b" * 1024), Verdict(Code.SUCCESS)]
    with service(tmp_path / "s", said(b"".join(map(step, told)) + b"\xff" * 9)):
        assert steps(tmp_path / "s") == told


def test_a_refusal_has_its_name_and_text(tmp_path: Path) -> None:
    refused = bytes(frames.build_refused(ErrorName.BUSY, "Wait."))
    with service(tmp_path / "s", said(refused)), pytest.raises(ServiceRefused) as caught:
        steps(tmp_path / "s")
    assert (caught.value.name, caught.value.text) == (ErrorName.BUSY, "Wait.")


@pytest.mark.parametrize("reason", ["calls", "newest"])
def test_a_refusal_has_its_reason_where_that_is_known_here(tmp_path: Path, reason: str) -> None:
    refused = bytes(frames.build_refused(ErrorName.BUSY, "Wait.", {"why": reason}))
    with service(tmp_path / "s", said(refused)), pytest.raises(ServiceRefused) as caught:
        steps(tmp_path / "s")
    assert caught.value.facts == {"why": reason if reason == "calls" else "Wait."}


def test_what_was_said_before_closing_is_heard_after_a_failed_answer(tmp_path: Path) -> None:
    closed = threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.recv(5000)
        late = Verdict(Code.AUTHINFO_UNAVAIL, "Too late", ErrorName.DEADLINE_PASSED)
        connection.sendall(step(Prompt("PIN: ")) + step(late))
        connection.close()
        closed.set()

    with service(tmp_path / "s", serve), SocketSession(path=str(tmp_path / "s")) as session:
        talk = session.begin(operations.AUTHENTICATION, user="alice")
        assert next(talk) == Prompt("PIN: ")
        closed.wait(5)
        answer = bytearray(b"123456")
        session.answer(answer)
        assert answer == bytes(6)
        verdict = next(talk)
        assert isinstance(verdict, Verdict)
        assert verdict.code is Code.AUTHINFO_UNAVAIL


def test_an_answer_goes_out_exactly_and_is_wiped_in_any_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []
    built: list[bytearray] = []

    def build(session: bytes, answer: bytearray) -> bytearray:
        built.append(build_answer(session, answer))
        return built[-1]

    build_answer = frames.build_answer
    monkeypatch.setattr(frames, "build_answer", build)

    def serve(connection: socket.socket) -> None:
        connection.recv(5000)
        connection.sendall(step(Prompt("PIN: ")))
        taken.append(connection.recv(5000))
        connection.sendall(step(Verdict(Code.SUCCESS)))

    with service(tmp_path / "s", serve), SocketSession(path=str(tmp_path / "s")) as session:
        early = bytearray(b"too early")
        with pytest.raises(ClientError, match="nothing was asked"):
            session.answer(early)
        talk = session.begin(operations.AUTHENTICATION, user="alice")
        next(talk)
        session.answer(bytearray(b"123456"))
        again = bytearray(b"again")
        with pytest.raises(ClientError, match="nothing was asked"):
            session.answer(again)
        assert list(talk) == [Verdict(Code.SUCCESS)]
    assert not any(early + again + built[0])
    assert taken == [bytes.fromhex("01 10 001c 10 0010") + ID + b"\x11\0\x06123456"]


def test_a_long_answer_is_refused_here_and_wiped(tmp_path: Path) -> None:
    with (
        service(tmp_path / "s", said(step(Prompt("PIN: ")))),
        SocketSession(path=str(tmp_path / "s")) as session,
    ):
        next(session.begin(operations.AUTHENTICATION))
        long = bytearray(b"x" * 4096)
        with pytest.raises(ServiceRefused) as caught:
            session.answer(long)
        assert caught.value.name is ErrorName.BAD_REQUEST
        assert not any(long)


def test_a_request_that_cannot_be_meant_is_refused_here(tmp_path: Path) -> None:
    with (
        service(tmp_path / "s", lambda connection: None),
        SocketSession(path=str(tmp_path / "s")) as session,
        pytest.raises(ServiceRefused, match="takes no container"),
    ):
        session.begin(operations.UNBIND, container="x")


@pytest.mark.parametrize("wrong", [False, True])
def test_a_session_is_closed_however_its_block_ends(tmp_path: Path, wrong: bool) -> None:
    with service(tmp_path / "s", lambda connection: None):
        with suppress(KeyError), SocketSession(path=str(tmp_path / "s")) as session:
            assert session.fileno() >= 0
            if wrong:
                raise KeyError
        assert session.fileno() == -1


def test_a_service_that_is_not_roots_is_not_trusted(tmp_path: Path) -> None:
    open_to_others(tmp_path)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    path = tmp_path / "open/root.sock"
    program = (
        "import os,socket,sys; os.setgroups([]); os.setresuid(65534,65534,65534);"
        "s=socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen();"
        "print(flush=True); c=s.accept()[0]; print(c.recv(99), flush=True)"
    )
    impostor = subprocess.Popen(
        [sys.executable, "-I", "-c", program, str(path)], stdout=subprocess.PIPE
    )
    assert impostor.stdout is not None
    impostor.stdout.readline()
    with pytest.raises(NotTrusted, match="uid 65534"):
        SocketSession(path=str(path))
    out, _ = impostor.communicate(timeout=30)
    assert out == b"b''\n"  # the impostor got nothing


def test_no_service_is_said_by_name(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="No such file"):
        SocketSession(path=str(tmp_path / "none"))
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead"))
    with pytest.raises(Unreachable, match="refused"):
        SocketSession(path=str(tmp_path / "dead"))


@pytest.mark.parametrize("trickle", [False, True])
def test_one_deadline_covers_all(
    tmp_path: Path, trickle: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "GRACE", -0.5)
    over = threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.recv(5000)
        for byte in step(Info("x" * 1000)):
            if over.wait(0.05):
                return
            if trickle:
                connection.send(bytes([byte]))

    start = time.monotonic()
    with service(tmp_path / "s", serve):
        with pytest.raises(TimedOut):
            steps(tmp_path / "s", timeout=1)
        over.set()
    assert 0.4 < time.monotonic() - start < 1.5


def test_a_full_queue_is_waited_for_within_the_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "GRACE", -0.5)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen(0)
        held = [socket.socket(socket.AF_UNIX)]
        held[0].connect(str(tmp_path / "s"))
        start = time.monotonic()
        with pytest.raises(TimedOut):
            SocketSession(timeout=1, path=str(tmp_path / "s"))
        assert 0.4 < time.monotonic() - start < 1.5
        room = threading.Timer(0.2, listener.accept)
        room.start()
        SocketSession(timeout=1, path=str(tmp_path / "s")).close()
        room.join()
        held[0].close()


def test_a_login_program_gets_no_asyncio_no_signals_and_nothing_of_the_service() -> None:
    program = """
import signal, sys
sys.path.insert(0, sys.argv[1])
before = signal.getsignal(signal.SIGINT)
from keyservice.client.session import SocketSession
assert "jeepney" not in sys.modules
from keyservice.client import bus_link
assert signal.getsignal(signal.SIGINT) is before
print(sorted(name for name in sys.modules if name in ("asyncio", "subprocess", "dbus_fast")))
print(sorted({name.split(".")[1] for name in sys.modules if name.startswith("keyservice.")}))
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, str(CHECKOUT)],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert done.stdout == "[]\n['client', 'contract', 'core']\n"


def test_the_contract_reads_no_environment() -> None:
    for source in (CHECKOUT / "keyservice/contract").glob("*.py"):
        text = source.read_text()
        assert "environ" not in text.replace("environment", ""), source
        assert "getenv" not in text, source


def test_the_socket_is_chosen_by_the_effective_uid(monkeypatch: pytest.MonkeyPatch) -> None:
    from keyservice.client.link import socket_path

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert socket_path() == "/run/ukey/root.sock"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert socket_path() == "/run/ukey/user.sock"
