# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A host, a hostile user with folders of his own, and the watcher; su and sudo as he runs them.

``alice`` is hostile. By su she becomes ``demo``, whose password and ukey are demo's; by sudo she
runs a program as demo, and is asked for her own. Somebody is in when demo's shell is executed.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from keyservice.core.closing import Closing
from tests.support.host import Host
from tests.support.people import User
from tests.support.process import must
from tests.support.stacks import PAM_D
from tests.support.ukeys import Softkey
from tests.system.conftest import EXAMPLES

from . import bait
from .conditions import Condition
from .strangers import OwnBus
from .watcher import Watcher, own_mount

PROGRAMS = ("su", "sudo")
PATHS = {program: Path("/usr/bin", program) for program in PROGRAMS}
#: Seconds that the keyservice gives a session; what is asked before and after is quick.
DEADLINE = 20
CONFIG = f"""
[service]
deadline = {DEADLINE}
[authentication]
wait_for_ukey = 0
[services.su]
factors_from_afar = ["ukey"]
[services.sudo]
factors_from_afar = ["ukey"]
"""
#: An answer that the keyservice refuses without asking the ukey, so that no try is spent.
NO_PIN = "12345"
#: Seconds after which an attempt is taken to hang for ever.
PATIENCE = 45.0
#: The lines that let a member of ukey-breakglass in.
_GLASS = re.compile(r"^auth .* pam_(succeed_if|exec)\.so .*\n", re.MULTILINE)
_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True)
class Attempt:
    """One start of su or sudo, to its end."""

    pid: int
    status: int  #: as subprocess has it
    seconds: float
    output: str
    entered: bool


