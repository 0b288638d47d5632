# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A person with two ukeys: the real su, login and sshd take either, and a revoked one of the two no
more."""

from __future__ import annotations

from pathlib import Path

from keyservice.contract.names import RECORDS_DIR
from tests.support.host import Host
from tests.support.process import run

from .conftest import CONFIG, enrol

TWO = CONFIG + "[enrolment]\nukeys_per_person = 2\n"
PIN = b"947162"


def test_su_login_and_sshd_let_in_with_either_of_two(host: Host) -> None:
    made = enrol(host, TWO)
    made.stacks(pauses=False)
    made.sshd()
    first, user = made.ukey, made.user
    spare = host.softkey("spare", slot=1, pin=PIN)
    host.bind(user, spare)
    programs = (host.su, host.login, host.ssh)
    spare.remove()
    for inserted, pin in ((first, made.pin), (spare, PIN.decode())):
        if inserted is spare:
            first.remove()
            spare.put_in()
        for program in programs:
            outcome = program(user, [user.password, pin])
            assert outcome.allowed, outcome.screen + host.authlog.text
            assert outcome.prompts == ["Password:", f"PIN of ukey {inserted.serial}:"]

    lost = run(["rmpubkey", "--force", "--yes", user.name, "--serial", first.serial], seconds=60)
    assert lost.returncode == 0, lost.stderr
    assert host.su(user, [user.password, PIN.decode()]).allowed
    spare.remove()
    first.put_in()
    refused = host.su(user, made.right)
    assert not refused.allowed
    assert refused.prompts == ["Password:"]


def test_a_revoked_one_of_two_is_refused_and_the_other_is_good(host: Host) -> None:
    """The record comes back from a backup, with both."""
    made = enrol(host, TWO)
    made.stacks(pauses=False)
    first, user = made.ukey, made.user
    spare = host.softkey("spare", slot=1, pin=PIN)
    host.bind(user, spare)
    record = Path(RECORDS_DIR, user.name)
    both = record.read_bytes()
    lost = run(["rmpubkey", "--force", "--yes", user.name, "--serial", first.serial], seconds=60)
    assert lost.returncode == 0, lost.stderr
    record.write_bytes(both)
    outcome = host.su(user, [user.password, PIN.decode()])  # both are in
    assert outcome.allowed, outcome.screen + host.authlog.text
    assert outcome.prompts == ["Password:", f"PIN of ukey {spare.serial}:"]
    spare.remove()
    refused = host.su(user, made.right)
    assert not refused.allowed
    assert refused.prompts == ["Password:"]
    line = host.authlog.wait_for(f"service=su .*serial={first.serial} .*reason=.Revoked")
    assert " verdict=AUTH_ERR " in line.text
