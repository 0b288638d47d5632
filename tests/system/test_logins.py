# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The real su, login and sshd, with the shipped stacks: they show who gets in, and why others do
not."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from keyservice.contract.pam import PamCode
from tests.support.host import Host
from tests.support.programs import Outcome
from tests.support.shared_host import Shared
from tests.support.terminal import END_OF_INPUT

from .conftest import CONFIG, Enrolled

GET_PIN_INFO = 0x14
#: Seconds: half of the delay that pam_unix asks libpam for, which varies it by chance.
PAUSE = 1.0

Program = Callable[[Enrolled, list[str]], Outcome]


def su(enrolled: Enrolled, answers: list[str]) -> Outcome:
    return enrolled.host.su(enrolled.user, answers)


def login(enrolled: Enrolled, answers: list[str]) -> Outcome:
    return enrolled.host.login(enrolled.user, answers)


def ssh(enrolled: Enrolled, answers: list[str]) -> Outcome:
    enrolled.sshd()
    return enrolled.host.ssh(enrolled.user, answers)


def ssh_from_afar(enrolled: Enrolled, answers: list[str]) -> Outcome:
    enrolled.sshd()
    return enrolled.host.ssh(enrolled.user, answers, far=True)


PROGRAMS: tuple[Program, ...] = (su, login, ssh, ssh_from_afar)


def named(thing: Callable[..., object]) -> str:
    return thing.__name__


@pytest.mark.smoke
@pytest.mark.parametrize("program", PROGRAMS, ids=named)
def test_password_pin_and_ukey_let_in(enrolled: Enrolled, program: Program) -> None:
    enrolled.stacks(pauses=True)
    outcome = program(enrolled, enrolled.right)
    assert outcome.allowed, outcome.screen + enrolled.host.authlog.text
    assert outcome.prompts == ["Password:", f"PIN of ukey {enrolled.ukey.serial}:"]


# -- refusals


@dataclass(frozen=True)
class Refusal:
    """A fault, and what the person and the log learn of it."""

    spoil: Callable[[Enrolled], object]
    code: PamCode
    reason: str  #: a regular expression over the audit line, or another line of the log
    asks_pin: bool = False
    pin: str | None = None  #: typed in place of the right one
    password: str | None = None
    spent: int = 0  #: tries


def code_of(enrolled: Enrolled, outcome: Outcome, since: int) -> PamCode | None:
    """The PAM code as the program reports it.

    sshd logs none if a message came with the failure, and shows that in the code's place: then it
    is the code that the module was told.
    """
    if outcome.code is None:
        line = enrolled.host.authlog.find("event=authentication .*service=sshd", since)
        found = re.search(r" verdict=(\w+)", line.text) if line else None
        return PamCode[found[1]] if found else None
    return outcome.code


def nothing(enrolled: Enrolled) -> None: ...


def swap_for_somebody_elses(enrolled: Enrolled) -> None:
    enrolled.ukey.remove()
    alice = enrolled.host.user("alice", "battery staple")
    hers = enrolled.host.softkey("hers", slot=1)
    enrolled.host.bind(alice, hers)


def remove(enrolled: Enrolled) -> None:
    enrolled.ukey.remove()


def put_in_a_clone(enrolled: Enrolled) -> None:
    """The same serial, another key."""
    enrolled.ukey.remove()
    enrolled.ukey.control.misbehave(other_key=True)
    enrolled.ukey.put_in()


def sign_wrongly(enrolled: Enrolled) -> None:
    enrolled.ukey.control.misbehave(signature="other-key")


def replay(enrolled: Enrolled) -> None:
    """The signature of a login that was right is used again."""
    assert enrolled.host.su(enrolled.user, enrolled.right).allowed
    enrolled.ukey.control.misbehave(signature="replayed")


def lock(enrolled: Enrolled) -> None:
    enrolled.ukey.set_tries(0)


def stop_keyservice(enrolled: Enrolled) -> None:
    enrolled.keyservice.stop()


def stop_pcscd(enrolled: Enrolled) -> None:
    enrolled.pcscd.stop()


