# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Programs that answer every hidden prompt with the password cost the PIN none of its tries."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from keyservice.contract.pam import PamCode
from tests.support.process import run
from tests.support.stacks import STRERROR, without_pauses

from .conftest import EXAMPLES, Enrolled

LOGINS = 20
VERIFY_PIN = 0x18
SSHD = """
PasswordAuthentication yes
KbdInteractiveAuthentication no
AuthenticationMethods password
MaxStartups 100
"""
WHY = "{service} answers every prompt with the password; use keyboard-interactive"
MODULES = {
    "native": "pam_ukey.so",
    "pam_python": "pam_python.so /usr/lib/ukey/pam_ukey/pam_python_entry.py",
}
CODES = {"helpful": PamCode.CONV_ERR, "uniform": PamCode.AUTH_ERR}


def require_nothing_spent(enrolled: Enrolled, tries: int, why: str) -> None:
    """Each login told the log why it failed, and none sent the ukey a PIN."""
    log = enrolled.host.authlog
    assert sum(why in line.text for line in log.lines) == LOGINS, log.text
    assert enrolled.ukey.tries_left() == tries
    assert VERIFY_PIN not in [ins for ins, _ in enrolled.ukey.control.apdus()]


@pytest.mark.parametrize("kind", CODES)
def test_sshd_with_password_authentication(enrolled: Enrolled, kind: str) -> None:
    host = enrolled.host
    enrolled.stacks(kind)
    host.sshd(SSHD)
    enrolled.ukey.control.reset_apdus()
    tries = enrolled.ukey.tries_left()
    with ThreadPoolExecutor(LOGINS) as pool:
        options = ["-o", "PreferredAuthentications=password"]
        logins = [
            pool.submit(host.ssh, enrolled.user, [enrolled.user.password], options=options)
            for _ in range(LOGINS)
        ]
        outcomes = [login.result() for login in logins]
    assert not any(outcome.allowed for outcome in outcomes)
    assert [len(outcome.prompts) for outcome in outcomes] == [1] * LOGINS, outcomes
    require_nothing_spent(enrolled, tries, WHY.format(service="sshd"))


@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize("module", MODULES)
def test_a_conversation_that_answers_with_one_string(
    enrolled: Enrolled, module: str, kind: str
) -> None:
    enrolled.bus()
    stack = without_pauses((EXAMPLES / "debian" / kind / "login").read_text())
    enrolled.host.pam.stack("login", stack.replace("pam_ukey.so", MODULES[module]))
    enrolled.ukey.control.reset_apdus()
    tries = enrolled.ukey.tries_left()
    password = enrolled.user.password
    with ThreadPoolExecutor(LOGINS) as pool:
        codes = list(pool.map(converse, [enrolled] * LOGINS, [[password] * 3] * LOGINS))
    assert codes == [CODES[kind]] * LOGINS
    require_nothing_spent(enrolled, tries, WHY.format(service="login"))
    assert converse(enrolled, enrolled.right) is PamCode.SUCCESS
    assert VERIFY_PIN in [ins for ins, _ in enrolled.ukey.control.apdus()]


def converse(enrolled: Enrolled, answers: Sequence[str]) -> PamCode:
    """Have pamtester answer, which is no Python program: pam_python brings its own."""
    command = ["pamtester", "-I", "tty=tty1", "login", enrolled.user.name, "authenticate"]
    done = run(command, input="".join(f"{answer}\n" for answer in answers))
    if done.returncode == 0:
        return PamCode.SUCCESS
    return STRERROR[done.stderr.strip().rpartition("pamtester: ")[2]]
