# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What is tried, in order, and by what the host itself shows that it came out as it should."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

USER = "demo"  #: the only person in all of it
_PAM_D = Path("/etc/pam.d")
_DROP_IN = Path("/etc/ssh/sshd_config.d/10-ukey.conf")


def answers() -> str:
    """Nothing is wrong; else what."""
    status = _ask("status")
    return "" if status and status.get("socket") else "the keyservice does not answer"


def installed() -> str:
    return answers() or ("" if not stacks() else "a PAM stack names pam_ukey already")


def bound() -> str:
    rows = _ask("bindings").get("bindings")
    known = [row["user"] for row in rows] if isinstance(rows, list) else []
    return "" if USER in known else f"no ukey is bound to {USER}"


def turned_on() -> str:
    return "" if stacks() else "no PAM stack names pam_ukey"


def taken_back() -> str:
    left = [*stacks(), *([_DROP_IN.name] if _DROP_IN.exists() else [])]
    return f"left: {', '.join(left)}" if left else ""


def stacks() -> list[str]:
    """The files in /etc/pam.d in which a line names the module."""
    named = re.compile(r"^[^#\n]*pam_ukey", re.MULTILINE)
    files = (path for path in sorted(_PAM_D.iterdir()) if path.is_file())
    return [path.name for path in files if named.search(path.read_text(errors="replace"))]


def _ask(subcommand: str) -> dict[str, object]:
    try:
        done = subprocess.run(
            ["/usr/bin/ukey", subcommand, "--json"], capture_output=True, timeout=30, check=False
        )
        told = json.loads(done.stdout or b"{}")
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return {}
    return told if isinstance(told, dict) else {}


@dataclass(frozen=True, slots=True)
class Step:
    """`expected`: what the audit log has to say of the attempt, as (PAM services, verdict)."""

    name: str
    todo: str
    expected: tuple[Sequence[str], str] | None = None
    wrong: Callable[[], str] = answers

    def seen_in(self, line: str) -> bool:
        """Whether a line of the audit log is what is expected."""
        if self.expected is None:
            return False
        services, verdict = self.expected
        words = line.split()
        said = dict(word.partition("=")[::2] for word in words if "=" in word)
        return (
            said.get("event") == "authentication"
            and said.get("user") == USER
            and said.get("service") in services
            and said.get("verdict") == verdict
        )


STEPS = (
    Step(
        "install",
        "Install the package as docs/install.md says. Change no PAM stack yet.",
        wrong=installed,
    ),
    Step(
        "bind",
        f"Make an account {USER} with a password. Put a ukey in, give it a PIN of its own with\n"
        f"chpinpw, and bind it: getpubkey {USER}. Let the account use sudo.",
        wrong=bound,
    ),
    Step(
        "turn on",
        "Turn it on for the console, su, sudo and ssh, as docs/turn-on.md says, with a second\n"
        "root shell that stays open.",
        wrong=turned_on,
    ),
    Step(
        "console",
        f"Log in as {USER} on another text console, with password and PIN.",
        (("login",), "SUCCESS"),
    ),
    Step(
        "su",
        f"On a text console, as somebody who is not root: su - {USER}",
        (("su", "su-l"), "SUCCESS"),
    ),
    Step(
        "sudo",
        f"On a text console, as {USER}: sudo -k id",
        (("sudo", "sudo-i"), "SUCCESS"),
    ),
    Step(
        "ssh",
        f"From another machine, with the ukey in this one: ssh {USER}@… with password and PIN.",
        (("sshd",), "SUCCESS"),
    ),
    Step(
        "wrong PIN",
        f"Try to log in as {USER} on a text console with a wrong PIN. It must be refused.",
        (("login",), "AUTH_ERR"),
    ),
    Step(
        "pulled out",
        f"Begin to log in as {USER} on a text console, and pull the ukey out before you end the\n"
        "PIN with Enter. It must be refused. Then put the ukey back.",
        (("login",), "AUTHINFO_UNAVAIL"),
    ),
    Step(
        "undo",
        "Take it back as docs/turn-on.md says. Log in with the password alone: that must work,\n"
        "and no PIN may be asked for.",
        wrong=taken_back,
    ),
)
