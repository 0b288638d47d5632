# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The prompt at the end, where the person tries it out."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from demo import screen
from demo.stage import ADMIN_PIN, LOG, PASSWORD, PIN, Stage, in_a_window
from demo.words import said
from tests.softkey.state import FACTORY_PIN
from tests.support import CHECKOUT
from tests.support.process import must
from tests.support.ukeys import Softkey

CONSOLE = Path("/dev/tty2")
SUDO = Path("/etc/sudoers.d/demo")
COMMANDS = Path("/usr/local/bin")

TRY = (
    ("su - demo", 'password "{password}", PIN {pin}; exit comes back'),
    ("ssh demo@localhost", "the same from afar"),
    ("softkey remove", "pull the ukey out; softkey insert puts it back"),
    ("(sleep 2; softkey insert) & su - demo", "put it back while it is waited for"),
    ("softkey misbehave --slow 900", "a slow ukey; softkey behave ends it"),
    ("sudo ukey list", "what is in the readers; ukey status, watch, bindings"),
    ("sudo rmpubkey demo", "unbind it; sudo getpubkey demo binds it again"),
    ("sudo chpinpw --serial DEMO0001", "change the PIN; --help of each tool says more"),
    ("sudo chpinpw --unblock DEMO0001", "a new PIN by the admin PIN, {admin_pin}"),
    ("softkey2 insert", "a second ukey, as it was shipped: PIN {factory_pin}"),
    ("sudo chpinpw --serial DEMO0002", "give it a PIN of its own, so that it can be bound"),
    ("sudo getpubkey visitor --serial DEMO0002", "bind it to yourself; then: su visitor"),
    ("sudo ukey pam check su", "who gets in by a PAM stack, asked of libpam itself"),
    (
        "sudo ukey pam try demo --service login",
        "try a login by the real stack, without a session",
    ),
    (f"grep event= {LOG} | tail -3", "who tried what, and why it was refused"),
)
_COLUMN = max(len(command) for command, _ in TRY) + 2
PINS = {
    "password": PASSWORD,
    "pin": PIN,
    "admin_pin": ADMIN_PIN,
    "factory_pin": FACTORY_PIN.decode(),
}


def text(place: str) -> str:
    """What can be tried, for a person at `place`."""
    who = said("You are visitor, {place} of this private Debian. Try:", place=said(place))
    tries = "\n".join(f"  {command:{_COLUMN}}{said(what, **PINS)}" for command, what in TRY)
    again = said("help shows this again. exit, or ^D, ends the demo, and everything in it is gone.")
    other = said("In Chinese: LANG=zh_CN.UTF-8 scripts/demo")
    return f"{who}\n\n{tries}\n\n{again}\n{other}\n"


def offer(stage: Stage) -> None:
    """A shell for the person at this terminal, as visitor, until it is left."""
    screen.heading(said("Your turn"))
    window = in_a_window(stage.locale)
    shown = text("in a terminal's window" if window else "on a console")
    print(shown, flush=True)
    _allow()
    for name, ukey in (("softkey", stage.ukey), ("softkey2", stage.second)):
        _add_softkey(name, ukey)
    rc = stage.visitor.home / ".demo-shell"
    rc.write_text(f"PS1='visitor@\\h (type help) \\$ '\nhelp() {{ cat <<'HELP'\n{shown}HELP\n}}\n")
    own = contextlib.nullcontext(Path(os.ttyname(sys.stdin.fileno())))
    with own if window else _console() as console, console.open("r+b", buffering=0) as terminal:
        home = stage.visitor.home
        subprocess.run(
            ["runuser", "-u", "visitor", "--", "bash", "--rcfile", rc, "-i"],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            cwd=home,
            env={
                **os.environ,
                "HOME": str(home),
                "USER": "visitor",
                "LOGNAME": "visitor",
                "LANG": stage.locale,
            },
            check=False,
        )


@contextlib.contextmanager
def _console() -> Iterator[Path]:
    """This terminal under a console's name: the person who sits at it is at the machine."""
    CONSOLE.touch()
    must(["mount", "--bind", os.ttyname(sys.stdin.fileno()), CONSOLE])
    try:
        yield CONSOLE
    finally:
        must(["umount", "--lazy", CONSOLE])


def _allow() -> None:
    """visitor is this sandbox's administrator."""
    # Without a pseudo-terminal of sudo's own, which would hide that this is the console: no logind
    # is here to say so.
    SUDO.write_text("visitor ALL=(ALL) NOPASSWD: ALL\nDefaults !lecture, !use_pty\n")
    SUDO.chmod(0o440)
    LOG.chmod(0o644)


def _add_softkey(name: str, ukey: Softkey) -> None:
    """The command that steers an emulated ukey, for anybody."""
    command = COMMANDS / name
    command.write_text(
        "#!/bin/sh\n"
        f"cd {CHECKOUT} && exec sudo SOFTKEY_STATE={ukey.file.path}"
        f' {sys.executable} -m tests.softkey "$@"\n'
    )
    command.chmod(0o755)
