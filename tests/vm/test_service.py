# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The keyservice as systemd keeps it: there when it is wanted, and there again when it was not."""

from __future__ import annotations

from tests.guest.console import PATIENCE
from tests.guest.guest import PIN as RIGHT
from tests.guest.guest import UNIT, Guest

from .ways import by_sshd


def wait_another(guest: Guest, before: str) -> None:
    guest.wait(f"! systemctl show --property=MainPID --value {UNIT} | grep -qxE '{before}|0'")


def test_a_login_that_comes_before_the_service_starts_it(guest: Guest, alice: str) -> None:
    guest.root(f"systemctl stop {UNIT}")
    assert guest.service("MainPID") == "0"
    assert guest.console.login(alice, RIGHT)
    assert guest.service("MainPID") != "0"
    guest.console.logout()


def test_its_children_are_sealed_and_their_memory_is_locked(guest: Guest, alice: str) -> None:
    """A filter more than the unit gives them; the unit lets them lock what they have."""
    main = guest.service("MainPID")
    children = guest.root(f"cat /proc/{main}/task/*/children").stdout.split()
    assert len(children) > 1  # a worker and the watcher, at least
    before = int(_status(guest, main)["Seccomp_filters"])
    for child in children:
        status = _status(guest, child)
        assert int(status["Seccomp_filters"]) > before
        assert status["VmLck"].split()[0] != "0"


def _status(guest: Guest, pid: str) -> dict[str, str]:
    lines = guest.root(f"cat /proc/{pid}/status").stdout.splitlines()
    return dict(line.split(":", 1) for line in lines)


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


#: In the name of the process: how long it may be silent. systemd takes that from nobody else.
_NOTIFY = "NOTIFY_SOCKET=/run/systemd/notify systemd-notify --pid={pid} WATCHDOG_USEC=6000000"


def test_the_watchdog_brings_a_hung_one_back(guest: Guest, alice: str) -> None:
    assert guest.service("WatchdogUSec") == "30s"
    before = guest.service("MainPID")
    guest.root(f"kill -STOP {before}; {_NOTIFY.format(pid=before)}")  # or it takes these 30 s
    wait_another(guest, before)
    assert "watchdog" in guest.root(f"journalctl --boot --unit {UNIT}").stdout.lower()
    assert guest.console.login(alice, RIGHT)
    guest.console.logout()
