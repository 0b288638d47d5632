# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Answers by others than those that were asked, and cards that are not what they seem to be.

In every case the login gets a PAM code within its deadline, and the next one works.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from keyservice.client.channel import Deadline
from keyservice.client.link import FrameLink
from keyservice.contract import frames, operations
from keyservice.contract.frames import Kind, Tag
from keyservice.contract.names import FRAME_MAX, ROOT_SOCKET, Code, ErrorName
from keyservice.contract.pam import PamCode
from keyservice.contract.requests import build_begin
from keyservice.contract.steps import Prompt, Verdict
from keyservice.ukeys.kinds import KINDS
from tests.support.people import User
from tests.support.process import run, wait_until
from tests.support.shared_host import Shared

from .conftest import Enrolled
from .people import People, settings

#: Seconds that one operation on a ukey may take here, and that an answer may come later than that.
DEVICE, GRACE = 1, 1.0

GET_DEV_INFO, GET_PIN_INFO, GEN_RANDOM, VERIFY_PIN, SIGN = 0x04, 0x14, 0x50, 0x18, 0x74
CLEAR_SECURE_STATE = 0x1C
LOGIN = (GET_PIN_INFO, GEN_RANDOM, VERIFY_PIN, SIGN, CLEAR_SECURE_STATE)


@pytest.fixture
def people(shared: Shared) -> Iterator[People]:
    with shared.test(settings(device=DEVICE)) as enrolled:
        made = People(enrolled)
        made.must_login()
        yield made
        made.must_login()


# -- answers by others

#: Begins a login on the bus, says its session's id, and, told to go on, its verdict.
OWNER = """
import sys
from jeepney import DBusAddress, new_method_call
from jeepney.io.blocking import open_dbus_connection

name = "org.ukey.KeyService1"
service = DBusAddress("/org/ukey/KeyService1", bus_name=name, interface=name)
bus = open_dbus_connection("SYSTEM")

def call(member, signature, *body):
    message = new_method_call(service, member, signature, body)
    return bus.send_and_get_reply(message, timeout=30).body

request = (sys.argv[1], "locker", "", "", "", 0, 30)
session, kind, text, detail = call("BeginAuthentication", "sssssuu", *request)
print(session if kind == "prompt" else text, flush=True)
sys.stdin.readline()
while kind != "verdict":
    kind, text, detail = call("Continue", "s", session)
print(detail["code"][1])
"""

#: Answers a session with what it reads, and prints the result.
ANSWERER = """
import sys
sys.path.insert(0, "/usr/lib/ukey")
from keyservice.client.channel import Deadline, ServiceRefused
from keyservice.client.link import deliver_answer

try:
    deliver_answer(bytes.fromhex(sys.argv[1]), bytearray(sys.stdin.buffer.read()), Deadline(10))
    print("accepted")
except ServiceRefused as refusal:
    print(refusal.name)
"""


def command_of(user: User | None, program: str, *arguments: str) -> list[str]:
    """A Python program as `user`, or as root."""
    who = []
    if user is not None:
        who = ["setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups"]
    return [*who, "/usr/bin/python3", "-I", "-c", program, *arguments]


def answer(user: User | None, session: str, pin: str) -> str:
    return run(command_of(user, ANSWERER, session), input=pin, cwd="/").stdout.strip()


def test_only_the_uid_that_began_a_session_of_the_bus_can_answer_it(people: People) -> None:
    enrolled = people.enrolled
    enrolled.bus()
    bob = enrolled.host.user("bob", "battery staple")
    with subprocess.Popen(
        command_of(enrolled.user, OWNER, enrolled.user.name),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
    ) as owner:
        assert owner.stdout is not None
        session = owner.stdout.readline().strip()
        assert len(session) == 32, session
        for impostor in (bob, None):
            assert answer(impostor, session, "000000") == ErrorName.NO_SESSION
        other = f"{int(session, 16) ^ 1:032x}"
        assert answer(enrolled.user, other, enrolled.pin) == ErrorName.NO_SESSION
        assert answer(enrolled.user, session, enrolled.pin) == "accepted"
        assert answer(enrolled.user, session, enrolled.pin) in (
            ErrorName.BAD_REQUEST,
            ErrorName.NO_SESSION,
        )
        verdict, _ = owner.communicate("go on\n", timeout=30)
    assert verdict.strip() == Code.SUCCESS
    assert enrolled.ukey.tries_left() == 10


