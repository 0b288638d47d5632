# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What an account on the host can do to others' logins, by programs that everybody may start."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from keyservice.access.session import PER_ROOT
from tests.support.host import Host
from tests.support.programs import NOBODY

from .conftest import enrol

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


@pytest.mark.slow
def test_su_by_the_hundred_keeps_nobody_out(host: Host) -> None:
    enrolled = enrol(host)
    enrolled.stacks("uniform")
    with many_su(PER_ROOT + 10):
        assert enrolled.host.login(enrolled.user, enrolled.right).allowed
        assert "the keyservice refused: Busy" in host.authlog.text


def test_a_console_that_su_was_only_given_does_not_make_it_local(host: Host) -> None:
    """Its user may open it from afar too; su takes for PAM_TTY whatever its input is."""
    enrolled = enrol(host)
    enrolled.stacks()
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
    assert "not its controlling terminal" in host.authlog.text, host.authlog.text
    assert enrolled.host.su(enrolled.user, enrolled.right, terminal=console).allowed
