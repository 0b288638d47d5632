# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""PAM stacks, and conversations with libpam that report the exact code."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keyservice.contract.pam import PamCode

from .process import HostError, run
from .restore import Restorer

PAM_D = Path("/etc/pam.d")
#: The program that talks to libpam.
CHILD = Path(__file__).with_name("pam_child.py")


#: pam_strerror's English, which is what su, login and sshd show or log.
STRERROR = {
    "Success": PamCode.SUCCESS,
    "Error in service module": PamCode.SERVICE_ERR,
    "System error": PamCode.SYSTEM_ERR,
    "Memory buffer error": PamCode.BUF_ERR,
    "Permission denied": PamCode.PERM_DENIED,
    "Authentication failure": PamCode.AUTH_ERR,
    "Authentication service cannot retrieve authentication info": PamCode.AUTHINFO_UNAVAIL,
    "User not known to the underlying authentication module": PamCode.USER_UNKNOWN,
    "Have exhausted maximum number of retries for service": PamCode.MAXTRIES,
    "Conversation error": PamCode.CONV_ERR,
    "Module is unknown": PamCode.MODULE_UNKNOWN,
}


@dataclass(frozen=True)
class Answered:
    """The result of a conversation: the code of each step, and [style, text] of all that was said.

    Styles are secret and echo (prompts), error and info. Times are monotonic, in seconds.
    """

    codes: tuple[PamCode, ...]
    said: tuple[tuple[str, str], ...]
    asked: tuple[float, ...]  #: when each prompt came
    answered: tuple[float, ...]  #: when each was answered
    ended: float  #: when the last step returned
    delay: float  #: seconds of pam_fail_delay, where the application did the waiting itself

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Answered:
        """From what ``pam_child`` writes."""
        return cls(
            tuple(PamCode(code) for code in result["codes"]),
            tuple((style, text) for style, text in result["said"]),
            tuple(result["asked"]),
            tuple(result["answered"]),
            result["ended"],
            result["delay"],
        )

    @property
    def code(self) -> PamCode:
        """Of the last step."""
        return self.codes[-1]

    @property
    def prompts(self) -> list[str]:
        return [text for style, text in self.said if style in ("secret", "echo")]

    @property
    def messages(self) -> list[str]:
        return [text for style, text in self.said if style in ("error", "info")]

    @property
    def took(self) -> float:
        """Seconds from the last answer to the end."""
        return self.ended - self.answered[-1]


def without_pauses(stack: str) -> str:
    """The stack, its failures told at once. Each module returns the same, so that the result is the
    same.

    Programs have pauses of their own: ``Host.without_pauses``.
    """
    return re.sub(r"(pam_faildelay\.so\s+delay=)\d+", r"\g<1>0", stack).replace(
        "pam_unix.so", "pam_unix.so nodelay"
    )


def make_task(
    service: str,
    user: str,
    answers: Sequence[str | None],
    *,
    steps: Sequence[str] = ("authenticate",),
    tty: str = "tty1",
    rhost: str = "",
    flags: int = 0,
) -> dict[str, Any]:
    """The task for ``pam_child``: the arguments of :meth:`Pam.converse`."""
    return {
        "service": service,
        "user": user,
        "answers": list(answers),
        "items": {name: value for name, value in (("tty", tty), ("rhost", rhost)) if value},
        "steps": list(steps),
        "flags": flags,
    }


class Pam:
    def __init__(self, restorer: Restorer) -> None:
        self._restorer = restorer

    def stack(self, service: str, text: str) -> Path:
        """Write /etc/pam.d/`service`, until the test ends."""
        return self._restorer.write(PAM_D / service, text.rstrip("\n") + "\n")

    def converse(
        self,
        service: str,
        user: str,
        answers: Sequence[str | None] = (),
        *,
        steps: Sequence[str] = ("authenticate",),
        tty: str = "tty1",
        rhost: str = "",
        flags: int = 0,
        uid: int = 0,
        seconds: float = 90,
        env: dict[str, str] | None = None,
    ) -> Answered:
        """Have libpam run `steps` (functions of a PAM module), in a process of its own.

        Prompts get `answers` in turn: None is a NULL answer, and after the last comes the end of
        input. `tty` and `rhost` are PAM_TTY and PAM_RHOST, unset where empty. `uid`: whose
        process it is.
        """
        task = make_task(service, user, answers, steps=steps, tty=tty, rhost=rhost, flags=flags)
        command = [sys.executable, str(CHILD)]
        if uid:
            who = ["--reuid", str(uid), "--regid", str(uid), "--clear-groups"]
            command = ["setpriv", *who, *command]
        done = run(command, input=json.dumps(task), seconds=seconds, env=env)
        if done.returncode != 0:
            raise HostError(f"libpam's process ended with {done.returncode}: {done.stderr}")
        return Answered.of(json.loads(done.stdout))
