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

PASSWORD, PIN = "correct horse", "528491"
#: Logins wait this long for the ukey, so that nobody waits long for the missing one.
PATIENCE = 3
CONFIG = f"""\
[authentication]
wait_for_ukey = {PATIENCE}

# ssh comes from afar, and this sandbox's ukey is in this sandbox: a real host thinks twice.
[services.sshd]
allow_remote = true
"""


class Stage:
    """A host that is ready, and who is on it."""

    def __init__(self, host: Host, demo: User, visitor: User, ukey: Softkey) -> None:
        self.host, self.demo, self.visitor, self.ukey = host, demo, visitor, ukey
        self.log = host.authlog
        self.console: Terminal = host.console()


@contextlib.contextmanager
def ready() -> Iterator[Stage]:
    """Install, start and enrol, saying what happens. Raises ``HostError``."""
    screen.heading("Setting up")
    screen.step("installing pam-ukey, by scripts/install")
    must([CHECKOUT / "scripts" / "install", "--wheels", WHEELS], seconds=INSTALL_DEADLINE)
    with Host() as host:
        screen.step("starting pcscd, the system bus, the keyservice and sshd")
        host.pcscd()
        host.bus()
        host.keyservice(CONFIG)
        host.sshd((EXAMPLES / "sshd_config.d" / "10-ukey.conf").read_text())
        screen.step(f"putting the stacks of pam.d-examples into {PAM_D}: {', '.join(STACKS)}")
        for name in STACKS:
            host.pam.stack(name, (EXAMPLES / "debian" / "helpful" / name).read_text())
        screen.step("making two people: visitor, who sits here, and demo, who has a ukey")
        Path("/etc/default/locale").touch()  # without it, pam_env complains in the log
        demo, visitor = host.user("demo", PASSWORD), host.user("visitor", PASSWORD)
        _furnish(demo)
        _furnish(visitor)
        screen.step("plugging in the emulated ukey")
        ukey = host.softkey(pin=PIN.encode(), label="demo ukey", serial="DEMO0001")
        threading.Thread(target=_write_log, args=(host,), name="log", daemon=True).start()
        yield Stage(host, demo, visitor, ukey)


def _furnish(user: User) -> None:
    """A shell to sit in, and an ssh that trusts this sandbox's own, new host key."""
    must(["usermod", "--shell", "/bin/bash", user.name])
    shutil.copy("/etc/skel/.profile", user.home)
    settings = user.home / ".ssh" / "config"
    settings.parent.mkdir(mode=0o700)
    settings.write_text(
        "Host localhost\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n"
        "  LogLevel ERROR\n  PubkeyAuthentication no\n"
    )
    for path in (settings.parent, settings):
        shutil.chown(path, user.uid, user.gid)


def _write_log(host: Host) -> None:
    """Copy what is logged to where a Debian with rsyslog has it."""
    written = 0
    with LOG.open("a") as file, contextlib.suppress(HostError):
        while True:
            line = host.authlog.wait_for("", written, seconds=threading.TIMEOUT_MAX)
            file.write(f"{line}\n")
            file.flush()
            written += 1
