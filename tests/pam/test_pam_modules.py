# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The behaviour of both modules, row by row, in the real libpam against a scripted keyservice."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from keyservice.contract import operations
from keyservice.contract.names import Code as Said
from keyservice.contract.names import ErrorName, Flag, WaitFor
from keyservice.contract.pam import PamCode
from keyservice.contract.steps import Error, Info, Prompt, Verdict, Wait
from tests.pam.conftest import whole
from tests.pam.modules import ASK, PIN, YES, Module
from tests.pam.scripted import Act, HangUp, NewVerdict, Raw, Refuse, Silence
from tests.support.authlog import Authlog

#: A stack that shows IGNORE as this.
IGNORED = PamCode.CRED_INSUFFICIENT

MEANING = {
    Said.SUCCESS: PamCode.SUCCESS,
    Said.AUTH_ERR: PamCode.AUTH_ERR,
    Said.AUTHINFO_UNAVAIL: PamCode.AUTHINFO_UNAVAIL,
    Said.USER_UNKNOWN: PamCode.USER_UNKNOWN,
    Said.MAXTRIES: PamCode.MAXTRIES,
    Said.PERM_DENIED: PamCode.PERM_DENIED,
    Said.CONV_ERR: PamCode.CONV_ERR,
    Said.BUF_ERR: PamCode.BUF_ERR,
    Said.SERVICE_ERR: PamCode.SERVICE_ERR,
    Said.IGNORE: PamCode.SERVICE_ERR,
}

#: The codes of refusals; all others are SERVICE_ERR.
REFUSALS = {
    ErrorName.NOT_ALLOWED: PamCode.PERM_DENIED,
    ErrorName.BUSY: PamCode.AUTHINFO_UNAVAIL,
    ErrorName.DEADLINE_PASSED: PamCode.AUTHINFO_UNAVAIL,
}

#: The acts that cut a session short, and the code outside `uniform`.
TROUBLE: dict[str, tuple[Sequence[Act], PamCode]] = {
    "no prompt, refused": ((Refuse(ErrorName.BAD_REQUEST, "no"),), PamCode.SERVICE_ERR),
    "not allowed": ((Refuse(ErrorName.NOT_ALLOWED, "no"),), PamCode.PERM_DENIED),
    "busy": ((Refuse(ErrorName.BUSY, "no"),), PamCode.AUTHINFO_UNAVAIL),
    "new verdict": ((ASK, NewVerdict("BETTER")), PamCode.SERVICE_ERR),
    "empty verdict": ((ASK, NewVerdict("")), PamCode.SERVICE_ERR),
    "garbage first": ((Raw(b"\xff" * 64),), PamCode.SERVICE_ERR),
    "garbage after the answer": ((ASK, Raw(b"\0" * 64)), PamCode.SERVICE_ERR),
    "hung up first": ((HangUp(),), PamCode.AUTHINFO_UNAVAIL),
    "hung up after the answer": ((ASK, HangUp()), PamCode.AUTHINFO_UNAVAIL),
    "a long text": ((Info("x" * 1025),), PamCode.SERVICE_ERR),
}
OPTIONS = ("timeout=1", "timeout=1 uniform", "timeout=1 decoy")


@pytest.mark.smoke
@pytest.mark.parametrize("said", MEANING)
def test_a_verdict_is_its_code(module: Module, said: Said) -> None:
    module.stack()
    with module.service((ASK, Verdict(said, "that is all"))) as service:
        run = module.run(answers=[PIN])
    assert run.code == MEANING[said]
    assert service.seen.answers == [b"314159"]
    last = "info" if said in (Said.SUCCESS, Said.IGNORE) else "error"
    assert run.shown == [("hidden", "PIN: "), (last, "that is all")]


@pytest.mark.parametrize("said", MEANING)
def test_uniform_knows_one_failure(module: Module, said: Said) -> None:
    module.stack("uniform")
    with module.service((ASK, Verdict(said))) as service:
        run = module.run(answers=[PIN])
    assert run.code == (PamCode.SUCCESS if said is Said.SUCCESS else PamCode.AUTH_ERR)
    assert service.seen.begun[0][1]["flags"] == Flag.UNIFORM


def test_a_decoy_never_lets_in(module: Module) -> None:
    module.stack("decoy")
    with module.service(YES) as service:
        assert module.run(answers=[PIN]).code == PamCode.AUTH_ERR
    assert service.seen.begun[0][1]["flags"] == Flag.UNIFORM | Flag.DECOY


