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
from demo.stage import LOG, PASSWORD, PIN, Stage
from tests.support import CHECKOUT
from tests.support.process import must

CONSOLE = Path("/dev/tty2")
SUDO = Path("/etc/sudoers.d/demo")
SOFTKEY = Path("/usr/local/bin/softkey")

_TRY = (
    ("su - demo", f'password "{PASSWORD}", PIN {PIN}; exit comes back'),
    ("ssh demo@localhost", "the same from afar"),
    ("softkey remove", "pull the ukey out; softkey insert puts it back"),
    ("(sleep 2; softkey insert) & su - demo", "put it back while it is waited for"),
    ("softkey misbehave --slow 900", "a slow ukey; softkey behave ends it"),
    ("sudo ukey list", "what is in the readers; ukey status, watch, bindings"),
    ("sudo rmpubkey demo", "unbind it; sudo getpubkey demo binds it again"),
    ("sudo chpinpw", "change the PIN; --help of each tool says more"),
    (f"grep event= {LOG} | tail -3", "who tried what, and why it was refused"),
)
HELP = """\
You are visitor, on a console of this private Debian. Try:

{}

help shows this again. exit, or ^D, ends the demo, and everything in it is gone.
""".format("\n".join(f"  {command:39}{what}" for command, what in _TRY))


def offer(stage: Stage) -> None:
    """A shell for the person at this terminal, as visitor, until it is left."""
    screen.heading("Your turn")
    print(HELP, flush=True)
    _allow()
    _add_softkey(stage)
    rc = stage.visitor.home / ".demo-shell"
    rc.write_text(f"PS1='visitor@\\h (type help) \\$ '\nhelp() {{ cat <<'HELP'\n{HELP}HELP\n}}\n")
    with _console() as console, console.open("r+b", buffering=0) as terminal:
        home = stage.visitor.home
        subprocess.run(
            ["runuser", "-u", "visitor", "--", "bash", "--rcfile", rc, "-i"],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            cwd=home,
            env={**os.environ, "HOME": str(home), "USER": "visitor", "LOGNAME": "visitor"},
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
    SUDO.write_text("visitor ALL=(ALL) NOPASSWD: ALL\nDefaults !lecture\n")
    SUDO.chmod(0o440)
    LOG.chmod(0o644)


def _add_softkey(stage: Stage) -> None:
    """The command that steers the emulated ukey, for anybody."""
    SOFTKEY.write_text(
        "#!/bin/sh\n"
        f"cd {CHECKOUT} && exec sudo SOFTKEY_STATE={stage.ukey.file.path}"
        f' {sys.executable} -m tests.softkey "$@"\n'
    )
    SOFTKEY.chmod(0o755)
