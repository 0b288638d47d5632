# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey pam try USER --service SERVICE``: try a login before it is needed."""

from __future__ import annotations

import argparse
import pwd
import re
from collections.abc import Sequence
from datetime import datetime

from keyservice.contract.names import ANSWER_MAX, ErrorName
from tools import output
from tools.command import Failure, need_root
from tools.exits import Exit
from tools.language import N_, _, terminal_name
from tools.manual import Manual
from tools.output import Colour, Value
from tools.parser import Parser, name
from tools.terminal import Terminal
from tools.trylogin.codes import meaning_of, name_of
from tools.trylogin.stack import outlook

#: Seconds for the whole of it, the person's thinking included, and at most.
_TIMEOUT, _TIMEOUT_MAX = 120, 3600
#: The names that libpam takes for a service, except those that would lead out of its folder.
_SERVICE = re.compile(r"[a-z0-9_][a-z0-9._+@-]{0,63}")
#: What sshd says of every login: its terminal is no device, and a host is always named.
_SSHD_TTY, _LOOPBACK = "ssh", "127.0.0.1"

MANUAL = Manual(
    summary=N_("Try a login by the real stack, before the last root shell is closed."),
    about=N_(
        "Runs the stack of /etc/pam.d/SERVICE as it is, with its questions on this terminal, and "
        "says how it ends: pam_authenticate, pam_acct_mgmt and pam_setcred, as a login program "
        "calls them. No session is opened.\n\n"
        "It is a real try: a wrong password counts for faillock, a wrong PIN costs the ukey a "
        "try.\n\n"
        "The keyservice judges whether it is local by what it can see, as at every login: by the "
        "login session that this shell is in, else by PAM_TTY; with --rhost it is remote. What "
        "sshd itself decides, and what a session module does, is not tried: docs/pam-try.md."
    ),
    section=8,
    examples=(
        ("ukey pam try alice --service login --tty tty1", N_("at the console")),
        ("ukey pam try alice --service sshd --rhost 192.0.2.7", N_("from afar, by ssh")),
        ("ukey pam try alice --service su --ruser bob", N_("as bob's 'su alice' would")),
    ),
    json_keys=(
        ("text", N_("what came of it, for people")),
        ("code", N_("the name of the PAM code that decided, such as AUTH_ERR")),
        ("step", N_("which step decided: start, authenticate, acct_mgmt or setcred")),
        ("steps", N_("each step with its code, in order")),
        ("user", N_("whom the stack let in, or would not")),
        ("service", N_("the PAM service")),
        ("stack", N_("the file that libpam took the stack from, or null")),
        ("ukey", N_("whether that stack asks pam_ukey; null where that cannot be told")),
        ("prompts", N_("how many questions were asked")),
        ("tty", N_("PAM_TTY, empty where it was not set; rhost and ruser likewise")),
        ("rhost", N_("PAM_RHOST")),
        ("ruser", N_("PAM_RUSER")),
        ("pid", N_("the number that the lines of the log have")),
    ),
    files=(("/etc/pam.d/SERVICE", N_("the stack; where there is none, libpam takes 'other'")),),
    see=("ukey pam check", "ukey status", "pam_ukey(8)"),
)


def parser() -> Parser:
    out = Parser("ukey pam try", MANUAL)
    out.add_argument("user", metavar="USER", type=name, help=_("whose login is tried"))
    out.add_argument(
        "--service",
        metavar="SERVICE",
        type=_service,
        required=True,
        help=_("the PAM service: a file of /etc/pam.d, such as login, sshd or su"),
    )
    out.add_argument(
        "--tty",
        metavar="TTY",
        type=_item,
        help=_("the terminal that modules are told (PAM_TTY): this one, for sshd 'ssh'"),
    )
    out.add_argument(
        "--rhost",
        metavar="HOST",
        type=_item,
        help=_("the host that it comes from (PAM_RHOST): none, for sshd 127.0.0.1"),
    )
    out.add_argument(
        "--ruser",
        metavar="USER",
        type=name,
        help=_("who runs su or sudo (PAM_RUSER, and the real uid): root, whom su asks nothing"),
    )
    out.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        default=_TIMEOUT,
        help=_("end it after so many seconds: 1 to {most}, {usual} by default").format(
            most=_TIMEOUT_MAX, usual=_TIMEOUT
        ),
    )
    return out


def _service(text: str) -> str:
    # libpam takes the small letters.
    if _SERVICE.fullmatch(text.lower()) is None:
        raise argparse.ArgumentTypeError(_("no name of a file in /etc/pam.d"))
    return text.lower()