def test_ignore_takes_the_option_and_the_verdict(module: Module) -> None:
    module.stack("nouserok")
    with module.service((Verdict(Said.IGNORE),)) as service:
        run = module.run()
    assert run.code == IGNORED
    assert service.seen.begun[0][1]["flags"] == Flag.NOUSEROK
    for acts in ((Verdict(Said.USER_UNKNOWN),), (HangUp(),), (Silence(),), (Raw(b"x" * 9),)):
        module.stack("nouserok timeout=1")
        with module.service(acts):
            assert module.run().code not in (IGNORED, PamCode.SUCCESS)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("trouble", TROUBLE)
def test_trouble_lets_nobody_in(module: Module, trouble: str, options: str) -> None:
    acts, code = TROUBLE[trouble]
    module.stack(options)
    with module.service(acts):
        began = time.monotonic()
        run = module.run(answers=[PIN])
        took = time.monotonic() - began
    assert run.code == (code if options == "timeout=1" else PamCode.AUTH_ERR)
    assert took < 3


@pytest.mark.parametrize("acts", [(Silence(),), (ASK, Silence())], ids=["first", "later"])
def test_silence_lets_nobody_in(module: Module, acts: Sequence[Act]) -> None:
    """Side by side, since each waits for its deadline."""

    def run(options: str) -> tuple[int, float]:
        mine = replace(module, folder=module.folder / options.replace(" ", "-"))
        mine.folder.mkdir()
        mine.stack(options)
        began = time.monotonic()
        return mine.run(answers=[PIN]).code, time.monotonic() - began

    with module.service(acts), ThreadPoolExecutor() as pool:
        codes, took = zip(*pool.map(run, OPTIONS), strict=True)
    assert codes == (PamCode.AUTHINFO_UNAVAIL, PamCode.AUTH_ERR, PamCode.AUTH_ERR)
    assert min(took) > 0.9 and max(took) < 5


@pytest.mark.parametrize("name", ErrorName)
def test_every_refusal_is_a_code(module: Module, name: ErrorName) -> None:
    module.stack()
    with module.service((Refuse(name, "no"),)):
        run = module.run()
    assert run.code == REFUSALS.get(name, PamCode.SERVICE_ERR)
    assert run.shown == [("error", "no")]


def test_a_service_that_dies_is_noticed_at_once(module: Module) -> None:
    module.stack()
    for acts in ((HangUp(),), (ASK, HangUp())):
        with module.service(acts):
            began = time.monotonic()
            assert module.run(answers=[PIN]).code == PamCode.AUTHINFO_UNAVAIL
            assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("options", "code"), [("", PamCode.AUTHINFO_UNAVAIL), ("uniform", PamCode.AUTH_ERR)]
)
def test_without_the_service(module: Module, log: Authlog, options: str, code: PamCode) -> None:
    module.stack(options)
    run = module.run()
    assert (run.code, run.shown) == (code, [])
    log.wait_for(r"pam_ukey\(.*(cannot reach the keyservice|not on the bus|the bus said)")


def test_a_service_that_is_not_roots_is_told_nothing(module: Module) -> None:
    module.stack()
    with module.service(YES, uid=65534) as service:
        run = module.run(answers=[PIN])
    assert (run.code, run.shown) == (PamCode.AUTHINFO_UNAVAIL, [])
    assert (service.seen.begun, service.seen.answers) == ([], [])


def test_an_answer_after_the_deadline_is_not_sent(module: Module) -> None:
    module.stack("timeout=1")
    with module.service(YES) as service:
        run = module.run(answers=["sleep=1100=314159"])
    assert run.code == PamCode.AUTHINFO_UNAVAIL
    assert service.seen.answers == []


def test_signals_of_the_application_change_nothing(module: Module) -> None:
    module.stack("timeout=1")
    with module.service((ASK, Silence())):
        began = time.monotonic()
        run = module.run("disturbed", "authenticate", answers=[PIN])
        assert 0.9 < time.monotonic() - began < 3
    assert run.code == PamCode.AUTHINFO_UNAVAIL


@pytest.mark.parametrize(("options", "verdict"), [("", Said.SUCCESS), ("nouserok", Said.IGNORE)])
def test_a_user_who_changes_is_not_let_in(module: Module, options: str, verdict: Said) -> None:
    module.stack(options)
    with module.service((ASK, Verdict(verdict))):
        assert module.run(answers=["user=root=314159"]).code == PamCode.SERVICE_ERR


