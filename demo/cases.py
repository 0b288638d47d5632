# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The logins that are shown, one after the other, each on the real program."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from demo import screen
from demo.stage import LOG, PASSWORD, PATIENCE, PIN, Stage
from demo.words import said
from keyservice.contract.names import Code
from tests.support.process import must, wait_until

SU = "su demo -c 'echo This is a shell of $(id -un).'"
SSH = "ssh demo@localhost 'echo This is a shell of $(id -un).'"
WRONG_PIN = "000000"
SIGN = 0x74  #: the instruction at which the ukey is pulled out: ECCSignData
LOG_DEADLINE = 30  #: seconds until a line of the log must be there
_VERDICT = re.compile(r"\bevent=authentication\b.*\bverdict=(\w+)")


def nothing(_: Stage) -> None:
    """Before most cases."""


@dataclass(frozen=True, slots=True)
class Case:
    """`answers`: (what the person types, what that is called)."""

    name: str
    story: str
    command: str
    answers: tuple[tuple[str, str], ...]
    expected: Code
    before: Callable[[Stage], None] = nothing
    after: Callable[[Stage], None] = nothing


def pull_out(stage: Stage) -> None:
    """Until the keyservice knows: pcscd looks at its readers every 0.4 s."""
    stage.ukey.remove()
    wait_until(lambda: stage.ukey.serial not in must(["ukey", "list"]), "the removal seen")


def put_back(stage: Stage) -> None:
    stage.ukey.insert()


def pull_at_signature(stage: Stage) -> None:
    stage.ukey.control.misbehave(pull="before", ins=(SIGN,))


def mend(stage: Stage) -> None:
    stage.ukey.control.behave()
    stage.ukey.insert()


_PASSWORD, _PIN = (PASSWORD, "the password"), (PIN, "the PIN")

CASES = (
    Case(
        "right-su",
        "visitor becomes demo on the console: demo's password, then the PIN of demo's ukey.",
        SU,
        (_PASSWORD, _PIN),
        Code.SUCCESS,
    ),
    Case(
        "right-ssh",
        "The same by ssh. Logins from afar are refused unless the host allows them; this one does.",
        SSH,
        (_PASSWORD, _PIN),
        Code.SUCCESS,
    ),
    Case(
        "wrong-pin",
        "The password is right and the PIN is wrong: refused, and one of the ukey's tries is gone.",
        SU,
        (_PASSWORD, (WRONG_PIN, "a wrong PIN")),
        Code.AUTH_ERR,
    ),
    Case(
        "missing-ukey",
        "The ukey is not in the reader. It is waited for ({seconds} s here); no PIN is asked.",
        SU,
        (_PASSWORD,),
        Code.AUTHINFO_UNAVAIL,
        before=pull_out,
        after=put_back,
    ),
    Case(
        "pulled-out",
        "Password and PIN are right, and the ukey is pulled out while it signs.",
        SU,
        (_PASSWORD, _PIN),
        Code.AUTHINFO_UNAVAIL,
        before=pull_at_signature,
        after=mend,
    ),
)


class _Typed:
    """What is typed on the console without being shown, and when."""

    def __init__(self, stage: Stage) -> None:
        self._console = stage.console
        self._places = list[tuple[int, str]]()
        self.last_key = 0.0

    def __call__(self, text: str, name: str) -> Callable[[], str]:
        """An answer for ``Terminal.converse``: typed when the prompt stands."""

        def type_it() -> str:
            dots = screen.styled(f"{'•' * len(text)}    ← {said(name)}", "2")
            self._places.append((len(self._console.screen), dots))
            self.last_key = time.monotonic()
            return text

        return type_it

    def shown(self) -> str:
        """The console's screen, with dots for what was typed."""
        out = self._console.screen
        for place, dots in reversed(self._places):
            out = out[:place] + dots + out[place:]
        return out


def enrol(stage: Stage) -> None:
    """Bind the ukey to demo, by the real tool."""
    screen.heading(said("Enrolling"))
    story = "An administrator binds the ukey to demo. It is asked for its PIN and a signature."
    screen.tell(said(story))
    command, typed = "getpubkey demo", _Typed(stage)
    stage.console.start(command.split(), env={"LANG": stage.locale})
    stage.console.converse([typed(*_PIN)])
    screen.show(command, typed.shown())


def show_all(stage: Stage) -> bool:
    """Run every case; whether each came out as it should."""
    screen.heading(said("Logins"))
    screen.tell(
        said(
            "Each is a real program with real libpam. What was typed is shown as dots. The line"
            " below it has the verdict of the audit log, and the milliseconds to it from the last"
            " key."
        )
    )
    with ThreadPoolExecutor(1, "verdict") as watcher:
        outcomes = [_show(stage, case, watcher) for case in CASES]
    return all(outcomes)


def _show(stage: Stage, case: Case, watcher: ThreadPoolExecutor) -> bool:
    print()
    screen.tell(said(case.story, seconds=PATIENCE))
    case.before(stage)
    try:
        shown, verdict, milliseconds = _run(stage, case, watcher)
    finally:
        case.after(stage)
    screen.show(case.command, shown)
    as_expected = verdict == case.expected
    screen.result(case.name, verdict, milliseconds, as_expected)
    if not as_expected:
        screen.show(f"tail {LOG}  # verdict={case.expected} was expected", stage.log.text[-2000:])
    return as_expected


def _run(stage: Stage, case: Case, watcher: ThreadPoolExecutor) -> tuple[str, str, int]:
    """What the person saw, the verdict, and the milliseconds to it from the last key."""
    typed = _Typed(stage)
    seen = watcher.submit(_verdict, stage, len(stage.log.lines))
    who = ["setpriv", f"--reuid={stage.visitor.uid}", f"--regid={stage.visitor.gid}"]
    stage.console.start(
        [*who, "--clear-groups", "--", *shlex.split(case.command)],
        env={"HOME": str(stage.visitor.home), "LANG": stage.locale},
    )
    stage.console.converse([typed(*answer) for answer in case.answers])
    verdict, at = seen.result()
    return typed.shown(), verdict, round((at - typed.last_key) * 1000)


def _verdict(stage: Stage, since: int) -> tuple[str, float]:
    """The verdict of the next attempt's audit line, and when it was there."""
    line = stage.log.wait_for(_VERDICT.pattern, since, seconds=LOG_DEADLINE)
    found = _VERDICT.search(line.text)
    assert found
    return found[1], time.monotonic()