def _item(text: str) -> str:
    if not text or not text.isprintable() or len(text) > ANSWER_MAX:
        raise argparse.ArgumentTypeError(_("it is empty, too long, or cannot be printed"))
    return text


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _TIMEOUT_MAX):
        text = _("seconds are a number from 1 to {most}").format(most=_TIMEOUT_MAX)
        raise argparse.ArgumentTypeError(text)
    return int(text)


def command(arguments: Sequence[str]) -> Exit:
    given = parser().parse_args(arguments)
    need_root(_("Trying a login needs root, as the programs that log people in have it."))
    _account(given.user)
    ruid = _account(given.ruser).pw_uid if given.ruser else 0
    try:
        from tools.trylogin import talk
        from tools.trylogin.child import Attempt
    except (ImportError, OSError, AttributeError):  # the last two: pamela found no libpam
        raise Failure(
            _("The Python library pamela, or libpam itself, is missing."),
            Exit.FAILED,
            error=ErrorName.FAILED,
            hint="apt-get install python3-pamela",
        ) from None

    by_sshd = given.service == "sshd"
    attempt = Attempt(
        given.service,
        given.user,
        tty=(given.tty or (_SSHD_TTY if by_sshd else terminal_name())).removeprefix("/dev/"),
        rhost=given.rhost or (_LOOPBACK if by_sshd else ""),
        ruser=given.ruser or "",
        ruid=ruid,
        empty_passwords=not by_sshd,
    )
    ahead = outlook(attempt.service)
    terminal = Terminal()
    for warning in ahead.warnings:
        terminal.say(warning, Colour.WARNING)
    terminal.say(
        _("A real try: a wrong password counts for faillock, a wrong PIN costs the ukey a try.")
    )
    facts: dict[str, Value] = {
        "code": None,
        "step": None,
        "steps": [],
        "user": attempt.user,
        "service": attempt.service,
        "stack": ahead.file,
        "ukey": ahead.ukey,
        "prompts": 0,
        "tty": attempt.tty,
        "rhost": attempt.rhost,
        "ruser": attempt.ruser,
    }
    started, conversation = datetime.now().astimezone(), talk.Talk(terminal)
    try:
        ended = conversation.hold(attempt, given.timeout)
        facts |= {
            "code": name_of(ended.code),
            "step": ended.step,
            "steps": [{"step": step, "code": name_of(code)} for step, code in ended.steps],
            "user": ended.user,
        }
        if not ended.success:
            raise _refused(ended.step, ended.code)
    except Failure as failure:
        failure.facts |= facts | {"prompts": conversation.prompts, "pid": conversation.pid}
        if failure.exit not in (Exit.CANCELLED, Exit.USAGE):  # of these the log knows nothing
            where = _where(conversation.pid, started)
            failure.hint = f"{failure.hint}\n{where}" if failure.hint else where
        raise
    text = _("The login would succeed: {user} gets in by {service}.").format(
        user=ended.user, service=attempt.service
    )
    if given.json:
        more = {"prompts": conversation.prompts, "pid": conversation.pid}
        output.emit({**facts, **more, "ok": True, "text": text})
    else:
        print(output.paint(output.printable(text), Colour.GOOD))
    if conversation.prompts == 0:
        text = _(
            "Nobody was asked for anything, as when root runs su; --ruser tries it for others."
        )
        output.say(text, Colour.WARNING)
    elif ahead.ukey is False:
        output.say(_("And nobody was asked for a ukey."), Colour.WARNING)
    return Exit.OK


def _account(user: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(user)
    except (KeyError, ValueError):
        raise Failure(
            _("There is no user {user} on this host.").format(user=output.printable(user)),
            Exit.NOT_BOUND,
            error=ErrorName.UNKNOWN_USER,
        ) from None


def _refused(step: str, code: int) -> Failure:
    text = _("The login would be refused: {code} by pam_{step}.").format(
        code=name_of(code), step=step
    )
    return Failure(f"{text} {meaning_of(step, code)}", Exit.REFUSED, error=name_of(code))


def _where(pid: int, started: datetime) -> str:
    """The lines of the log that say why: those of the modules, and the keyservice's."""
    lines = f"grep -e '\\[{pid}\\]' -e 'pid={pid} '"
    return _("Why is in the log: {journal}; or {file}").format(
        journal=f"journalctl --since '{started:%H:%M:%S}' | {lines}",
        file=f"{lines} /var/log/auth.log",
    )
