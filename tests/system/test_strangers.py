# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What an account on the host, or nobody at all, can do to others' logins, by programs that
everybody may start."""

from __future__ import annotations

import grp
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager

import pytest

from keyservice.access.shares import SESSIONS, Share
from keyservice.contract import operations
from keyservice.contract.names import ROOT_SOCKET, Flag
from keyservice.contract.requests import build_begin
from tests.support.consoles import kernel_has
from tests.support.programs import NOBODY

from .conftest import Enrolled

AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


@contextmanager
def many_su(count: int) -> Iterator[None]:
    """`count` times su by nobody, with a wrong password, at the prompt for the PIN."""
    started = []
    try:
        for _ in range(count):
            su = subprocess.Popen(
                [*AS_NOBODY, "su", "root"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            started.append(su)
            assert su.stdin is not None
            su.stdin.write(b"wrong\n")
            su.stdin.flush()
        for su in started:
            assert su.stdout is not None
            shown = b""
            while b"PIN" not in shown and (more := os.read(su.stdout.fileno(), 4096)):
                shown += more
        yield
    finally:
        for su in started:
            su.kill()
            su.communicate()


#: One process in the place of so many su, or of sshd's children: it has their uids. Each connection
#: has a session at its prompt, or the text of its refusal.
_DOUBLE = """
import os, socket, sys
path, uid, count, begin = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
os.setgroups([])
os.setresuid(uid, 0, 0)
held = []
for _ in range(count):
    held.append(socket.socket(socket.AF_UNIX))
    held[-1].connect(path)
    held[-1].send(bytes.fromhex(begin))
for each in held:
    print(each.recv(4096)[1] == 0x81, flush=True)
sys.stdin.read()
"""
UIDS, SU_EACH = 4, 64


@contextmanager
def at_their_prompts(uids: Sequence[int], count: int, **fields: str) -> Iterator[list[int]]:
    """`count` programs of root's for each of `uids` that began them; how many have a prompt."""
    flags = Flag.UNIFORM | Flag.DECOY
    begin = build_begin(operations.AUTHENTICATION, {"user": "root", "flags": flags, **fields})
    with ExitStack() as ends:
        begun = []
        for uid in uids:
            command = ["/usr/bin/python3", "-I", "-c", _DOUBLE, ROOT_SOCKET]
            double = subprocess.Popen(
                [*command, str(uid), str(count), bytes(begin).hex()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            ends.callback(double.communicate)
            assert double.stdout is not None
            told = [double.stdout.readline() for _ in range(count)]
            begun.append(told.count(b"True\n"))
        yield begun


def strangers_at_sshd() -> AbstractContextManager[list[int]]:
    """Some more strangers than there is room for; sshd has asked each for a PIN."""
    many = SESSIONS[Share.SYSTEM].total + 10
    return at_their_prompts([0], many, service="sshd", tty="ssh", rhost="192.0.2.1")


def test_real_su_by_the_dozen_has_an_end_and_keeps_nobody_out(enrolled: Enrolled) -> None:
    enrolled.stacks("uniform")
    with many_su(SESSIONS[Share.PEOPLE].each + 4):
        assert enrolled.host.login(enrolled.user, enrolled.right).allowed
        assert "the keyservice refused: Busy" in enrolled.host.authlog.text
    # It has counted nobody's refusals, and logs no more of them for now: the next test has another
    # service.
    enrolled.keyservice.stop()


def test_one_account_with_many_uids_keeps_no_login_out(enrolled: Enrolled) -> None:
    """It has thousands of uids, by subuid; two programs that act as su use up the whole share of
    people."""
    host, subordinate = enrolled.host, range(100_000, 100_000 + UIDS)
    with (
        at_their_prompts(subordinate, SU_EACH, service="su", tty="tty1") as prompts,
        strangers_at_sshd() as strangers,
    ):
        assert sum(prompts) == SESSIONS[Share.PEOPLE].total
        assert strangers == [SESSIONS[Share.SYSTEM].total]
        assert host.login(enrolled.user, enrolled.right).allowed
        refused = host.su(enrolled.user, enrolled.right)
        assert not refused.allowed
        assert "Too many people are being asked for a PIN on this host" in refused.screen
    assert host.su(enrolled.user, enrolled.right).allowed
    enrolled.keyservice.stop()  # it has counted refusals


def test_strangers_at_sshd_keep_no_login_out(enrolled: Enrolled) -> None:
    host = enrolled.host
    with strangers_at_sshd() as strangers:
        assert strangers == [SESSIONS[Share.SYSTEM].total]
        assert host.login(enrolled.user, enrolled.right).allowed
        assert host.su(enrolled.user, enrolled.right).allowed
    enrolled.keyservice.stop()


def test_a_console_that_su_was_only_given_does_not_make_it_local(enrolled: Enrolled) -> None:
    """Its user may open it from afar too; su takes for PAM_TTY whatever its input is."""
    host = enrolled.host
    console = host.console()
    command = [*AS_NOBODY, "setsid", "su", enrolled.user.name, "-c", "echo in"]
    with console.path.open("r+b", buffering=0) as opened:
        su = subprocess.Popen(
            command, stdin=opened, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    assert su.stdout is not None
    shown = b""
    for answer in enrolled.right:
        while not shown.endswith(b": ") and (more := os.read(su.stdout.fileno(), 4096)):
            shown += more
        console.type(answer + "\n")
        shown += b"\n"
    out, _ = su.communicate(timeout=30)
    assert su.returncode != 0, shown + out
    host.authlog.wait_for("not its controlling terminal")
    assert enrolled.host.su(enrolled.user, enrolled.right, terminal=console).allowed


@pytest.mark.parametrize("line", ["ttyS0", "ttyAMA0"])
def test_a_serial_line_that_its_group_opened_makes_nobody_local(
    enrolled: Enrolled, line: str
) -> None:
    """Group dialout opens it from anywhere, in no session: it controls su, and su names it."""
    host = enrolled.host
    console = host.console(line)
    dialout = grp.getgrnam("dialout").gr_gid
    os.chown(console.path, 0, dialout)
    console.path.chmod(0o660)
    stranger = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", f"--groups={dialout}"]
    opened = f"exec su {enrolled.user.name} -c 'echo in' <>/dev/{line} >&0 2>&0"
    with kernel_has(line):
        command = [*stranger, "setsid", "sh", "-c", opened]
        su = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            assert console.wait_question() == "Password:"
            console.answer(enrolled.user.password)
            at = f"tty=(/dev/)?{line} "
            host.authlog.wait_for(f"service=su .*{at}.*local=no .*verdict=PERM_DENIED")
            assert su.wait(30) != 0
        finally:
            su.kill()
            su.wait()
        # its getty starts login there
        assert host.login(enrolled.user, enrolled.right, terminal=console).allowed
        host.authlog.wait_for(f"service=login .*{at}.*local=yes .*verdict=SUCCESS")
