# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Which answers leave the process: none, too long ones, and the password never."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from keyservice.contract.names import Code as Said
from keyservice.contract.pam import PamCode
from keyservice.contract.steps import Info, Prompt, Verdict
from tests.pam.conftest import PASSWORD
from tests.pam.modules import ASK, PIN, YES, Module
from tests.pam.scripted import Act
from tests.support.authlog import Authlog


@pytest.mark.parametrize("answer", ["null", "again", "error", None])
@pytest.mark.parametrize("options", ["", "uniform"])
def test_no_answer_ends_it(module: Module, answer: str | None, options: str) -> None:
    module.stack(options)
    with module.service(YES) as service:
        run = module.run(answers=[] if answer is None else [answer])
    assert run.code == (PamCode.AUTH_ERR if options else PamCode.CONV_ERR)
    assert service.seen.answers == []


@pytest.mark.parametrize("words", [("noconv", "authenticate"), ("authenticate",)])
def test_a_null_conversation_or_response_ends_it(native: Module, words: Sequence[str]) -> None:
    """pam_python itself crashes upon either, and with it the login."""
    native.stack()
    with native.service((Info("hello"), *YES)) as service:
        assert native.run(*words, answers=["none"]).code == PamCode.CONV_ERR
    assert service.seen.answers == []


@pytest.mark.parametrize("length", [1, 256])
def test_answers_up_to_the_limit_are_sent(module: Module, length: int) -> None:
    module.stack()
    with module.service(YES) as service:
        assert module.run(answers=["=" + "1" * length]).code == PamCode.SUCCESS
    assert service.seen.answers == [b"1" * length]


@pytest.mark.parametrize("length", [257, 4096])
def test_longer_answers_are_not(module: Module, length: int) -> None:
    module.stack()
    with module.service(YES) as service:
        assert module.run(answers=["=" + "1" * length]).code == PamCode.CONV_ERR
    assert service.seen.answers == []


def test_an_empty_answer_is_the_services_to_judge(module: Module) -> None:
    module.stack()
    with module.service((ASK, Verdict(Said.AUTH_ERR))) as service:
        assert module.run(answers=["="]).code == PamCode.AUTH_ERR
    assert service.seen.answers == [b""]


class TestThePassword:
    """An answer that is the password comes from a program, which gives it to anything that asks."""

    STACK = "auth optional pam_unix.so nodelay\n"

    def run(
        self, module: Module, options: str, acts: Sequence[Act], pin: str
    ) -> tuple[int, list[bytes]]:
        module.stack(options, before=self.STACK)
        with module.service(acts) as service:
            run = module.run(answers=[f"={PASSWORD}", pin])
        return run.code, service.seen.answers

    def test_is_never_sent(self, module: Module, alice: None, log: Authlog) -> None:
        assert self.run(module, "", YES, f"={PASSWORD}") == (PamCode.CONV_ERR, [])
        log.wait_for("ukey-test answers every prompt with the password; use keyboard-interactive")

    def test_nor_a_wrong_one(self, module: Module, alice: None) -> None:
        module.stack(before=self.STACK)
        with module.service(YES) as service:
            assert module.run(answers=["=wrong", "=wrong"]).code == PamCode.CONV_ERR
        assert service.seen.answers == []

    def test_may_be_one_that_is_not_utf8(self, module: Module, alice: None) -> None:
        module.stack("uniform", before=self.STACK)
        with module.service(YES) as service:
            assert module.run(answers=["=na\udcefve", PIN]).code == PamCode.SUCCESS
        assert service.seen.answers == [PIN[1:].encode()]

    def test_in_uniform_it_fails_when_all_else_does(self, module: Module, alice: None) -> None:
        acts = (ASK, Verdict(Said.AUTH_ERR, "Authentication failed."))
        assert self.run(module, "uniform", acts, f"={PASSWORD}") == (PamCode.AUTH_ERR, [b""])

    def test_may_be_shown(self, module: Module, alice: None) -> None:
        acts = (Prompt("Name: ", echo=True), Verdict(Said.SUCCESS))
        sent = [PASSWORD.encode()]
        assert self.run(module, "", acts, f"={PASSWORD}") == (PamCode.SUCCESS, sent)

    def test_a_like_one_is_sent(self, module: Module, alice: None) -> None:
        for pin in (PASSWORD + "1", PASSWORD[:-1], PASSWORD.upper()):
            assert self.run(module, "", YES, f"={pin}") == (PamCode.SUCCESS, [pin.encode()])

    def test_stays_as_it_was(
        self, module: Module, alice: None, tmp_path: Path, built: Path
    ) -> None:
        kept = tmp_path / "kept"
        script = tmp_path / "keep"
        script.write_text(f"#!/bin/sh\ntr -d '\\0' >{kept}\n")
        script.chmod(0o755)
        after = f"auth required pam_exec.so expose_authtok quiet {script}\n"
        module.stack(before=self.STACK, after=after)
        with module.service(YES):
            assert module.run(answers=[f"={PASSWORD}", PIN]).code == PamCode.SUCCESS
        assert kept.read_text() == PASSWORD
