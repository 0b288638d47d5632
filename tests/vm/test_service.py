# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The keyservice as systemd keeps it: there when it is wanted, and there again when it was not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.guest.console import PATIENCE
from tests.guest.guest import PIN as RIGHT
from tests.guest.guest import UNIT, Guest
from tests.support.process import wait_until

from .ways import by_sshd


def wait_another(guest: Guest, before: str) -> None:
    wait_until(
        lambda: guest.service("MainPID") not in (before, "0"),
        "another keyservice",
        seconds=PATIENCE,
    )


def test_a_login_that_comes_before_the_service_starts_it(guest: Guest, alice: str) -> None:
    guest.root(f"systemctl stop {UNIT}")
    assert guest.service("MainPID") == "0"
    assert guest.console.login(alice, RIGHT)
    assert guest.service("MainPID") != "0"
    guest.console.logout()


#: Connections to root.sock, and the socket that listens.
_SOCKETS = "grep -c /run/ukey/root.sock /proc/net/unix"


def test_a_crash_costs_the_login_under_way_and_not_one_that_waits(guest: Guest, alice: str) -> None:
    guest.console.begin(alice)
    before = guest.service("MainPID")
    guest.root(f"kill -STOP {before}")  # it takes nobody from the socket any more
    sockets = int(guest.root(_SOCKETS).stdout)
    with by_sshd(guest, alice) as waiting:
        waiting.ask()
        guest.root(f"until [ $({_SOCKETS}) -gt {sockets} ]; do sleep 0.1; done")
        guest.root(f"kill -KILL {before} || :")  # if the watchdog has not
        waiting.be_asked()
        assert waiting.finish(RIGHT)
    assert guest.service("MainPID") not in (before, "0")
    guest.console.type(RIGHT)
    assert not guest.console.shell_came()
    assert guest.console.login(alice, RIGHT)
    guest.console.logout()


#: systemd's own limit is five starts in ten seconds.
_STORM = f"""
last=0
for turn in 1 2 3 4 5 6 7 8; do
    until pid=$(systemctl show --property=MainPID --value {UNIT})
        [ "$pid" != 0 ] && [ "$pid" != "$last" ]
    do :; done
    kill -KILL "$pid"
    last=$pid
done
"""


def test_however_often_it_crashes_it_comes_back(guest: Guest, alice: str) -> None:
    guest.root(_STORM, seconds=PATIENCE)
    assert guest.service("StartLimitIntervalUSec") == "0"
    assert guest.console.login(alice, RIGHT)
    guest.console.logout()


@pytest.fixture
def impatient(guest: Guest) -> Iterator[Guest]:
    """The watchdog waits for less than the 30 s of the unit, and so does the test."""
    drop_in = f"/run/systemd/system/{UNIT}.d/watchdog.conf"
    guest.put("[Service]\nWatchdogSec=6s\n", drop_in)
    guest.root(f"systemctl daemon-reload; systemctl restart {UNIT}")
    yield guest
    guest.root(f"rm {drop_in}; systemctl daemon-reload; systemctl restart {UNIT}")


def test_the_watchdog_brings_a_hung_one_back(impatient: Guest, alice: str) -> None:
    guest = impatient
    before = guest.service("MainPID")
    guest.root(f"kill -STOP {before}")
    wait_another(guest, before)
    assert "watchdog" in guest.root(f"journalctl --boot --unit {UNIT}").stdout.lower()
    assert guest.console.login(alice, RIGHT)
    guest.console.logout()
