# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""How many commands a login costs the ukey, end to end: libpam, keyservice, pcscd, card."""

from __future__ import annotations

import pytest
from smartcard import scard

from keyservice.contract.pam import PamCode
from tests.support import pcsc
from tests.support.process import wait_until
from tests.support.shared_host import Shared
from tests.support.stacks import Answered

from .conftest import CONFIG, EXAMPLES, Enrolled

GET_DEV_INFO, GET_PIN_INFO, VERIFY_PIN, CLEAR_SECURE_STATE = 0x04, 0x14, 0x18, 0x1C
OPEN_APPLICATION, OPEN_CONTAINER = 0x26, 0x42
GEN_RANDOM, SIGN, EXPORT_PUBLIC_KEY = 0x50, 0x74, 0x88

#: The commands to a ukey that is known, idle and open.
LOGIN = [GET_PIN_INFO, GEN_RANDOM, VERIFY_PIN, SIGN, CLEAR_SECURE_STATE]
WRONG = "000000"


class Person:
    """Somebody at the console, whose ukey is watched."""

    def __init__(self, enrolled: Enrolled) -> None:
        self.enrolled = enrolled
        self.card = enrolled.ukey.control
        self.reader = enrolled.ukey.reader

    def login(self, pin: str | None = None, *, password: str | None = None) -> Answered:
        answers = [password or self.enrolled.user.password, pin or self.enrolled.pin]
        begun = self.enrolled.crowd.begin("login", self.enrolled.user.name, answers)
        return begun.result(60)

    def must_login(self) -> None:
        answered = self.login()
        assert answered.code is PamCode.SUCCESS, self.enrolled.host.authlog.text

    def set_tries(self, left: int) -> None:
        """Leave so many tries on the ukey, as if it had been elsewhere meanwhile."""
        self.enrolled.ukey.set_tries(left)
        self.wait_probed()

    def wait_probed(self) -> None:
        """Until the keyservice has asked what was put in."""
        wait_until(lambda: GET_PIN_INFO in self.asked(), "asked what it is, and for its tries")

    def asked(self) -> list[int]:
        """The commands since the last :meth:`Control.reset_apdus`."""
        return [ins for ins, _ in self.card.apdus()]


@pytest.fixture
def person(enrolled: Enrolled) -> Person:
    made = Person(enrolled)
    made.must_login()
    made.card.reset_apdus()
    return made


def test_known_idle_and_open(person: Person) -> None:
    for _ in range(3):
        person.card.reset_apdus()
        person.must_login()
        assert person.asked() == LOGIN


def test_a_wrong_pin_costs_no_reset(person: Person) -> None:
    assert person.login(WRONG).code is PamCode.AUTH_ERR
    assert person.asked() == [GET_PIN_INFO, GEN_RANDOM, VERIFY_PIN, CLEAR_SECURE_STATE]
    person.card.reset_apdus()
    person.must_login()
    assert person.asked() == LOGIN


def test_after_insertion(person: Person) -> None:
    """The tries are read at the insertion, the public key once for each at the first use, and open
    applications stay open."""
    person.enrolled.ukey.remove()
    person.card.reset_apdus()
    person.enrolled.ukey.insert()
    person.wait_probed()
    person.must_login()
    inserted = [GET_DEV_INFO, OPEN_APPLICATION, GET_PIN_INFO]
    assert person.asked() == [*inserted, OPEN_CONTAINER, EXPORT_PUBLIC_KEY, *LOGIN]
    person.card.reset_apdus()
    person.must_login()
    assert person.asked() == LOGIN


def test_after_somebodys_reset(person: Person) -> None:
    with pcsc.stranger(person.reader, pcsc.RESET):
        pass
    person.must_login()
    again = [GET_DEV_INFO, OPEN_APPLICATION, OPEN_CONTAINER]
    assert sorted(person.asked()) == sorted([*again, *LOGIN])
    assert person.asked()[0] == GET_DEV_INFO
    person.card.reset_apdus()
    person.must_login()
    assert person.asked() == LOGIN


def test_after_the_application_was_closed(person: Person) -> None:
    """Somebody closed it, without a reset: GetPINInfo answers 698A."""
    application = person.enrolled.ukey.file.load().applications[0].ident
    close = [0x80, 0x28, 0, 0, 0, 0, len(application), *application]
    with pcsc.stranger(person.reader) as handle:
        result, answer = scard.SCardTransmit(handle, scard.SCARD_PCI_T1, close)
        assert (result, answer) == (scard.SCARD_S_SUCCESS, [0x90, 0x00])
    person.card.reset_apdus()
    person.must_login()
    assert person.card.apdus()[0] == (GET_PIN_INFO, 0x698A)
    again = [GET_DEV_INFO, OPEN_APPLICATION, OPEN_CONTAINER]
    assert sorted(person.asked()[1:]) == sorted([*again, *LOGIN])
    person.card.reset_apdus()
    person.must_login()
    assert person.asked() == LOGIN


def test_the_last_try_is_withheld_by_one_look(shared: Shared) -> None:
    """From afar, where nobody sits in front of the ukey."""
    with shared.test(CONFIG.replace("services.sshd", "services.login")) as enrolled:
        person = Person(enrolled)
        person.set_tries(1)

        def from_afar() -> Answered:
            login = enrolled.crowd.begin(
                "login", enrolled.user.name, enrolled.right, tty="ssh", rhost="10.99.0.2"
            )
            return login.result(30)

        first = from_afar()
        assert (first.code, len(first.prompts)) == (PamCode.MAXTRIES, 1)
        assert VERIFY_PIN not in person.asked()
        person.card.reset_apdus()
        second = from_afar()
        assert (second.code, len(second.prompts)) == (PamCode.MAXTRIES, 1)
        assert person.asked() == [GET_PIN_INFO]


def test_a_pause_costs_nothing(person: Person) -> None:
    for _ in range(3):
        assert person.login(WRONG).code is PamCode.AUTH_ERR
    person.card.reset_apdus()
    paused = person.login()
    assert (paused.code, len(paused.prompts)) == (PamCode.MAXTRIES, 1)
    assert person.asked() == []


def test_a_locked_pin_costs_one_look(person: Person) -> None:
    person.set_tries(0)
    assert person.login().code is PamCode.MAXTRIES
    assert VERIFY_PIN not in person.asked()
    person.card.reset_apdus()
    locked = person.login()
    assert (locked.code, len(locked.prompts)) == (PamCode.MAXTRIES, 1)
    assert person.asked() == [GET_PIN_INFO]


def test_a_decoy_costs_nothing(person: Person) -> None:
    enrolled = person.enrolled
    stack = (EXAMPLES / "debian" / "uniform" / "login").read_text()
    enrolled.host.pam.stack("login", stack)
    assert person.login(password="wrong").code is PamCode.AUTH_ERR
    assert person.asked() == []
    person.must_login()
    assert person.asked() == LOGIN