class RawLogin:
    """A login of root's over the socket, frame by frame."""

    def __init__(self, enrolled: Enrolled) -> None:
        self.link = FrameLink(ROOT_SOCKET, Deadline(30))
        self.began = time.monotonic()
        request = {"user": enrolled.user.name, "service": "ukey", "tty": "tty1"}
        self.link.send(build_begin(operations.AUTHENTICATION, request))
        self.id, step = self._step()
        assert isinstance(step, Prompt)

    def _step(self) -> tuple[bytes, object]:
        kind, body = self.link.receive()
        assert kind == Kind.STEP
        return frames.parse_step(body)

    def answer(self, session: bytes, pin: str) -> None:
        self.link.send(frames.build_answer(session, pin.encode()))

    def verdict(self) -> Code:
        _, step = self._step()
        assert isinstance(step, Verdict)
        return step.code

    def refusal(self) -> ErrorName:
        kind, body = self.link.receive()
        assert kind == Kind.REFUSED
        return frames.parse_refused(body)[0]


def test_only_its_own_connection_can_answer_a_session_of_a_socket(people: People) -> None:
    enrolled = people.enrolled
    one, other = RawLogin(enrolled), RawLogin(enrolled)
    for impostor in (None, enrolled.user):
        assert answer(impostor, one.id.hex(), "000000") == ErrorName.NO_SESSION
    other.answer(one.id, "000000")
    assert other.refusal() == ErrorName.BAD_REQUEST
    one.answer(one.id, enrolled.pin)
    assert one.verdict() is Code.SUCCESS
    assert enrolled.ukey.tries_left() == 10


def test_whoever_does_not_answer_is_told_at_the_deadline(shared: Shared) -> None:
    deadline = 5  # the least that the configuration takes
    with shared.test(settings(deadline=deadline)) as enrolled:
        login = RawLogin(enrolled)
        assert login.verdict() is Code.AUTHINFO_UNAVAIL
        assert login.began + deadline <= time.monotonic() < login.began + deadline + GRACE


@pytest.mark.parametrize(("options", "code"), [("", "CONV_ERR"), ("uniform", "AUTH_ERR")])
def test_an_answer_of_4_kib(people: People, options: str, code: str) -> None:
    people = People(people.enrolled, options)
    people.card.reset_apdus()
    long = [people.begin(people.enrolled.pin.ljust(4096, padding)) for padding in ("x", " ")]
    assert {login.result(30).code for login in long} == {PamCode[code]}
    assert VERIFY_PIN not in [ins for ins, _ in people.card.apdus()]
    people.must_login()


def test_an_answer_of_4_kib_past_the_module(people: People) -> None:
    login = RawLogin(people.enrolled)
    room = FRAME_MAX - 2 * 3 - len(login.id)
    login.link.send(frames.build(Kind.ANSWER, {Tag.SESSION: login.id, Tag.ANSWER: bytes(room)}))
    assert login.refusal() == ErrorName.BAD_REQUEST
    login = RawLogin(people.enrolled)
    login.link.send(bytearray(frames.HEADER.pack(frames.VERSION, Kind.ANSWER, 0xFFFF)))
    assert login.refusal() == ErrorName.BAD_REQUEST


# -- what is in the reader


def test_a_foreign_card_in_the_reader(people: People) -> None:
    ukey = people.enrolled.ukey
    ukey.remove()
    people.card.misbehave(foreign=True)
    ukey.put_in()
    answered = people.login()
    assert (answered.code, answered.prompts) == (PamCode.AUTHINFO_UNAVAIL, [])
    ukey.remove()
    people.card.behave()
    ukey.put_in()


