# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The audit line, and the socket that it goes through."""

from __future__ import annotations

import dataclasses
import logging
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest

from keyservice.access import audit
from keyservice.access.audit import attempt_fields, line
from keyservice.access.context import Context
from keyservice.access.conversation import Caller, Request
from keyservice.access.flood import LINES
from keyservice.access.locality import Place
from keyservice.access.services import Services
from keyservice.contract import operations
from keyservice.contract.names import Code, ErrorName, Flag
from keyservice.contract.steps import Verdict
from keyservice.core.errors import PinWrong
from keyservice.core.logsocket import (
    BACKLOG,
    PASSING,
    Facility,
    Handler,
    LogSocket,
    Severity,
    describe,
)
from keyservice.core.username import Person

#: A line is made only of the facts that were learnt.
NOTHING = cast(Services, None)
CALLER = Caller(0, 77, 1000, 1000, "c1", "root.sock")


def attempt(**fields: object) -> Context:
    request = Request(
        operations.AUTHENTICATION,
        **{  # type: ignore[arg-type]
            "user": "Alice",
            "service": "su",
            "tty": "pts/0",
            "rhost": "",
            "flags": Flag.UNIFORM,
            **fields,
        },
    )
    return Context(
        NOTHING,
        CALLER,
        request,
        bytes(range(16)),
        person=Person("alice", 1000),
        place=Place(False, "its login session is remote"),
        serial="SN1",
    )


def test_the_line() -> None:
    verdict = Verdict(Code.AUTH_ERR, "The PIN is wrong.", ErrorName.PIN_WRONG)
    assert line(attempt_fields(attempt(), verdict, PinWrong(left=2))) == (
        "event=authentication user=alice uid=1000 service=su caller=0 ruid=1000 loginuid=1000"
        ' pid=77 session=c1 by=root.sock tty=pts/0 rhost=- local=no place="its login session is'
        ' remote" serial=SN1 ssh_key=- key=- flags=uniform verdict=AUTH_ERR'
        ' reason="PinWrong: The PIN is wrong (left=2)" id=00010203'
    )


def test_what_root_runs_is_not_told_as_somebody_without_a_ukey() -> None:
    for ruid, why in ((1000, "no ukey is bound"), (0, "a program that root runs")):
        caller = dataclasses.replace(CALLER, ruid=ruid)
        request = Request(operations.CHANGE_PIN, "alice", flags=Flag.PASSWORD | Flag.NOUSEROK)
        context = Context(NOTHING, caller, request, bytes(16))
        assert why in str(attempt_fields(context, Verdict(Code.IGNORE), None)["reason"])


def test_who_is_not_known_yet_is_named_as_asked() -> None:
    unknown = Context(NOTHING, CALLER, Request(operations.UNBIND, "x y"), bytes(16))
    text = line(attempt_fields(unknown, Verdict(Code.SUCCESS), None))
    assert text.startswith('event=unbind user="x y" uid=- service=- ')
    assert "local=- place=- serial=- ssh_key=- key=- flags=- verdict=SUCCESS" in text


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("alice", "alice"),
        ("", "-"),
        (None, "-"),
        ("-", '"-"'),
        (0, "0"),
        ("a b", '"a b"'),
        ('x" verdict=SUCCESS', '"x\\x22 verdict=SUCCESS"'),
        ("x\nkeyservice: forged", '"x\\x0akeyservice: forged"'),
        ("\\x41", '"\\x5cx41"'),
        ("\x1b[2J\x7f\0", '"\\x1b[2J\\x7f\\x00"'),
        ("李", '"\\xe6\\x9d\\x8e"'),
        ("\udcff", '"\\xff"'),
        ("a" * 161, '"' + "a" * 160 + '..."'),
        ("李" * 99, '"' + "\\xe6\\x9d\\x8e" * 13 + '..."'),
    ],
)
def test_values_are_escaped_and_cut(value: object, written: str) -> None:
    assert audit.value(value) == written


def test_no_caller_pushes_the_verdict_off_the_line() -> None:
    long = attempt(user="\n" * 256, service="\n" * 64, tty="\n" * 128, rhost="\n" * 256)
    long.person = None
    text = line(attempt_fields(long, Verdict(Code.AUTH_ERR), PinWrong("x" * 999)))
    assert len(text) < 1900
    assert "verdict=AUTH_ERR" in text


def test_the_text_of_a_bug_is_not_told() -> None:
    fields = attempt_fields(attempt(), Verdict(Code.SERVICE_ERR), ValueError(b"528491"))
    assert fields["reason"] == "ValueError"


# -- the socket


@pytest.fixture
def address(tmp_path: Path) -> Path:
    return tmp_path / "log"


def listen(address: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(address))
    listener.settimeout(5)
    return listener


