# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A host for many tests: each finds it as new, and a test that leaves it otherwise fails."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from keyservice.contract.names import RECORDS_DIR, STATE_DIR
from keyservice.contract.pam import PamCode
from tests.support.enrolled import CONFIG, Enrolled
from tests.support.process import HostError, must
from tests.support.shared_host import Shared

pytestmark = pytest.mark.slow

WRONG, NEW_PIN = "000000", "907156"


def log_in(enrolled: Enrolled, pin: str | None = None) -> PamCode:
    answers = [enrolled.user.password, pin or enrolled.pin]
    return enrolled.host.pam.converse("login", enrolled.user.name, answers).code


# -- what is put back


def stop_daemons(enrolled: Enrolled) -> None:
    enrolled.keyservice.stop()
    enrolled.pcscd.stop()


def serve_otherwise(enrolled: Enrolled) -> None:
    enrolled.serve(CONFIG + "[services.login]\nfactors_from_afar = ['ukey']\n")


def pull_out(enrolled: Enrolled) -> None:
    enrolled.ukey.remove()


def put_in_a_clone(enrolled: Enrolled) -> None:
    enrolled.ukey.remove()
    enrolled.ukey.control.misbehave(other_key=True)
    enrolled.ukey.put_in()
    assert log_in(enrolled) is PamCode.AUTH_ERR


def sign_wrongly(enrolled: Enrolled) -> None:
    enrolled.ukey.control.misbehave(signature="zero")


def kill_the_ukey(enrolled: Enrolled) -> None:
    enrolled.ukey.daemon.kill()


def earn_a_pause(enrolled: Enrolled) -> None:
    codes = [log_in(enrolled, WRONG) for _ in range(4)]
    assert codes == [PamCode.AUTH_ERR] * 3 + [PamCode.MAXTRIES]


def lock(enrolled: Enrolled) -> None:
    enrolled.ukey.set_tries(0)


def spoil_the_record(enrolled: Enrolled) -> None:
    record = Path(RECORDS_DIR, enrolled.user.name)
    record.unlink()
    record.symlink_to("/etc/passwd")


def revoke(enrolled: Enrolled) -> None:
    must(["rmpubkey", "--force", "--yes", enrolled.user.name])
    assert list(Path(STATE_DIR).iterdir())


def bring_somebody_else(enrolled: Enrolled) -> None:
    host = enrolled.host
    host.bind(host.user("alice", "battery staple"), host.softkey("hers", slot=1))


def change_the_host(enrolled: Enrolled) -> None:
    enrolled.bus()
    enrolled.sshd()
    enrolled.stacks("uniform")
    enrolled.host.authorize(enrolled.user)
    enrolled.host.far()
    enrolled.host.pam.stack("no-such", "auth required pam_deny.so")


PUT_BACK: tuple[Callable[[Enrolled], None], ...] = (
    stop_daemons,
    serve_otherwise,
    pull_out,
    put_in_a_clone,
    sign_wrongly,
    kill_the_ukey,
    earn_a_pause,
    lock,
    spoil_the_record,
    revoke,
    bring_somebody_else,
    change_the_host,
)


@pytest.mark.timeout(600)
def test_the_next_test_finds_it_as_new(shared: Shared) -> None:
    """By both factors, on the same host; and the log is empty."""
    with shared.test() as enrolled:
        first, listed = enrolled.host, sorted(Path("/etc/pam.d").iterdir())
    for change in PUT_BACK:
        with shared.test() as enrolled:
            change(enrolled)
        with shared.test() as enrolled:
            assert enrolled.host is first, change.__name__
            assert not enrolled.host.authlog.text
            assert sorted(Path("/etc/pam.d").iterdir()) == listed
            assert log_in(enrolled) is PamCode.SUCCESS, change.__name__
            assert enrolled.ukey.tries_left() == 10


# -- what is not


def leave_a_file(enrolled: Enrolled) -> None:
    Path("/etc/left").touch()
    enrolled.host.at_exit(LATER.append, Path("/etc/left").unlink)


def leave_a_process(enrolled: Enrolled) -> None:
    left = subprocess.Popen(["sleep", "60"])
    LATER.extend((left.wait, left.kill))


def change_the_pin(enrolled: Enrolled) -> None:
    pins = f"{enrolled.pin}\n{NEW_PIN}\n{NEW_PIN}\n"
    must(["chpinpw", "--serial", enrolled.ukey.serial], input=pins)


def let_the_keyservice_die(enrolled: Enrolled) -> None:
    os.kill(enrolled.keyservice.pid, signal.SIGKILL)
    enrolled.keyservice.process.wait(10)


#: The steps that remove what a test left; last first.
LATER: list[Callable[[], object]] = []
LEFT: dict[Callable[[Enrolled], None], str] = {
    leave_a_file: "left behind: /etc/left",
    leave_a_process: "left behind: process ",
    change_the_pin: "no login after this test",
    let_the_keyservice_die: "keyservice ended by itself",
}


@pytest.mark.parametrize("leave", LEFT)
def test_whatever_else_is_left_is_told_and_costs_a_new_host(
    shared: Shared, leave: Callable[[Enrolled], None]
) -> None:
    try:
        with pytest.raises(HostError, match=LEFT[leave]), shared.test() as enrolled:
            leave(enrolled)
    finally:
        while LATER:
            LATER.pop()()
    with shared.test() as another:
        assert another.host is not enrolled.host
        assert log_in(another) is PamCode.SUCCESS


def test_a_test_that_fails_costs_a_new_host(shared: Shared) -> None:
    with pytest.raises(ZeroDivisionError), shared.test() as enrolled:
        1 / 0  # noqa: B018
    with shared.test() as another:
        assert another.host is not enrolled.host


def test_two_hosts_are_not_there_at_a_time(enrolled: Enrolled) -> None:
    with pytest.raises(HostError, match="a host already"):
        type(enrolled.host)()
