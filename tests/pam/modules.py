# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Both modules behind one handle: how a stack names each, and which service each asks."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from keyservice.contract.names import Code as Said
from keyservice.contract.pam import PamCode
from keyservice.contract.steps import Prompt, Verdict
from tests.pam.scripted import Act, SocketService
from tests.pam.scripted_bus import BusService

#: How the driver answers, and a script that it fits.
PIN = "=314159"
ASK = Prompt("PIN: ")
YES = (ASK, Verdict(Said.SUCCESS))

#: Where scripts/install puts it.
ENTRY = "/usr/lib/ukey/pam_ukey/pam_python_entry.py"


@dataclass
class Run:
    """The driver's report of a run."""

    history: list[tuple[str, int]] = field(default_factory=list)  #: each call and its code
    shown: list[tuple[str, str]] = field(default_factory=list)  #: (style, text)
    left: int = -1  #: descriptors left open
    sigint: str = ""
    inherited: int = -1  #: descriptors that a program started at a prompt would have got

    @property
    def codes(self) -> dict[str, int]:
        """The last code of each call."""
        return dict(self.history)

    @property
    def code(self) -> int:
        return self.codes["authenticate"]


@dataclass
class Module:
    """A PAM module under test."""

    name: str  #: "native" or "python"
    built: Path  #: where pam_ukey.so and the driver are
    folder: Path  #: for the stack
    program: str = "ukey-test"  #: what PAM calls the service

    @property
    def words(self) -> str:
        """How a PAM line names the module."""
        if self.name == "native":
            return f"{self.built}/pam_ukey.so"
        return f"pam_python.so {ENTRY}"

    def service(self, script: Sequence[Act], *, uid: int = 0) -> SocketService | BusService:
        """A scripted keyservice of the kind that this module asks."""
        kind = SocketService if self.name == "native" else BusService
        return kind(script, uid=uid)

    def stack(
        self,
        options: str = "",
        *,
        before: str = "",
        after: str = "",
        first: str = "",
        old: bool = False,
    ) -> None:
        """Write stacks whose outcome is the module's.

        IGNORE, which libpam never returns, shows as CRED_INSUFFICIENT. `before` and `after` are
        auth lines; those after are run when the module said SUCCESS. `first`: the password
        stack's first line; `old`: it begins with one that knows an old and a new password
        (pam_row.c).
        """
        hold = f"password required {self.built}/pam_row.so hold 0 0\n" if old else first
        lines = []
        for kind in ("auth", "account", "password", "session"):
            lines += [
                before if kind == "auth" else "",
                hold if kind == "password" else "",
                f"{kind} [success=ok ignore=1 default=die] {self.words} {options}\n",
                f"{kind} [default=1] pam_permit.so\n",
                f"{kind} [default=die] {self.built}/pam_row.so ignored 8 0\n",
                after if kind == "auth" else "",
                f"{kind} required pam_permit.so\n",
            ]
        (self.folder / self.program).write_text("".join(lines))

    def run(
        self,
        *words: str,
        answers: Iterable[str] = (),
        user: str = "alice",
        env: dict[str, str] | None = None,
        prefix: Sequence[str] = (),
        driver: Path | None = None,
        timeout: float = 30,
    ) -> Run:
        """Run the driver on the stack; `words` and `answers` as in driver.c."""
        command = [
            *prefix,
            str(driver or self.built / "driver"),
            str(self.folder),
            self.program,
            user,
        ]
        done = subprocess.run(
            [*command, *(words or ("authenticate",))],
            input="".join(f"{answer}\n" for answer in answers),
            encoding="utf-8",
            errors="surrogateescape",
            env={"PATH": "/usr/bin:/bin", **(env or {})},
            capture_output=True,
            timeout=timeout,
        )
        assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
        return _read(done.stdout)


def _read(output: str) -> Run:
    run = Run()
    for line in output.splitlines():
        what, _, text = line.partition(" ")
        if what in ("hidden", "shown", "error", "info", "strange"):
            run.shown.append((what, text))
        elif what == "after":
            left, run.sigint, inherited = text.split()
            run.left, run.inherited = int(left), int(inherited)
        else:
            code = int(text)
            run.history.append((what, PamCode(code) if code in set(PamCode) else code))
    return run
