# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What pam_ukey.so tells the keyservice of the key that sshd has verified, and when it does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from keyservice.contract.names import AUTH_INFO_MAX
from keyservice.contract.names import Code as Said
from keyservice.contract.pam import PamCode
from keyservice.contract.steps import Verdict
from tests.pam.modules import Module
from tests.support.authlog import Authlog

YES = Verdict(Said.SUCCESS)
OWN, OTHER = "publickey ssh-ed25519 AAAA\n", "publickey ssh-ed25519 BBBB\n"
SAYS = f"env=SSH_AUTH_INFO_0={OWN}"


@pytest.fixture
def sshd(native: Module) -> Module:
    return replace(native, program="sshd")


def take(module: Module, control: str = "optional") -> str:
    return f"auth {control} {module.words} take_ssh_key\n"


def forge(module: Module, text: str = OTHER) -> str:
    file = module.folder / "forged"
    file.write_text(text)
    return f"auth required {module.built}/pam_forge.so {file}\n"


def said(module: Module, *words: str) -> str:
    """What the keyservice is told by a login that is let in."""
    with module.service((YES,)) as service:
        run = module.run(*words, "authenticate")
    assert run.code == PamCode.SUCCESS
    ((_, begun),) = service.seen.begun
    return str(begun["auth_info"])


def test_what_sshd_has_verified_is_passed_on(sshd: Module) -> None:
    sshd.stack(before=take(sshd))
    assert said(sshd, SAYS) == OWN
    longest = "x" * (AUTH_INFO_MAX - 1) + "\n"
    assert said(sshd, f"env=SSH_AUTH_INFO_0={longest}") == longest
    assert said(sshd, "env=SSH_AUTH_INFO_0=") == said(sshd) == ""


def test_the_longest_of_all_fields_fit_into_a_frame(sshd: Module) -> None:
    sshd.stack(before=take(sshd))
    longest = "x" * AUTH_INFO_MAX
    words = (f"tty={'t' * 256}", f"rhost={'r' * 256}", f"env=LANG={'C' * 32}")
    with sshd.service((YES,)) as service:
        run = sshd.run(*words, f"env=SSH_AUTH_INFO_0={longest}", "authenticate", user="u" * 256)
    assert run.code == PamCode.SUCCESS
    assert service.seen.begun[0][1]["auth_info"] == longest


def test_other_programs_cannot_say_it(native: Module) -> None:
    for program in ("su", "sshd2", "ssh"):
        other = replace(native, program=program)
        other.stack(before=take(other))
        assert said(other, SAYS) == ""


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        ("{forge}{take}", None),  # which the keyservice refuses: the line is not the first
        ("{take}{forge}", "another module of this stack has changed it"),
        ("{forge}", "no line with take_ssh_key has taken it"),
        ("", "no line with take_ssh_key has taken it"),
    ],
)
def test_what_another_module_may_have_written_is_not(
    sshd: Module, log: Authlog, first: str, reason: str | None
) -> None:
    sshd.stack(before=first.format(take=take(sshd), forge=forge(sshd)))
    assert said(sshd, SAYS) == (OTHER if reason is None else "")
    if reason is not None:
        log.wait_for(f"SSH_AUTH_INFO_0 is not used: {reason}")


def test_a_key_that_was_forged_where_sshd_named_none_is_not_passed_on(
    sshd: Module, log: Authlog
) -> None:
    sshd.stack(before=take(sshd) + forge(sshd))
    assert said(sshd, "env=SSH_AUTH_INFO_0=") == ""
    log.wait_for("another module of this stack has changed it")
    assert said(sshd) == ""
    log.wait_for("no line with take_ssh_key has taken it")


def test_what_is_too_long_is_not_used(sshd: Module, log: Authlog) -> None:
    sshd.stack(before=take(sshd))
    assert said(sshd, f"env=SSH_AUTH_INFO_0={'x' * (AUTH_INFO_MAX + 1)}") == ""
    log.wait_for(f"has more than {AUTH_INFO_MAX} bytes")


def test_a_second_login_on_a_handle_does_not_use_the_first_ones(sshd: Module) -> None:
    sshd.stack(before=take(sshd))
    with sshd.service((YES,)) as service:
        sshd.run(SAYS, "authenticate", f"env=SSH_AUTH_INFO_0={OTHER}", "authenticate")
    assert [begun["auth_info"] for _, begun in service.seen.begun] == [OWN, OTHER]


def test_the_line_that_takes_it_lets_nobody_in(sshd: Module, tmp_path: Path) -> None:
    """Somebody who writes `required`, or `sufficient` and nothing else, keeps people out."""
    for control in ("required", "requisite", "sufficient", "optional"):
        (sshd.folder / "sshd").write_text(take(sshd, control))
        with sshd.service((YES,)) as service:
            assert sshd.run(SAYS, "authenticate").code not in (PamCode.SUCCESS, PamCode.IGNORE)
        assert not service.seen.begun
    sshd.stack(before=take(sshd, "required"))
    with sshd.service((YES,)):
        assert sshd.run(SAYS, "authenticate").code == PamCode.AUTH_ERR


def test_it_stands_alone_on_its_line(sshd: Module, log: Authlog) -> None:
    for more in ("uniform", "decoy", "nouserok", "debug", "timeout=9", "take_ssh_key"):
        sshd.stack(f"take_ssh_key {more}")
        with sshd.service((YES,)):
            assert sshd.run(SAYS, "authenticate").code == PamCode.SERVICE_ERR
    log.wait_for("take_ssh_key stands alone on its line")