class Scene(Closing):
    """Made with the two people enrolled; ended with everything as it was."""

    def __init__(self) -> None:
        self._exit = contextlib.ExitStack()
        try:
            self._make()
        except BaseException:
            self._exit.close()
            raise

    def close(self) -> None:
        self._exit.close()

    def _make(self) -> None:
        self.host = self._exit.enter_context(Host())
        #: Debian's own stack
        self.sudo = (PAM_D / "sudo").read_text()
        self._logged = 0
        self.host.pcscd()
        self.keyservice = self.host.keyservice(CONFIG)
        self.demo = self.host.user()
        self.alice = self.host.user("alice", "battery staple", groups=["sudo"])
        self.bob = self.host.user("bob", "a third one", groups=["ukey-breakglass"])
        self.ukeys = {
            user: self._bound(user, slot) for slot, user in enumerate((self.demo, self.alice))
        }
        self.folder = self._exit.enter_context(own_mount(self.alice.home, uid=self.alice.uid))
        door = self._exit.enter_context(own_mount(self.host.folder / "door"))
        # Accounts that may not look into the test's folder still have to reach what is in it.
        self.host.folder.chmod(0o755)
        self.shell = door / "sh"
        shutil.copy("/bin/sh", self.shell)
        self._door = door.stat().st_dev
        for user in (self.demo, self.bob):
            must(["usermod", "--shell", self.shell, user.name])
        bait.lay(self.folder, self.alice.uid)
        self.bus = OwnBus(self.folder / "bus", self.as_alice(), self.host.folder)
        self._exit.callback(self.bus.close)
        log = self.host.folder / "watcher.log"
        self.watcher = Watcher([self.folder, door], [*PATHS.values()], log)
        self._exit.callback(self.watcher.close)

    def _bound(self, user: User, slot: int) -> Softkey:
        ukey = self.host.softkey(user.name, slot)
        self.host.bind(user, ukey)
        return ukey

    def begin(self, kind: str) -> None:
        """Forget what was seen and logged so far; Debian's own sudo, and the stacks of a kind."""
        self.watcher.forget()
        self._logged = len(self.host.authlog.lines)
        self.host.pam.stack("sudo", self.sudo)
        self.stacks(kind)

    def wait_log(self, pattern: str) -> None:
        """Return when a line was logged since :meth:`begin` that the regular expression matches."""
        self.host.authlog.wait_for(pattern, self._logged)

    def stacks(self, kind: str) -> None:
        """Debian's examples, without delays: helpful, uniform, or "plain": without break-glass."""
        for name in ("su", "common-auth"):
            variant = "helpful" if kind == "plain" else kind
            text = (EXAMPLES / "debian" / variant / name).read_text()
            if kind == "plain":
                text = _GLASS.sub("", text)
            self.host.pam.stack(name, text.replace("pam_unix.so", "pam_unix.so nodelay"))

    def asked(self, program: str) -> User:
        """Whose password and PIN a program asks for."""
        return self.demo if program == "su" else self.alice

    def right(self, program: str) -> list[str]:
        user = self.asked(program)
        pin = self.ukeys[user].pin
        assert pin is not None
        return [user.password, pin.decode()]

    def command(self, program: str, user: User) -> list[str]:
        path = str(PATHS[program])
        if program == "su":
            return [path, user.name, "-c", ":"]
        return [path, "-k", "-S", "-u", user.name, str(self.shell), "-c", ":"]

    def attempt(
        self,
        program: str,
        condition: Condition,
        answers: Sequence[str],
        *,
        user: User | None = None,
        as_alice: Sequence[str] = (),
    ) -> Attempt:
        """Start it as alice under a condition, the answers ready, and wait for its end.

        `user`: who to become in demo's place. `as_alice`: what makes a command hers.
        """
        started = time.monotonic()
        with subprocess.Popen(
            self.hers(condition, program, user or self.demo, as_alice),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process:
            typed = "".join(f"{answer}\n" for answer in answers)
            try:
                output, _ = process.communicate(typed.encode(), timeout=PATIENCE)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        seconds = time.monotonic() - started
        text = output.decode(errors="replace")
        return Attempt(process.pid, process.returncode, seconds, text, self.entered(process.pid))

    def shells(self, pid: int) -> list[int]:
        """Whose shells a program that was started executed: the effective uid of each, outside."""
        return [
            each.euid
            for each in self.watcher.openings()
            if each.executed and each.device == self._door and pid in each.ancestors
        ]

    def entered(self, pid: int) -> bool:
        """Whether a program that was started let alice in as somebody else."""
        return any(uid != self.alice.uid for uid in self.shells(pid))

    def core_files(self) -> list[Path]:
        """What was left of programs that crashed in the user's folder."""
        return list(self.folder.rglob("core*"))

    def check_start(self, pid: int, program: str, condition: Condition, output: str) -> None:
        """su or sudo was started, and under the condition: else its end says nothing of it."""
        path = PATHS[program]
        start = self.watcher.start_of(pid, path)
        assert start is not None, f"no start of {program}: {output}"
        assert condition.holds(start.inherited, str(self.folder)), start
        # The program that was to become it says so when the kernel does not let it.
        assert not re.search(rf"^(?!{program}:)\w+: .*{path}", output, re.MULTILINE), output

    def as_alice(self) -> list[str]:
        who = self.alice
        return ["setpriv", f"--reuid={who.uid}", f"--regid={who.gid}", "--init-groups"]

    def hers(
        self, condition: Condition, program: str, user: User, as_alice: Sequence[str] = ()
    ) -> list[str]:
        """The command by which alice starts su or sudo under a condition, to become `user`."""
        env = {"PATH": _PATH, **condition.env}
        words = ["env", "-i", *(f"{name}={value}" for name, value in env.items()), *condition.via]
        words = [word.replace("{u}", str(self.folder)) for word in words]
        script = f'cd "$0"; {condition.shell or ":"}; exec "$@"'
        shell = [*(as_alice or self.as_alice()), "sh", "-c", script, str(self.folder)]
        return [*shell, *words, *self.command(program, user)]