def test_everything_is_shown_in_order(module: Module) -> None:
    module.stack()
    acts = (
        Info("Insert your ukey."),
        Wait("Waiting for it.", WaitFor.UKEY),
        Error("请输入\nPIN。"),
        Prompt("Container: ", echo=True),
        ASK,
        Info(""),
        Verdict(Said.SUCCESS, ""),
    )
    with module.service(acts) as service:
        run = module.run(answers=["=C1", PIN])
    assert run.shown == [
        ("info", "Insert your ukey."),
        ("info", "Waiting for it."),
        ("error", "请输入\\nPIN。"),
        ("shown", "Container: "),
        ("hidden", "PIN: "),
    ]
    assert (run.code, service.seen.answers) == (PamCode.SUCCESS, [b"C1", b"314159"])


def test_silent_drops_all_but_prompts(module: Module) -> None:
    module.stack()
    acts = (Info("a"), Error("b"), Wait("c", WaitFor.TURN), ASK, Verdict(Said.MAXTRIES, "d"))
    with module.service(acts) as service:
        run = module.run("silent", "authenticate", answers=[PIN])
    assert (run.code, run.shown) == (PamCode.MAXTRIES, [("hidden", "PIN: ")])
    assert service.seen.begun[0][1]["flags"] == Flag.SILENT


def test_the_service_learns_what_libpam_knows(module: Module) -> None:
    module.stack("timeout=300 debug")
    words = ("tty=/dev/tty7", "rhost=h.example", "env=LANG=zh_CN.UTF-8", "authenticate")
    with module.service(YES) as service:
        run = module.run(*words, answers=[PIN], user="älice", env={"LC_ALL": "C.UTF-8"})
    assert run.code == PamCode.SUCCESS
    ((operation, fields),) = service.seen.begun
    assert operation is operations.AUTHENTICATION
    assert {name: value for name, value in fields.items() if name != "auth_info"} == {
        "user": "älice",
        "service": "ukey-test",
        "tty": "/dev/tty7",
        "rhost": "h.example",
        "lang": "zh_CN.UTF-8",
        "flags": 0,
        "timeout": 300,
    }
    assert not fields.get("auth_info")  # sshd's alone (test_pam_ssh_key)


@pytest.mark.parametrize(
    ("env", "lang"),
    [
        ({"LC_ALL": "zh_CN.UTF-8", "LANG": "en_GB"}, "zh_CN.UTF-8"),
        ({"LC_ALL": "", "LC_MESSAGES": "de_DE@euro"}, "de_DE@euro"),
        ({"LC_ALL": "../../evil", "LANG": "zh_CN"}, "zh_CN"),
        ({"LANG": "x" * 33}, ""),
        ({"LANG": "zh\ud800"}, ""),
        ({}, ""),
    ],
)
def test_a_language_is_a_wish_and_plain(module: Module, env: dict[str, str], lang: str) -> None:
    module.stack()
    with module.service(YES) as service:
        module.run(answers=[PIN], env={k: v.replace("\ud800", "\udc80") for k, v in env.items()})
    assert service.seen.begun[0][1]["lang"] == lang


@pytest.mark.parametrize(
    "options",
    [
        "nouserOK",
        "timeout",
        "timeout=",
        "timeout=0",
        "timeout=301",
        "timeout=99999999999999999999",
        "timeout=-1",
        "timeout=+5",
        "timeout=5s",
        "uniform nouserok",
        "nouserok decoy",
        "sufficient",
        "debug=1",
    ],
)
def test_an_option_that_cannot_be_meant_lets_nobody_in(
    module: Module, options: str, log: Authlog
) -> None:
    module.stack(options)
    with module.service(YES) as service:
        run = module.run("authenticate", "chauthtok", answers=[PIN])
    assert run.codes == {"authenticate": PamCode.SERVICE_ERR, "chauthtok": PamCode.SERVICE_ERR}
    assert service.seen.begun == []
    log.wait_for("nobody is let in")


def test_the_other_calls_ask_nobody(module: Module) -> None:
    module.stack()
    calls = ("account", "open", "close", "chauthtok")
    run = module.run("setcred", *calls)
    assert run.codes == {"setcred": PamCode.SUCCESS, **dict.fromkeys(calls, IGNORED)}


