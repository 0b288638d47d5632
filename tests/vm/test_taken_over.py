# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A keyservice, a device worker and another service that are taken over: what SELinux leaves them.

The doubles run as root and without the units' sandbox, so that nothing but their domain holds them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guest.guest import Guest

from .double import ATTEMPTS, HOME

DOUBLE = Path(__file__).with_name("double.py").read_text()
FOLDER = "/usr/local/doubles"

#: what each domain is for, of all that is tried
KEYSERVICE = {
    "read a record",
    "list the records",
    "write in /etc/usbkey",
    "write in /var/lib/ukey",
    "read the configuration",
    "connect to the bus",
}
WORKER = {"connect to pcscd"}
#: what no other service gets of us, root though it may be
OURS = {
    "read a record",
    "list the records",
    "write in /etc/usbkey",
    "write in /var/lib/ukey",
    "write in /run/ukey",
    "write the configuration",
    "write in /etc/ukey",
    "replace root.sock",
    "trace the keyservice",
    "ask for a login",
}
REFUSED = {"EACCES", "EPERM"}

pytestmark = pytest.mark.denied


@contextlib.contextmanager
def in_place(guest: Guest) -> Iterator[None]:
    """The doubles are, with their labels, and nothing but the policy keeps anybody from a home."""
    types = {"keyservice": "ukey_keyservice_exec_t", "worker": "ukey_worker_exec_t"}
    types |= {"web-server": "httpd_exec_t", "unconfined": "bin_t"}
    try:
        for name, label in types.items():
            guest.put(DOUBLE, f"{FOLDER}/{name}", "755")
            guest.root(f"chcon -t {label} {FOLDER}/{name}")
        guest.root(f"chmod 777 {HOME}; chmod 666 {HOME}/.bashrc")
        yield
    finally:
        guest.root(f"chmod 755 {HOME}; chmod 644 {HOME}/.bashrc; rm -r {FOLDER}")


@pytest.fixture(scope="module")
def outcomes(booted: Guest) -> dict[str, dict[str, str]]:
    """By domain, of each attempt."""
    if booted.bound_to is None:
        booted.bind("alice")
    found: dict[str, dict[str, str]] = {}
    with in_place(booted):
        for name, more in (
            ("keyservice", f"{FOLDER}/worker"),
            ("web-server", ""),
            ("unconfined", ""),
        ):
            unit = f"double-{name}"
            command = f"{FOLDER}/{name} {booted.service('MainPID')} {more}"
            booted.root(f"systemd-run --quiet --wait --unit {unit} {command}", seconds=400)
            told = booted.root(f"journalctl --boot --unit {unit} --output=cat").stdout
            for line in told.splitlines():
                if line.count("\t") == 2:
                    domain, outcome, attempt = line.split("\t")
                    found.setdefault(domain, {})[attempt] = outcome
    return found


@pytest.mark.parametrize(
    ("domain", "may"), [("ukey_keyservice_t", KEYSERVICE), ("ukey_worker_t", WORKER)]
)
def test_it_can_do_what_it_is_for_and_nothing_else(
    outcomes: dict[str, dict[str, str]], domain: str, may: set[str], guest: Guest
) -> None:
    found = outcomes[domain]
    assert found.keys() == ATTEMPTS.keys()
    assert {name for name, outcome in found.items() if outcome == "done"} == may
    assert {outcome for name, outcome in found.items() if name not in may} <= REFUSED


def test_another_service_gets_nothing_of_ours(
    outcomes: dict[str, dict[str, str]], guest: Guest
) -> None:
    found = outcomes["httpd_t"]
    assert {name: found[name] for name in OURS if found[name] not in REFUSED} == {}
    assert found["run a shell"] == "done"


def test_without_a_domain_all_of_it_is_possible(
    outcomes: dict[str, dict[str, str]], guest: Guest
) -> None:
    """Or a refusal above would say nothing of SELinux."""
    records = {
        "read a record",
        "list the records",
        "write in /etc/usbkey",
        "write in /var/lib/ukey",
    }
    folders = {"write in /run/ukey", "replace root.sock"}
    everybody = {"make memory executable"}  # Debian's policy has nobody do that
    refused = {name: outcome for name, outcome in outcomes["initrc_t"].items() if outcome != "done"}
    expected = records | folders | everybody
    assert {name: outcome for name, outcome in refused.items() if name not in expected} == {}
    assert refused.keys() == expected
    assert set(refused.values()) <= REFUSED
