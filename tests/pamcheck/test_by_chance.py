# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""For stacks made by chance, pam check never says "in" of people whom the real libpam, with this
host's real modules, keeps out, nor "out" of people whom it lets in. It may say that it depends, or
is not known."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import syslog
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection, wait
from pathlib import Path

import pytest

from tests.pamcheck import chance
from tests.pamcheck.chance import ELSEWHERE, Files, service_of
from tests.pamcheck.test_copies import NoOther
from tests.pamcheck.test_real_modules import FOLDER
from tests.support import CHECKOUT
from tests.support.process import must, run
from tests.support.restore import Restorer
from tools.pamcheck import evaluation, libpam, stack
from tools.pamcheck.copy import Copy
from tools.pamcheck.libpam import Ran, Row
from tools.pamcheck.lines import parse
from tools.pamcheck.modules import meant, ukey_options
from tools.pamcheck.table import Verdict
from tools.pamcheck.world import UKEY_CODES, Password, Ukey

pytestmark = pytest.mark.slow

RIGHT, WRONG = "right", "wrong"
#: Somebody ordinary, whom no line names; and others, by what useradd is told of them.
USER, UID = "bychance", 1777
MEMBER, SYSTEM, ROOT = "bygroup", "bysystem", "root"
_ACCOUNTS = {
    USER: ("--shell=/bin/bash", f"--uid={UID}"),
    MEMBER: ("--shell=/bin/false", "--uid=70001", "--gid=4", "--groups=wheel,ukey-breakglass"),
    SYSTEM: ("--shell=/usr/sbin/nologin", "--uid=500", "--groups=wheel"),
}
#: The files that useradd changes.
_DATABASES = [
    Path("/etc", name) for name in ("passwd", "shadow", "group", "gshadow", "subuid", "subgid")
]
#: Of RIGHT, and quickly made.
HASH = "$1$bychance$PhLjoW58pl1aCeq1dCyGc/"
STACKS, STACKS_SOAK = 300, 1_000_000
SEED = 20261201  # fixed: a test that fails on one run in a hundred refuses somebody else's change
AT_ONCE = 100
_SURE = (Verdict.IN, Verdict.OUT)
#: The codes that pam_ukey is assumed to return for each state of a ukey: every fault of it is
#: tried.
STATES = [(state, code) for state, codes in UKEY_CODES.items() for code in codes]

Logins = Callable[[Sequence[str]], list[int]]


