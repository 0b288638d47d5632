# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The same by itself: in a sandbox that has the distribution's programs and nothing else, with an
emulated ukey behind the real pcscd. There is no systemd in there, and no logind."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support import CHECKOUT
from tests.support.daemons import bus_owned
from tests.support.host import PIN, Host
from tests.support.process import Daemon, must, run
from tests.support.programs import WHO, Outcome

from .report import Came
from .steps import USER, Step

BY = "itself"
_EXAMPLES = CHECKOUT / "pam.d-examples"
_BEFORE = Path("/root/before-ukey")
_PAM_D, _SSHD_D = Path("/etc/pam.d"), Path("/etc/ssh/sshd_config.d")
_POLKITD = Path("/usr/lib/polkit-1/polkitd")
#: sudo names its terminal by the device's number, and a console in a sandbox is a pseudo-terminal.
_CONFIG = """\
[authentication]
wait_for_ukey = 1
[services.sshd]
factors_from_afar = ["ukey"]
[services.sudo]
factors_from_afar = ["ukey"]
"""
_PASSWORD, _WRONG = "correct horse", "000000"
_SIGN = 0x74  #: the instruction at which the ukey is pulled out: ECCSignData


@contextmanager
def ready(package: Path) -> Iterator[tuple[Auto, str]]:
    with Host() as host:
        yield Auto(host, package), BY


class Auto:
    def __init__(self, host: Host, package: Path) -> None:
        self._host, self._package = host, package
        self._shown, self._since = "", 0  #: of the step: its screen, where its log begins

    def do(self, step: Step) -> Came:
        self._shown, self._since = "", len(self._host.authlog.lines)
        if getattr(self, f"_{step.name.lower().replace(' ', '_')}")():
            return Came.PASSED
        print(f"{self._shown}\n{self._host.authlog.text[-2000:]}", file=sys.stderr)
        return Came.FAILED

    def log(self) -> Sequence[str]:
        return [line.text for line in self._host.authlog.lines]

    def _in(self, outcome: Outcome) -> bool:
        self._shown = outcome.screen
        # a stack that names a module which the distribution does not have
        faulty = self._host.authlog.find("unable to dlopen|faulty module", self._since)
        return outcome.allowed and faulty is None

    def _install(self) -> bool:
        apt = ["apt-get", "--yes", "--no-install-recommends", "install"]
        must([*apt, self._package], seconds=300)
        self._host.bus()
        if _POLKITD.exists():  # Debian 13's pcscd asks it whom it may serve, root too
            polkitd = Daemon([_POLKITD], self._host.folder / "polkitd.log")
            self._host.at_exit(polkitd.stop)
            polkitd.wait_ready(lambda: bus_owned("org.freedesktop.PolicyKit1"))
        self._host.pcscd()
        self._host.keyservice(_CONFIG)
        return True

    def _bind(self) -> bool:
        self._demo = self._host.user(USER, _PASSWORD)
        self._ukey = self._host.softkey()
        self._host.bind(self._demo, self._ukey)
        sudoers = Path("/etc/sudoers.d/demo")
        sudoers.write_text("demo ALL=(ALL) ALL\n")
        sudoers.chmod(0o440)
        return True

    def _turn_on(self) -> bool:
        _BEFORE.mkdir()
        must(["cp", "-a", _PAM_D, _SSHD_D, _BEFORE])
        for service in ("login", "su", "sshd"):
            shutil.copy(_EXAMPLES / "debian/helpful" / service, _PAM_D / service)
        must(["pam-auth-update", "--enable", "ukey"])  # sudo's
        shutil.copy(_EXAMPLES / "sshd_config.d/10-ukey.conf", _SSHD_D)
        # the ukey is in this host
        here = "AuthenticationMethods keyboard-interactive:pam"
        self._host.sshd(f"{here}\nInclude {_SSHD_D}/*.conf")
        return True

    def _console(self) -> bool:
        return self._in(self._host.login(self._demo, [_PASSWORD, PIN.decode()]))

    def _su(self) -> bool:
        return self._in(self._host.su(self._demo, [_PASSWORD, PIN.decode()]))

    def _sudo(self) -> bool:
        console = self._host.console("tty2")
        person = ["setpriv", "--reuid", USER, "--regid", USER, "--init-groups"]
        console.start([*person, "sudo", "-k", "sh", "-c", WHO])
        console.converse([_PASSWORD, PIN.decode()])
        self._shown = console.screen
        return "in:root" in console.screen

    def _ssh(self) -> bool:
        return self._in(self._host.ssh(self._demo, [_PASSWORD, PIN.decode()]))

    def _wrong_pin(self) -> bool:
        return not self._host.login(self._demo, [_PASSWORD, _WRONG]).allowed

    def _pulled_out(self) -> bool:
        self._ukey.control.misbehave(pull="before", ins=(_SIGN,))
        outcome = self._host.login(self._demo, [_PASSWORD, PIN.decode()])
        self._ukey.control.behave()
        self._ukey.put_in()
        return not outcome.allowed

    def _undo(self) -> bool:
        must(["pam-auth-update", "--disable", "ukey"])
        must(["cp", "-a", f"{_BEFORE}/pam.d/.", _PAM_D])
        (_SSHD_D / "10-ukey.conf").unlink()
        same = run(["diff", "-r", f"{_BEFORE}/pam.d", _PAM_D]).returncode == 0
        return same and self._host.su(self._demo, [_PASSWORD]).allowed