def test_a_foreign_card_beside_the_ukey_is_in_nobodys_way(people: People) -> None:
    foreign = people.enrolled.host.softkey("foreign", slot=1, inserted=False)
    foreign.control.misbehave(foreign=True)
    foreign.put_in()
    wait_until(lambda: len(foreign.control.apdus()) >= len(KINDS), "each kind to ask it once")
    asked = foreign.control.apdus()
    people.must_login()
    assert foreign.control.apdus() == asked


def test_an_empty_reader(people: People) -> None:
    people.enrolled.ukey.remove()
    answered = people.login()
    assert (answered.code, answered.prompts) == (PamCode.AUTHINFO_UNAVAIL, [])
    people.enrolled.ukey.put_in()


# -- ukeys that answer wrongly

#: For each: how it answers, and what the result may be at the signature. Elsewhere a wrong answer
#: may mean nothing, so that the signature proves the ukey all the same; there, it proves nothing.
WRONG: dict[str, tuple[dict[str, Any], PamCode]] = {
    "random bytes": ({"garbage": "random"}, PamCode.AUTHINFO_UNAVAIL),
    "one byte": ({"garbage": "byte"}, PamCode.AUTHINFO_UNAVAIL),
    "random status": ({"garbage": "status"}, PamCode.AUTHINFO_UNAVAIL),
    "random content": ({"garbage": "content"}, PamCode.AUTHINFO_UNAVAIL),
    "4 KiB": ({"garbage": "huge"}, PamCode.AUTHINFO_UNAVAIL),
    "an error": ({"sw": 0x6F00}, PamCode.AUTHINFO_UNAVAIL),
    "a byte too much": ({"lengthen": 1}, PamCode.AUTHINFO_UNAVAIL),
    "a byte too few": ({"lengthen": -1}, PamCode.AUTHINFO_UNAVAIL),
    "half a KiB too much": ({"lengthen": 512}, PamCode.AUTHINFO_UNAVAIL),
    "a flipped bit": ({"signature": "flipped"}, PamCode.AUTH_ERR),
    "zeros": ({"signature": "zero"}, PamCode.AUTH_ERR),
    "numbers out of range": ({"signature": "out-of-range"}, PamCode.AUTH_ERR),
}
HARMLESS = {PamCode.SUCCESS, PamCode.AUTH_ERR, PamCode.AUTHINFO_UNAVAIL, PamCode.MAXTRIES}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_ukey_that_answers_wrongly(people: People, wrong: str) -> None:
    switches, at_signature = WRONG[wrong]
    for ins in LOGIN:
        people.card.misbehave(**switches, ins=[ins])
        answered = people.login()
        people.card.behave()
        expected = {at_signature} if ins == SIGN else HARMLESS
        assert answered.code in expected, (hex(ins), answered)
        assert not answered.answered or answered.took < DEVICE + GRACE
        people.must_login()


def test_a_ukey_that_falls_silent(shared: Shared) -> None:
    with shared.test(settings(device=DEVICE, wait=10)) as enrolled:
        people = People(enrolled)
        for ins in LOGIN:
            people.must_login()
            people.card.misbehave(mute=True, ins=[ins])
            answered = people.login()
            assert answered.code is PamCode.AUTHINFO_UNAVAIL, hex(ins)
            assert answered.took < DEVICE + GRACE
            people.card.behave()
            enrolled.ukey.remove()
            enrolled.ukey.insert()
        people.must_login()


@pytest.mark.parametrize("wrong", ["random bytes", "one byte", "4 KiB", "a byte too few"])
def test_a_card_that_answers_wrongly_when_it_is_put_in(people: People, wrong: str) -> None:
    ukey = people.enrolled.ukey
    ukey.remove()
    people.card.misbehave(**WRONG[wrong][0], ins=[GET_DEV_INFO])
    ukey.put_in()
    answered = people.login()
    assert (answered.code, answered.prompts) == (PamCode.AUTHINFO_UNAVAIL, [])
    ukey.remove()
    people.card.behave()
    ukey.put_in()
    people.must_login()