@pytest.fixture(scope="module")
def logins(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Logins]:
    """What libpam says of logins, written as stacks.c has them, by somebody ordinary."""
    program = tmp_path_factory.mktemp("stacks") / "stacks"
    source = CHECKOUT / "tests/pamcheck/stacks.c"
    compiler = ["cc", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror"]
    must([*compiler, "-o", program, source, "-lpam", "-ldl"], seconds=120)
    before = Restorer()
    for path in (FOLDER / "pam_ukey.so", *_DATABASES):
        before.announce(path)
    for group in ("wheel", "ukey-breakglass"):
        run(["groupadd", group])
    for name, account in _ACCOUNTS.items():
        must(["useradd", *account, "--password", HASH, name])
    must(["usermod", "--password", HASH, ROOT])
    _modules()

    def said(lines: Sequence[str]) -> list[int]:
        output = must([program, FOLDER], input="".join(lines), seconds=300)
        return [int(line) for line in output.splitlines()]

    yield said
    before.restore()
    shutil.rmtree(ELSEWHERE)


def _modules() -> None:
    """A pam_ukey.so that returns what it is told, and somebody's own modules, which let in."""
    shutil.copy(FOLDER / "pam_debug.so", FOLDER / "pam_ukey.so")
    Path(ELSEWHERE).mkdir(parents=True)
    for name in ("ukey", "unix", "deny", "succeed_if", "exec"):
        shutil.copy(FOLDER / "pam_permit.so", f"{ELSEWHERE}/pam_{name}.so")


@dataclass(frozen=True)
class Login:
    """A stack, and somebody who comes with a password and a ukey."""

    files: Files
    password: Password
    ukey: Ukey
    code: str  #: what pam_ukey then returns; empty: it is missing
    user: str = USER
    caller: int = 0  #: the real uid of the program


def real(files: Files, code: str) -> Files:
    """With words that tell pam_ukey.so what to return."""
    return {
        name: tuple(_with_outcome(line, code) for line in lines) for name, lines in files.items()
    }


def _with_outcome(line: str, code: str) -> str:
    before, found, after = line.partition("pam_ukey.so")
    if not found or before.endswith(f"{ELSEWHERE}/"):
        return line
    if not code:
        return f"{before}pam_missing.so"
    # Behind a zero byte there is nothing; a carriage return is part of the word before it.
    after, comment, _text = after.partition("\0")[0].partition("#")
    rest = after.lstrip("\r")
    words = ukey_options(parse(Path("-"), 1, f"auth required pam_ukey.so {rest}"))
    said = code
    if not all(map(meant, words)):
        said = "service_err"
    elif "decoy" in words or ("uniform" in words and code != "success"):
        said = "auth_err"
    elif "nouserok" in words and code == "user_unknown":
        said = "ignore"
    return f"{before}pam_ukey.so{after[: len(after) - len(rest)]} auth={said} {comment}"


class Compared:
    """pam check's verdicts beside libpam's."""

    def __init__(self, folder: Path, logins: Logins) -> None:
        self._folder, self._logins = folder, logins
        self._places = NoOther()
        self.sure = self.not_sure = self.inside = 0

    def verdict(self, files: Files, password: Password, ukey: Ukey) -> Verdict:
        folder = self._folder / "check"
        folder.mkdir(exist_ok=True)
        chance.write(files, folder)
        service = service_of(files)
        try:
            read = stack.load(self._places, service, folder / service)
            if read.undefined:
                return Verdict.NOT_KNOWN
            return evaluation.evaluate(read, self._places).cells[password, ukey].verdict
        except stack.TooLong:
            return Verdict.NOT_KNOWN

    def lets_in(self, asked: Sequence[Login]) -> list[bool]:
        lines = []
        for number, login in enumerate(asked):
            folder = self._folder / str(number)
            folder.mkdir(exist_ok=True)
            chance.write(real(login.files, login.code), folder)
            password = RIGHT if login.password is Password.RIGHT else WRONG
            who = f"{login.user} {password} {login.caller}"
            lines.append(f"{folder} {service_of(login.files)} {who}\n")
        return [code == 0 for code in self._logins(lines)]

    def wrong(self, asked: Sequence[Login]) -> list[Login]:
        """The verdicts of pam check that are wrong."""
        said = [(each, self.verdict(each.files, each.password, each.ukey)) for each in asked]
        self.not_sure += sum(verdict not in _SURE for _login, verdict in said)
        # With stacks that are not known, such as files that include each other, libpam would take
        # too long.
        sure = [(login, verdict) for login, verdict in said if verdict in _SURE]
        inside = self.lets_in([login for login, _verdict in sure])
        self.sure += len(sure)
        self.inside += sum(inside)
        return [
            login
            for (login, verdict), got_in in zip(sure, inside, strict=True)
            if _denies(login, verdict, got_in=got_in)
        ]

    def shrunk(self, login: Login) -> Login:
        """The smallest that is still wrong: without lines that make no difference."""
        again = True
        while again:
            again = False
            for name, lines in login.files.items():
                for at in range(len(lines)):
                    fewer = {**login.files, name: (*lines[:at], *lines[at + 1 :])}
                    smaller = replace(login, files=fewer)
                    if not again and self.wrong([smaller]):
                        login, again = smaller, True
        return login


def _denies(login: Login, verdict: Verdict, *, got_in: bool) -> bool:
    if got_in:
        return verdict is Verdict.OUT
    # "In" is said of somebody ordinary; and where a password is wrong, or a state has several
    # codes, if one of them lets in.
    if login.user != USER or login.caller not in (0, UID):
        return False
    alone = login.password is Password.RIGHT and len(UKEY_CODES[login.ukey]) == 1
    return alone and verdict is Verdict.IN


def chosen(dice: random.Random) -> Login:
    state, code = dice.choice(STATES)
    files = chance.stack(dice)
    user = dice.choice((USER, USER, USER, MEMBER, SYSTEM, ROOT))
    # Of su's caller "out" is said where it is not root.
    callers = {"su": (UID, 70001, 500), "somelocker": (0, UID)}.get(service_of(files), (0,))
    password = dice.choice((*Password, Password.RIGHT))
    return Login(files, password, state, code, user, dice.choice(callers))


@dataclass(frozen=True)
class Share:
    """Part of the stacks: those that one process compares."""

    seed: int
    stacks: int
    sure: int = 0
    not_sure: int = 0
    inside: int = 0
    wrong: str = ""  #: the first that is, as people read it


def compare(share: Share, folder: Path, logins: Logins) -> Share:
    """Runs until a verdict is wrong. The seed is in the message; the stack there is the smallest
    that shows the same."""
    dice, compared = random.Random(share.seed), Compared(folder, logins)
    wrong: list[Login] = []
    for _batch in range(0, share.stacks, AT_ONCE):
        wrong = compared.wrong([chosen(dice) for _login in range(AT_ONCE)])
        if wrong:
            break
    counted = replace(share, sure=compared.sure, not_sure=compared.not_sure, inside=compared.inside)
    if not wrong:
        return counted
    small = compared.shrunk(wrong[0])
    verdict = compared.verdict(small.files, small.password, small.ukey)
    said = f"pam_ukey returns {small.code}" if small.code else "pam_ukey is missing"
    text = (
        f"seed {share.seed}: pam check says {verdict}, libpam does otherwise: password "
        f"{small.password}, {said}, user {small.user}, called by {small.caller}\n"
        f"{chance.shown(small.files)}"
    )
    return replace(counted, wrong=text)


# -- a million of them


class Directly:
    """libpam on copies in this process. The child that otherwise runs it takes as long to begin as
    it then runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()

    def run(self, copy: Copy, rows: Sequence[Row], seconds: float) -> list[Ran]:
        for name in set(os.listdir(self._folder)) - copy.files.keys():  # noqa: PTH208
            (self._folder / name).unlink()  # this copy includes nothing of it
        reading, writing = os.pipe()
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 1 << 20)
        with os.fdopen(reading, "rb") as answers:
            with os.fdopen(writing, "wb", buffering=0):
                assert libpam._Child(copy, self._folder, writing).work(rows) == 0
            made = [[int(word) for word in line.split()] for line in answers]
        assert len(made) == len(rows)
        return [Ran(code, setcred, tuple(trace)) for code, setcred, *trace in made]


def _in_a_process(share: Share, folder: Path, logins: Logins, answer: Connection) -> None:
    syslog.setlogmask(syslog.LOG_MASK(syslog.LOG_EMERG))
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(libpam, "run", Directly(folder / "copies").run)
        answer.send(compare(share, folder, logins))


def _side_by_side(seed: int, folder: Path, logins: Logins) -> list[Share]:
    count = os.cpu_count() or 1
    shares: list[Share] = []
    with ExitStack() as processes:
        answers: list[Connection] = []
        for number in range(count):
            ours, theirs = Pipe(duplex=False)
            share = Share(seed + number, STACKS_SOAK // count)
            arguments = (share, folder / f"process{number}", logins, theirs)
            process = Process(target=_in_a_process, args=arguments)
            process.start()
            processes.callback(process.kill)
            theirs.close()
            answers.append(ours)
        # If one process has found a fault, the others need not go on to the end.
        while len(shares) < count and not any(share.wrong for share in shares):
            for ready in wait(answers):
                assert isinstance(ready, Connection)
                shares.append(ready.recv())
                answers.remove(ready)
    return shares


def test_no_verdict_is_wrong(
    tmp_path: Path, logins: Logins, soak: bool, record_property: Callable[[str, object], None]
) -> None:
    """With the same 300 stacks each time; in soak with a million new ones."""
    seed, started = random.SystemRandom().randrange(1 << 32) if soak else SEED, time.monotonic()
    print(f"seed {seed}")
    if soak:
        shares = _side_by_side(seed, tmp_path, logins)
    else:
        shares = [compare(Share(seed, STACKS), tmp_path, logins)]
    count, seconds = sum(share.stacks for share in shares), time.monotonic() - started
    record_property("figure", f"{count} stacks by chance: {seconds:.0f} s, seed {seed}")
    for share in shares:
        if share.wrong:
            pytest.fail(share.wrong, pytrace=False)
    # The run was worth it: most verdicts say something, and many people got in.
    assert sum(share.sure for share in shares) > sum(share.not_sure for share in shares)
    assert sum(share.inside for share in shares) > count / 50
