# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The real su, login and sshd with a PIV or an OpenPGP card behind the real pcscd, bound by
getpubkey; and with a key that the real gpg has made on its card."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.enrolled import Enrolled, enrol
from tests.support.gpg import Gpg
from tests.support.host import ADMIN_PIN, PIN, Host

#: How a card of each kind is inserted, and its VERIFY that logs out.
_OWN_KEY = bytes(range(24))
CARDS: dict[str, tuple[Callable[[Host], Callable[..., Any]], dict[str, Any]]] = {
    **{
        f"piv-{algorithm}": (
            lambda host: host.pivcard,
            {"pairs": {"9A": algorithm}, "management_key": _OWN_KEY},
        )
        for algorithm in ("sm2", "p256", "rsa2048")
    },
    "piv-plain-p256": (lambda host: host.pivcard, {"pairs": {"9A": "p256"}, "vendor": False}),
    **{
        f"openpgp-{algorithm}": (lambda host: host.openpgpcard, {"pairs": {"AUT": algorithm}})
        for algorithm in ("sm2", "ed25519", "rsa2048")
    },
}


@pytest.fixture(params=CARDS)
def enrolled(host: Host, request: pytest.FixtureRequest) -> Iterator[Enrolled]:
    insert, make = CARDS[request.param]
    made = enrol(host, insert=insert(host), **make)
    made.stacks(pauses=False)
    yield made


def test_su_login_and_sshd_let_in_with_a_card(enrolled: Enrolled) -> None:
    host, user = enrolled.host, enrolled.user
    wanted = ["Password:", f"PIN of ukey {enrolled.ukey.serial}:"]
    for program in (host.su, host.login):
        outcome = program(user, enrolled.right)
        assert outcome.allowed, outcome.screen + host.authlog.text
        assert outcome.prompts == wanted
    enrolled.sshd()
    outcome = host.ssh(user, enrolled.right)
    assert outcome.allowed, outcome.screen + host.authlog.text
    refused = host.su(user, [user.password, "000000"])
    assert not refused.allowed
    assert enrolled.ukey.tries_left() == 2


@pytest.mark.parametrize("card", ["piv-plain-p256", "openpgp-ed25519"])
def test_the_card_is_listed_and_logged_out_after_a_login(host: Host, card: str) -> None:
    insert, make = CARDS[card]
    made = enrol(host, insert=insert(host), **make)
    made.stacks(pauses=False)
    made.bus()
    told = subprocess.run(["ukey", "list"], capture_output=True, text=True, timeout=30, check=True)
    assert made.ukey.serial in told.stdout
    assert made.host.su(made.user, made.right).allowed
    assert made.ukey.control.apdus()[-1] == (0x20, 0x9000)  # VERIFY with P1 FF


def test_a_key_that_gpg_has_made_on_the_card_logs_in(host: Host) -> None:
    """And gpg sees the try that a wrong PIN has cost."""
    gpg = Gpg(host.folder, PIN.decode(), ADMIN_PIN.decode())

    def insert(**make: Any) -> Any:
        card = host.openpgpcard(pairs={}, makes="ed25519", **make)
        gpg.make_keys()
        gpg.close()  # it would hold the card for itself
        return card

    made = enrol(host, insert=insert)
    made.stacks(pauses=False)
    assert host.su(made.user, made.right).allowed, host.authlog.text
    assert not host.su(made.user, [made.user.password, "000000"]).allowed
    assert gpg.card()["PIN retry counter"] == "2 0 3"
    gpg.close()
    assert host.su(made.user, made.right).allowed, host.authlog.text
    assert gpg.card()["PIN retry counter"] == "3 0 3"
    gpg.close()