REFUSALS = {
    "wrong password": Refusal(
        nothing, PamCode.AUTH_ERR, "pam_unix.*authentication failure", password="wrong"
    ),
    "wrong PIN": Refusal(
        nothing, PamCode.AUTH_ERR, "The PIN is wrong", asks_pin=True, pin="000000", spent=1
    ),
    "PIN that can be none": Refusal(
        nothing, PamCode.AUTH_ERR, "What was typed cannot be a PIN", asks_pin=True, pin="12345"
    ),
    "no ukey": Refusal(remove, PamCode.AUTHINFO_UNAVAIL, "UkeyAbsent"),
    "another user's": Refusal(swap_for_somebody_elses, PamCode.AUTHINFO_UNAVAIL, "UkeyAbsent"),
    "wrong signature": Refusal(
        sign_wrongly, PamCode.AUTH_ERR, "The signature does not verify", asks_pin=True
    ),
    "a clone": Refusal(put_in_a_clone, PamCode.AUTH_ERR, "holds another key"),
    "replayed signature": Refusal(
        replay, PamCode.AUTH_ERR, "The signature does not verify", asks_pin=True
    ),
    "locked PIN": Refusal(lock, PamCode.MAXTRIES, "The PIN is locked"),
    "keyservice down": Refusal(
        stop_keyservice, PamCode.AUTHINFO_UNAVAIL, "cannot reach the keyservice"
    ),
    "pcscd down": Refusal(stop_pcscd, PamCode.AUTHINFO_UNAVAIL, "pcscd is not running"),
    "empty answer": Refusal(
        nothing, PamCode.CONV_ERR, "The answer was empty", asks_pin=True, pin=""
    ),
}


@pytest.mark.parametrize("program", PROGRAMS[:3], ids=named)
@pytest.mark.parametrize("name", REFUSALS)
def test_anything_wrong_keeps_out(enrolled: Enrolled, program: Program, name: str) -> None:
    case = REFUSALS[name]
    case.spoil(enrolled)
    tries = enrolled.ukey.tries_left()
    since = len(enrolled.host.authlog.lines)
    password, pin = enrolled.right
    answers = [case.password or password, pin if case.pin is None else case.pin]
    outcome = program(enrolled, answers)
    assert not outcome.allowed
    code = case.code
    if program is ssh and code is PamCode.MAXTRIES:
        code = PamCode.AUTHINFO_UNAVAIL
    assert code_of(enrolled, outcome, since) is code, outcome.screen + enrolled.host.authlog.text
    assert len(outcome.prompts) == (2 if case.asks_pin else 1)
    enrolled.host.authlog.wait_for(case.reason, since)
    assert enrolled.ukey.tries_left() == tries - case.spent


def test_as_shipped_a_failure_is_told_after_a_pause(enrolled: Enrolled) -> None:
    """Side by side; all other tests here do without the pauses."""
    enrolled.stacks(pauses=True)
    enrolled.sshd()
    host, password, pin = enrolled.host, *enrolled.right
    consoles = [host.console(f"tty{number}") for number in range(2, 6)]

    def attempt(number: int) -> tuple[Outcome, float]:
        answers = ([password, "000000"], ["wrong", pin])[number % 2]
        began = time.monotonic()
        if number < 2:
            outcome = host.su(enrolled.user, answers, terminal=consoles[number])
        elif number < 4:
            outcome = host.login(enrolled.user, answers, terminal=consoles[number])
        else:
            outcome = host.ssh(enrolled.user, answers)
        return outcome, time.monotonic() - began

    with ThreadPoolExecutor(6) as pool:
        attempts = list(pool.map(attempt, range(6)))
    for number, (outcome, seconds) in enumerate(attempts):
        assert not outcome.allowed
        assert len(outcome.prompts) == (2, 1)[number % 2], outcome
        assert seconds > PAUSE, outcome


def test_a_pin_that_is_known_to_be_locked_is_not_asked_for(enrolled: Enrolled) -> None:
    """It is known from the insertion on."""
    lock(enrolled)
    assert su(enrolled, enrolled.right).prompts == ["Password:"]
    enrolled.ukey.control.reset_apdus()
    outcome = su(enrolled, enrolled.right)
    assert outcome.code is PamCode.MAXTRIES
    assert outcome.prompts == ["Password:"]
    assert [ins for ins, _ in enrolled.ukey.control.apdus()] == [GET_PIN_INFO]


def test_ssh_does_not_end_in_a_password_that_nobody_takes(enrolled: Enrolled) -> None:
    """With MAXTRIES, sshd asks PAM no more, and ssh goes on to a password, which is refused."""
    lock(enrolled)
    enrolled.sshd()
    methods = ["-o", "PreferredAuthentications=keyboard-interactive,password"]
    outcome = enrolled.host.ssh(enrolled.user, [enrolled.user.password], options=methods)
    assert not outcome.allowed
    assert outcome.prompts == ["Password:"], outcome.screen
    assert "The PIN is locked." in outcome.screen


