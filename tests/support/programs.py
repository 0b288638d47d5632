# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The real su, login and ssh, each a conversation with a person, and its result."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from keyservice.contract.pam import PamCode

from .authlog import Authlog
from .people import User
from .process import HostError
from .stacks import STRERROR
from .terminal import Answers, Terminal

NOBODY = 65534
#: The command that a person who was let in runs.
WHO = 'echo "in:$(id -un)"'
#: A program logs why before it ends; the line may be read a little later.
LOG_SECONDS = 30

_REASON = "(" + "|".join(map(re.escape, STRERROR)) + ")"
_SU = re.compile(rf"su: {_REASON}")
_LOGIN = re.compile(rf"FAILED LOGIN.*, {_REASON}|TOO MANY LOGIN TRIES")
_SSHD = re.compile(rf"error: PAM: {_REASON} for ")
#: sshd's last line of a login that failed: no reason comes after it, and often none before.
#: A login that succeeded is ended by another process than the one that began it, without this line.
_SSHD_END = r"(Connection (closed|reset) by|Disconnect(ed|ing)) .*\[preauth\]"
_SSHD_NAME = r"^sshd(?:-session)?"  # of OpenSSH 9.2, and of 9.8 and later
_SSHD_PID = re.compile(rf"{_SSHD_NAME}\[(\d+)\]: ")
#: ssh puts the host before each prompt of the host's: (user@host)
_SSH_PREFIX = re.compile(r"^\(\S+@\S+\) ")


@dataclass(frozen=True)
class Outcome:
    """What a person got: `code` is the PAM code that the program reported, SUCCESS if let in.

    None where it reported none, as sshd if it never asked PAM.
    """

    allowed: bool
    code: PamCode | None
    prompts: list[str]
    screen: str


class Programs:
    """Each method starts the program, answers its hidden prompts in turn, and waits for its end."""

    def __init__(self, log: Authlog) -> None:
        self._log = log

    def su(
        self, terminal: Terminal, user: User, answers: Answers, *, by: int, seconds: float
    ) -> Outcome:
        """`by`: the uid whose shell su is typed in."""
        shell = ["setpriv", "--reuid", str(by), "--regid", str(by), "--clear-groups"]
        terminal.start([*shell, "su", user.name, "-c", WHO])
        prompts = terminal.converse(answers, seconds=seconds)
        return _outcome(terminal, user, prompts, _SU.search(terminal.screen))

    def login(self, terminal: Terminal, user: User, answers: Answers, *, seconds: float) -> Outcome:
        """As getty starts it when the name was typed. One try: a failure is the end."""
        since = len(self._log.lines)
        terminal.start(["/bin/login", "--", user.name])
        over = re.compile(r"Login incorrect|\nin:")
        prompts = terminal.converse(answers, seconds=seconds, over=over)
        outcome = _outcome(terminal, user, prompts, self._reason(terminal, user, _LOGIN, since))
        terminal.finish()
        return outcome

    def ssh(
        self,
        terminal: Terminal,
        user: User,
        answers: Answers,
        *,
        address: str,
        command: str = WHO,
        prefix: Sequence[str] = (),
        options: Sequence[str] = (),
        seconds: float,
    ) -> Outcome:
        """`prefix`: a command that runs the client elsewhere; `options`: more of ssh's."""
        self._log.catch_up()
        since = len(self._log.lines)
        ssh = ["ssh", "-F", "none", "-o", "StrictHostKeyChecking=no"]
        ssh += ["-o", "UserKnownHostsFile=/dev/null", "-o", "NumberOfPasswordPrompts=1"]
        # ssh takes the first of each, so `options` win.
        methods = ["-o", "PreferredAuthentications=keyboard-interactive"]
        terminal.start([*prefix, *ssh, *options, *methods, f"{user.name}@{address}", command])
        prompts = terminal.converse(answers, seconds=seconds)
        shown = [_SSH_PREFIX.sub("", prompt) for prompt in prompts]
        # An earlier connection may be at its last line only now.
        matches = (_SSHD_PID.match(line.text) for line in self._log.lines[:since])
        earlier = [found[1] for found in matches if found]
        own = rf"{_SSHD_NAME}\[(?!({'|'.join(earlier)})\])\d+\]: "
        until = f"{own}({_SSHD.pattern}|{_SSHD_END})"
        return _outcome(terminal, user, shown, self._reason(terminal, user, _SSHD, since, until))

    def _reason(
        self,
        terminal: Terminal,
        user: User,
        pattern: re.Pattern[str],
        since: int,
        until: str | None = None,
    ) -> re.Match[str] | None:
        """The log line, from index `since` on, in which the program says why it refused.

        `until`: a pattern of the first line that is this line, or after which it does not come.
        """
        if _let_in(terminal, user):
            return None
        try:
            line = self._log.wait_for(until or pattern.pattern, since, LOG_SECONDS)
        except HostError:
            return None
        return pattern.search(line.text)


def _let_in(terminal: Terminal, user: User) -> bool:
    return f"in:{user.name}" in terminal.screen


def _outcome(
    terminal: Terminal, user: User, prompts: list[str], reason: re.Match[str] | None
) -> Outcome:
    allowed = _let_in(terminal, user)
    code = PamCode.SUCCESS if allowed else None
    if not allowed and reason is not None:
        # login has a text of its own for this one
        code = STRERROR[reason[1]] if reason[1] else PamCode.MAXTRIES
    return Outcome(allowed, code, prompts, terminal.screen)
