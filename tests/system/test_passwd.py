# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The real passwd and chpasswd with pam_ukey(8)'s own lines: what they say is what happened."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import CHECKOUT
from tests.support.host import Host
from tests.support.people import User
from tests.support.process import must, run
from tests.support.shared_host import Shared
from tests.support.stacks import without_pauses
from tests.support.terminal import Terminal

from .conftest import Enrolled

NEW_PIN, NEW_PASSWORD = "719365", "staple battery 31"
UNCHANGED, UPDATED = "password unchanged", "password updated successfully"


def page_lines(options: str = "change_pin") -> str:
    """The password lines among the page's examples."""
    page = (CHECKOUT / "data/man/pam_ukey.8.in").read_text()
    lines = re.findall(r"^password +\S+ +pam_\S+.*$", page, re.MULTILINE)
    assert [line.split()[2] for line in lines] == ["pam_unix.so", "pam_ukey.so"], lines
    return without_pauses("\n".join(lines)).replace("change_pin", options)


@pytest.fixture
def enrolled(shared: Shared) -> Iterator[Enrolled]:
    """The page's lines are in place, and passwords come back."""
    with shared.test() as made:
        made.host.keep()
        for service in ("passwd", "chpasswd"):
            made.host.pam.stack(service, page_lines())
        yield made


@pytest.fixture
def pin_put_back(enrolled: Enrolled) -> Iterator[None]:
    yield
    pins = "\n".join([NEW_PIN, enrolled.pin, enrolled.pin, ""])
    must(["chpinpw", "--serial", enrolled.ukey.serial], input=pins)


def hash_of(user: User) -> str:
    lines = Path("/etc/shadow").read_text().splitlines()
    return next(line.split(":")[1] for line in lines if line.startswith(f"{user.name}:"))


class Passwd:
    """What somebody was asked and told by passwd, which they ran themselves."""

    def __init__(
        self, host: Host, user: User, answers: list[str], *, by: int | None = None
    ) -> None:
        before = hash_of(user)
        terminal: Terminal = host.terminal()
        own = str(user.uid if by is None else by)
        shell = ["setpriv", "--reuid", own, "--regid", own, "--init-groups"]
        terminal.start([*(shell if own != "0" else ()), "passwd", user.name])
        self.prompts = terminal.converse(answers)
        self.status, self.screen = terminal.wait_end(), terminal.screen
        self.changed = hash_of(user) != before
        said = UPDATED in self.screen
        assert said is not (UNCHANGED in self.screen), self.screen
        assert self.changed is said, self.screen
        assert (self.status == 0) is said, self.screen


def change(enrolled: Enrolled, *, password: str = "", pin: str = "", new: str = "") -> Passwd:
    right = enrolled.user.password, enrolled.pin
    pins = [pin or right[1], new or NEW_PIN, new or NEW_PIN]
    answers = [password or right[0], *pins, NEW_PASSWORD, NEW_PASSWORD]
    return Passwd(enrolled.host, enrolled.user, answers)


@pytest.mark.usefixtures("pin_put_back")
def test_the_pin_and_then_the_password_are_changed(enrolled: Enrolled) -> None:
    serial = enrolled.ukey.serial
    done = change(enrolled)
    assert done.changed
    assert f"The PIN of ukey {serial} is changed." in done.screen
    own = [f"Present PIN of ukey {serial}:", "New PIN:", "New PIN again:"]
    assert done.prompts == ["Current password:", *own, "New password:", "Retype new password:"]
    assert enrolled.host.su(enrolled.user, [NEW_PASSWORD, NEW_PIN]).allowed


def remove(enrolled: Enrolled) -> None:
    enrolled.ukey.remove()


def lock(enrolled: Enrolled) -> None:
    enrolled.ukey.set_tries(0)


def no_service(enrolled: Enrolled) -> None:
    enrolled.keyservice.stop()


def nothing(enrolled: Enrolled) -> None: ...


@pytest.mark.parametrize(
    ("spoil", "typed", "told"),
    [
        (nothing, {"pin": "000000"}, "The PIN is wrong. 9 tries are left."),
        (nothing, {"password": "wrong"}, "Authentication failure"),
        (nothing, {"new": "short"}, "A PIN has 6 to 16 bytes"),
        (nothing, {"new": "123456"}, "The new PIN is too easy to guess: more than 3"),
        (remove, {}, "is not inserted"),
        (lock, {}, "The PIN is locked."),
        (no_service, {}, "Authentication service cannot retrieve authentication info"),
    ],
    ids=["wrong PIN", "wrong password", "short", "a run", "not inserted", "locked", "no service"],
)
def test_whatever_fails_leaves_both_as_they_were(
    enrolled: Enrolled, spoil: object, typed: dict[str, str], told: str
) -> None:
    assert callable(spoil)
    spoil(enrolled)
    done = change(enrolled, **typed)
    assert not done.changed
    assert told in done.screen, done.screen
    if spoil is no_service:
        enrolled.start_keyservice(enrolled.config)
    elif spoil is remove:
        enrolled.ukey.insert()
        enrolled.ukey.wait_seen()
    elif spoil is lock:
        return
    assert enrolled.host.su(enrolled.user, enrolled.right).allowed


@pytest.mark.usefixtures("pin_put_back")
def test_a_password_that_is_refused_later_is_told_beside_the_pin(enrolled: Enrolled) -> None:
    """pam_unix asks for the new password after the PIN is changed; both are said as they are."""
    answers = [enrolled.user.password, enrolled.pin, NEW_PIN, NEW_PIN, NEW_PASSWORD, "another"]
    done = Passwd(enrolled.host, enrolled.user, answers)
    assert not done.changed
    assert "The PIN of ukey" in done.screen and UNCHANGED in done.screen
    assert enrolled.host.su(enrolled.user, [enrolled.user.password, NEW_PIN]).allowed


@pytest.mark.parametrize("options", ["change_pin", "change_pin nouserok"])
def test_somebody_without_a_ukey(enrolled: Enrolled, options: str) -> None:
    sam = enrolled.host.user("sam", "password of sam")
    enrolled.host.pam.stack("passwd", page_lines(options))
    done = Passwd(enrolled.host, sam, [sam.password, NEW_PASSWORD, NEW_PASSWORD])
    assert done.changed is ("nouserok" in options), done.screen
    told = "No ukey is bound to sam."
    assert (told in done.screen) is not done.changed


def test_root_changes_passwords_without_anybodys_ukey(enrolled: Enrolled) -> None:
    user, card = enrolled.user, enrolled.ukey.control
    card.reset_apdus()
    done = Passwd(enrolled.host, user, [NEW_PASSWORD, NEW_PASSWORD], by=0)
    assert done.changed
    assert done.prompts == ["New password:", "Retype new password:"]
    before = hash_of(user)
    told = run(["chpasswd"], input=f"{user.name}:{user.password}\n")
    assert (told.returncode, told.stdout) == (0, "")
    assert hash_of(user) != before
    assert card.apdus() == []  # a try least of all
    assert enrolled.host.su(user, enrolled.right).allowed


def test_chpasswd_says_so_if_it_cannot(enrolled: Enrolled) -> None:
    before = hash_of(enrolled.user)
    enrolled.keyservice.stop()
    told = run(["chpasswd"], input=f"{enrolled.user.name}:{NEW_PASSWORD}\n")
    enrolled.start_keyservice(enrolled.config)
    assert told.returncode != 0
    assert UNCHANGED in told.stderr or "failed" in told.stderr, told
    assert hash_of(enrolled.user) == before