@pytest.mark.parametrize("program", (su, login), ids=named)
def test_end_of_input_at_the_pin_keeps_out(enrolled: Enrolled, program: Program) -> None:
    outcome = program(enrolled, [enrolled.user.password, END_OF_INPUT])
    assert not outcome.allowed
    assert outcome.code is PamCode.CONV_ERR
    assert enrolled.ukey.tries_left() == enrolled.ukey.file.load().applications[0].user.maximum


# -- from afar


@pytest.mark.parametrize("program", (ssh, ssh_from_afar), ids=named)
def test_remote_login_is_refused_unless_allowed(shared: Shared, program: Program) -> None:
    config = CONFIG.replace('factors_from_afar = ["ukey"]', "factors_from_afar = []")
    with shared.test(config) as enrolled:
        outcome = program(enrolled, enrolled.right)
        assert not outcome.allowed
        assert code_of(enrolled, outcome, 0) is PamCode.PERM_DENIED, outcome.screen
        line = "event=authentication .*local=no .*verdict=PERM_DENIED"
        enrolled.host.authlog.wait_for(line)


POLKIT = "auth requisite pam_unix.so\nauth [success=ok default=die] pam_ukey.so"


def test_a_login_in_a_window_is_told_as_that(enrolled: Enrolled) -> None:
    window = enrolled.host.terminal()
    outcome = enrolled.host.login(enrolled.user, enrolled.right, terminal=window)
    assert outcome.code is PamCode.PERM_DENIED
    assert "and a pseudo-terminal, which may be far away. Log in on a text" in outcome.screen
    assert "another machine" not in outcome.screen
    enrolled.host.authlog.wait_for('place="no login session, and a pseudo-terminal')


def test_a_service_without_session_and_terminal_is_told_as_that(shared: Shared) -> None:
    """So polkit's helper asks; with its service allowed it asks for the PIN."""
    allowed = CONFIG + "[services.polkit-1]\nfactors_from_afar = ['ukey']\n"
    for config, code in ((CONFIG, PamCode.PERM_DENIED), (allowed, PamCode.SUCCESS)):
        with shared.test(config) as enrolled:
            enrolled.host.pam.stack("polkit-1", POLKIT)
            name = enrolled.user.name
            answered = enrolled.host.pam.converse("polkit-1", name, enrolled.right, tty="")
            assert answered.code is code, answered
            if code is PamCode.PERM_DENIED:
                (told,) = answered.messages
                assert "a service asks, in no login session and on no terminal." in told
                assert "whether the service polkit-1 can be allowed that." in told


def test_su_inside_an_ssh_session_is_remote(enrolled: Enrolled) -> None:
    host = enrolled.host
    alice = host.user("alice", "battery staple")
    hers = host.softkey("hers", slot=1)
    host.bind(alice, hers)
    enrolled.sshd()
    answers = [alice.password, enrolled.pin, enrolled.user.password, enrolled.pin]
    command = f"su {enrolled.user.name} -c 'echo nested-in:$(id -un)'"
    outcome = host.ssh(alice, answers, command=command, options=["-tt"])
    assert "nested-in:" not in outcome.screen
    assert "Permission denied" in outcome.screen
    host.authlog.wait_for("event=authentication .*service=su .*local=no .*verdict=PERM_DENIED")


@pytest.mark.parametrize("ready", ("ukey there", "everything down"))
def test_an_authorized_key_alone_is_not_enough(enrolled: Enrolled, ready: str) -> None:
    host = enrolled.host
    key = host.authorize(enrolled.user)
    if ready == "everything down":
        enrolled.keyservice.stop()
        enrolled.pcscd.stop()
    enrolled.sshd()
    options = ["-o", "PreferredAuthentications=publickey", "-i", str(key)]
    outcome = host.ssh(enrolled.user, [], options=options)
    assert not outcome.allowed
    assert outcome.code is None
    assert "Permission denied" in outcome.screen


# -- the bus


def test_with_the_bus_down_the_native_module_lets_in(enrolled: Enrolled) -> None:
    """No bus was started: the keyservice serves its sockets all the same."""
    assert su(enrolled, enrolled.right).allowed


def test_a_bus_that_goes_takes_no_login_with_it_and_may_come_back(enrolled: Enrolled) -> None:
    host, bus = enrolled.host, enrolled.bus()
    bus.kill()
    assert su(enrolled, enrolled.right).allowed
    host.bus()
    host.authlog.wait_for("owns org.ukey.KeyService1", _after(host, "bus.* gone|lost|closed"))
    assert su(enrolled, enrolled.right).allowed


def _after(host: Host, pattern: str) -> int:
    line = host.authlog.wait_for(pattern)
    return host.authlog.lines.index(line)
