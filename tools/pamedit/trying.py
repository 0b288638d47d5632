# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A login by the stacks of a copy, with the real modules, ukey and questions, before they are those
of the host."""

from __future__ import annotations

import pwd
from pathlib import Path

from keyservice.contract.names import CONFIG_FILE
from tools.command import Failure
from tools.exits import Exit
from tools.language import _, terminal_name
from tools.pamcheck.programs import SETUID
from tools.terminal import Terminal
from tools.trylogin.codes import meaning_of, name_of

_SECONDS = 120
#: The password's prompt, and the PIN's.
_PROMPTS = 2


def attempt(service: str, user: str, folder: Path) -> None:
    """Raises :class:`Failure` where `user` does not get in by `service`, or is asked for one thing
    only."""
    try:
        from tools.trylogin import talk
        from tools.trylogin.child import Attempt
    except (ImportError, OSError, AttributeError):  # the last two: pamela found no libpam
        raise Failure(
            _("The Python library pamela, or libpam itself, is missing."),
            Exit.FAILED,
            hint="apt-get install python3-pamela",
        ) from None
    terminal, by_sshd = Terminal(), service == "sshd"
    ours = service in SETUID  # root would be asked for nothing
    text = _("{user} tries {service} now. It is a real try: a wrong PIN costs one.")
    terminal.say(text.format(user=user, service=service))
    conversation = talk.Talk(terminal)
    ended = conversation.hold(
        Attempt(
            service,
            user,
            tty=("ssh" if by_sshd else terminal_name()).removeprefix("/dev/"),
            rhost="127.0.0.1" if by_sshd else "",
            ruser=user if ours else "",
            ruid=pwd.getpwnam(user).pw_uid if ours else 0,
            empty_passwords=not by_sshd,
            folder=str(folder),
        ),
        _SECONDS,
    )
    if not ended.success:
        text = _("The login would be refused: {code} by pam_{step}.")
        text = text.format(code=name_of(ended.code), step=ended.step)
        raise Failure(
            f"{text} {meaning_of(ended.step, ended.code)}",
            Exit.REFUSED,
            error=name_of(ended.code),
            hint="\n".join((_("Nothing was changed."), *_unread(by_sshd))),
        )
    if conversation.prompts < _PROMPTS:
        raise Failure(
            _("{user} got in by {service} without both factors.").format(
                user=user, service=service
            ),
            Exit.STACK,
            hint=_("Nothing was changed."),
        )


def _unread(by_sshd: bool) -> tuple[str, ...]:
    """What the judge cannot know: it reads the file, and the keyservice did so when it started."""
    if not by_sshd:
        return ()
    text = _("If {file} was changed since the keyservice started: systemctl restart {unit}")
    return (text.format(file=CONFIG_FILE, unit="ukey-keyservice"),)
