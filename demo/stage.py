# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Everything that a login needs, on the sandbox's Debian: daemons, people, stacks, a ukey."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

from demo import screen
from demo.words import said
from keyservice.contract.i18n import Language, language
from tests.support import CHECKOUT
from tests.support.host import Host
from tests.support.people import User
from tests.support.process import HostError, must
from tests.support.stacks import PAM_D
from tests.support.terminal import Terminal
from tests.support.ukeys import Softkey

WHEELS = "/opt/wheels"
INSTALL_DEADLINE = 300  #: seconds
EXAMPLES = CHECKOUT / "pam.d-examples"
STACKS = ("su", "sshd", "login")
LOG = Path("/var/log/auth.log")

PASSWORD, PIN, ADMIN_PIN = "correct horse", "528491", "80352917"
#: Logins wait this long for the ukey, so that nobody waits long for the missing one.
PATIENCE = 3
CONFIG = f"""\
[authentication]
wait_for_ukey = {PATIENCE}

# ssh comes from afar, and this sandbox's ukey is in this sandbox: a real host thinks twice.
[services.sshd]
factors_from_afar = ["ukey"]
"""
#: A text console has no Chinese characters. So a person who reads Chinese sits in a terminal's
#: window, which is no console of this sandbox.
IN_A_WINDOW = """
[services.su]
factors_from_afar = ["ukey"]

[services.login]
factors_from_afar = ["ukey"]
"""


Ukeys = tuple[Softkey, Softkey]


class Stage:
    """A host that is ready, and who is on it."""

    def __init__(self, host: Host, people: tuple[User, User], ukeys: Ukeys, locale: str) -> None:
        self.host, self.locale = host, locale
        self.demo, self.visitor = people
        self.ukey, self.second = ukeys
        self.log = host.authlog
        self.console: Terminal = host.console("" if in_a_window(locale) else "tty1")


def in_a_window(locale: str) -> bool:
    """Whether people sit in a terminal's window, for the sake of their language."""
    return language(locale) is not Language.ENGLISH


@contextlib.contextmanager
def ready(locale: str) -> Iterator[Stage]:
    """Install, start and enrol, saying what happens. Raises ``HostError``.

    `locale`: of the people who log in, by its POSIX name.
    """
    screen.heading(said("Setting up"))
    screen.step(said("installing pam-ukey, by scripts/install"))
    must([CHECKOUT / "scripts" / "install", "--wheels", WHEELS], seconds=INSTALL_DEADLINE)
    with Host() as host:
        screen.step(said("starting pcscd, the system bus, the keyservice and sshd"))
        host.pcscd()
        host.bus()
        host.keyservice(CONFIG + (IN_A_WINDOW if in_a_window(locale) else ""))
        drop_in = (EXAMPLES / "sshd_config.d" / "10-ukey.conf").read_text()
        host.sshd(f"AuthenticationMethods keyboard-interactive:pam\n{drop_in}")  # the ukey is here
        _know(host)
        stacks = "putting the stacks of pam.d-examples into {folder}: {services}"
        screen.step(said(stacks, folder=PAM_D, services=", ".join(STACKS)))
        for name in STACKS:
            host.pam.stack(name, (EXAMPLES / "debian" / "helpful" / name).read_text())
        screen.step(said("making two people: visitor, who sits here, and demo, who has a ukey"))
        Path("/etc/default/locale").touch()  # without it, pam_env complains in the log
        demo, visitor = host.user("demo", PASSWORD), host.user("visitor", PASSWORD)
        _furnish(demo)
        _furnish(visitor)
        screen.step(said("plugging in the emulated ukey"))
        pin, admin_pin = PIN.encode(), ADMIN_PIN.encode()
        ukey = host.softkey(pin=pin, admin_pin=admin_pin, label="demo ukey", serial="DEMO0001")
        factory = {"label": "new ukey", "serial": "DEMO0002"}  # as it was shipped
        second = host.softkey("second", 1, pin=None, admin_pin=None, inserted=False, **factory)
        threading.Thread(target=_write_log, args=(host,), name="log", daemon=True).start()
        yield Stage(host, (demo, visitor), (ukey, second), locale)


def _know(host: Host) -> None:
    """Everybody's ssh knows this sandbox's own, new host key, and so has nothing to say of it."""
    key = (host.folder / "ssh_host_ed25519_key.pub").read_text()
    Path("/etc/ssh/ssh_known_hosts").write_text(f"localhost {key}")


def _furnish(user: User) -> None:
    """A shell to sit in."""
    must(["usermod", "--shell", "/bin/bash", user.name])
    shutil.copy("/etc/skel/.profile", user.home)


def _write_log(host: Host) -> None:
    """Copy what is logged to where a Debian with rsyslog has it."""
    written = 0
    with LOG.open("a") as file, contextlib.suppress(HostError):
        while True:
            line = host.authlog.wait_for("", written, seconds=threading.TIMEOUT_MAX)
            file.write(f"{line}\n")
            file.flush()
            written += 1