class TestChangingThePin:
    ACTS = (ASK, Prompt("New PIN: "), Prompt("Again: "), Verdict(Said.SUCCESS, "Changed."))

    def test_is_a_session(self, module: Module) -> None:
        module.stack("change_pin")
        with module.service(self.ACTS) as service:
            run = module.run("chauthtok", answers=[PIN, "=271828", "=271828"])
        assert run.codes == {"chauthtok": PamCode.SUCCESS}
        assert service.seen.begun[0][0] is operations.CHANGE_PIN
        assert service.seen.begun[0][1]["user"] == "alice"
        assert service.seen.begun[0][1]["flags"] == Flag.PASSWORD
        assert len(service.seen.begun) == 1  # though libpam calls twice
        assert service.seen.answers == [b"314159", b"271828", b"271828"]

    def test_is_not_begun_without_the_service(self, module: Module) -> None:
        module.stack("change_pin")
        run = module.run("chauthtok")
        assert (run.codes, run.shown) == ({"chauthtok": PamCode.AUTHINFO_UNAVAIL}, [])

    def test_is_over_before_any_module_writes(self, module: Module, tmp_path: Path) -> None:
        """pam_exec runs in the second pass only, like every module that writes."""
        wrote = tmp_path / "wrote"
        line = f"password required pam_exec.so quiet /usr/bin/touch {wrote}\n"
        module.stack("change_pin", first=line)
        for code, there in ((Said.AUTH_ERR, False), (Said.SUCCESS, True)):
            with module.service((ASK, Verdict(code))):
                run = module.run("chauthtok", answers=[PIN])
            assert (run.codes["chauthtok"], wrote.exists()) == (MEANING[code], there)

    @pytest.mark.parametrize("options", ["", " nouserok"])
    def test_is_passed_over_where_the_service_says_so(self, module: Module, options: str) -> None:
        module.stack("change_pin" + options)
        with module.service((Verdict(Said.IGNORE),)) as service:
            assert module.run("chauthtok").codes == {"chauthtok": IGNORED}
        asked = Flag.PASSWORD | (Flag.NOUSEROK if options else Flag(0))
        assert service.seen.begun[0][1]["flags"] == asked

    def test_fails_as_the_service_says(self, module: Module) -> None:
        module.stack("change_pin")
        with module.service((ASK, Verdict(Said.MAXTRIES))):
            assert module.run("chauthtok", answers=[PIN]).codes == {"chauthtok": PamCode.MAXTRIES}

    @pytest.mark.parametrize("secret", ["old secret", "new secret"])
    def test_keeps_both_passwords(self, module: Module, secret: str) -> None:
        module.stack("change_pin", old=True)
        with module.service(self.ACTS) as service:
            run = module.run("chauthtok", answers=[f"={secret}"])
        assert (run.codes, service.seen.answers) == ({"chauthtok": PamCode.CONV_ERR}, [])

    def test_is_not_asked_for_because_a_password_has_aged(self, module: Module) -> None:
        module.stack("change_pin")
        with module.service(self.ACTS) as service:
            assert module.run("expired").codes == {"expired": IGNORED}
        assert service.seen.begun == []


def test_nothing_stays_behind(module: Module) -> None:
    module.stack()
    with module.service(YES) as service:
        words = ("authenticate", "setcred", "again", "authenticate", "again", "authenticate")
        run = module.run(*words, answers=[PIN] * 3)
    assert (run.codes, run.left) == ({"authenticate": 0, "setcred": 0}, 0)
    assert (run.sigint, run.inherited) == ("kept", 0)
    assert len(service.seen.answers) == 3


def test_a_locker_asks_as_its_user(module: Module, alice: None) -> None:
    module.stack()
    module.folder.chmod(0o755)
    with module.service(YES) as service:
        run = module.run(answers=[PIN], prefix=["setpriv", "--reuid=alice", "--clear-groups"])
    assert (run.code, service.seen.answers) == (PamCode.SUCCESS, [b"314159"])


def test_the_log_never_has_an_answer(module: Module, log: Authlog) -> None:
    module.stack("debug timeout=1")
    for acts in (YES, (ASK, HangUp()), (ASK, Raw(b"x" * 20)), (ASK, Silence())):
        with module.service(acts):
            module.run(answers=["=canary-7391"])
    with module.service((ASK, ASK)):
        module.run(answers=["=canary-7391", "=canary-7391" + "1" * 300])
    lines = whole(log)
    assert "pam_ukey" in lines and "step" in lines
    assert "canary-7391" not in lines