def test_a_line_arrives_with_facility_and_severity(address: Path) -> None:
    with listen(address) as listener:
        log = LogSocket(path=str(address))
        log.send(Facility.AUTHPRIV, Severity.NOTICE, "one\ntwo")
        head, _, text = listener.recv(4096).decode().partition("]: ")
        assert head.startswith("<85>keyservice[")
        assert text == "one two"
        log.close()


def test_a_log_daemon_that_comes_back_gets_the_lines(address: Path) -> None:
    log = LogSocket(path=str(address))
    with listen(address) as listener:
        log.send(Facility.DAEMON, Severity.INFO, "first")
        assert b"first" in listener.recv(4096)
    address.unlink()
    with listen(address) as listener:
        log.send(Facility.DAEMON, Severity.INFO, "second")
        assert b"second" in listener.recv(4096)
    log.close()


def test_a_log_that_nobody_reads_delays_nobody(
    address: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with listen(address) as listener:
        listener.setblocking(False)
        log = LogSocket(path=str(address))
        begun = time.monotonic()
        sent, received = BACKLOG + 500, list[str]()
        for number in range(sent):
            log.send(Facility.DAEMON, Severity.INFO, f"line {number}")
        assert time.monotonic() - begun < 5
        for _ in range(1000):  # read again: each further line brings some of the waiting ones
            with suppress(BlockingIOError):
                while True:
                    received.append(listener.recv(4096).decode().partition("]: ")[2])
            if received[-1] == f"line {sent - 1}" and sent > BACKLOG + 500:
                break
            log.send(Facility.DAEMON, Severity.INFO, f"line {sent}")
            sent += 1
        (lost,) = [text for text in received if "lost" in text]
        numbers = [int(text.split()[1]) for text in received if text != lost]
        assert numbers == sorted(numbers)
        assert int(lost.split()[0]) + len(numbers) == sent
        assert capsys.readouterr().err == ""
    log.close()


def test_while_the_log_takes_none_what_anybody_can_cause_is_lost_first(address: Path) -> None:
    with listen(address) as listener:
        listener.setblocking(False)
        log = LogSocket(path=str(address))
        for number in range(2 * BACKLOG):
            log.send(Facility.AUTHPRIV, Severity.NOTICE, f"refusal {number}", passing=True)
        for number in range(BACKLOG - PASSING):
            log.send(Facility.AUTHPRIV, Severity.NOTICE, f"success {number}")
        received = list[str]()
        for _ in range(1000):
            with suppress(BlockingIOError):
                while True:
                    received.append(listener.recv(4096).decode().partition("]: ")[2])
            log.send(Facility.DAEMON, Severity.INFO, "more")
            if "more" in received:
                break
        told = [text for text in received if text.startswith("success")]
        assert told == [f"success {number}" for number in range(BACKLOG - PASSING)]
    log.close()


def test_without_a_log_it_goes_to_standard_error(
    address: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = LogSocket(path=str(address))
    log.send(Facility.DAEMON, Severity.ERROR, "something")
    assert capsys.readouterr().err == "something\n"


def test_an_exceptions_text_is_not_logged(address: Path) -> None:
    with listen(address) as listener:
        logger = logging.getLogger("ukey.test")
        logger.propagate = False
        logger.handlers = [Handler(LogSocket(path=str(address)))]
        try:
            raise ValueError("528491")
        except ValueError:
            logger.exception("it failed")
        text = listener.recv(4096).decode()
        assert text.startswith("<27>")
        assert "test: it failed [ValueError at test_audit.py:" in text
        assert "528491" not in text


def test_an_operators_line_is_one_and_steers_no_terminal() -> None:
    record = logging.LogRecord("a.b", logging.INFO, "", 1, "%s", ("x\x1b[2J\u202e\x9b\ny é",), None)
    assert describe(record) == "b: x?[2J?? y é"


def test_operators_lines_that_differ_in_a_name_only_do_not_fill_the_log(address: Path) -> None:
    with listen(address) as listener:
        listener.setblocking(False)
        log = LogSocket(path=str(address))
        handler = Handler(log)

        def told(name: str, text: str, *facts: object) -> None:
            handler.handle(logging.LogRecord(name, logging.WARNING, "", 0, text, facts, None))

        received = []
        for number in range(LINES + 7):
            told("keyservice.ukeys.reader", "probe: %s", f"error {number}")
            with suppress(BlockingIOError):
                received.append(listener.recv(4096))
        assert len(received) == LINES
        told("keyservice.ukeys.workerqueue", "no device worker for %s", "Reader 0")
        assert listener.recv(4096).endswith(b"workerqueue: no device worker for Reader 0")
        handler.flush()
        assert listener.recv(4096).endswith(
            b"7 more lines like this were not written: reader: probe: %s"
        )
    log.close()
