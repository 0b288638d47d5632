# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``docs/turn-on.md``, step by step, on a host that has the package; and all of it back.

What needs logind, such as sudo in a session by ssh, is shown in the guest (``tests/vm``).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tests.support.daemons import SSH_PORT, listens
from tests.support.host import PIN, Host
from tests.support.machine import differences, tree
from tests.support.people import User
from tests.support.process import Daemon, must
from tests.support.terminal import Terminal
from tests.support.ukeys import Softkey

INSTALLED = Path("/usr/share/doc/pam-ukey")
PAM_D, SSHD_D = Path("/etc/pam.d"), Path("/etc/ssh/sshd_config.d")
_RUN = re.compile(r"^<!-- run -->\n```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SERVICE_ACCOUNTS = "\nMatch User {name}\n    AuthenticationMethods publickey\n"
WRONG = "000000"


def follow(host: Host, user: User, ukey: Softkey, serve: Callable[[str], None]) -> None:
    """`serve` restarts the keyservice with more lines in its configuration."""
    page = (INSTALLED / "docs/turn-on.md").read_text()
    copy, _login, _ssh, back = _RUN.findall(page)
    before = tree(PAM_D, SSHD_D)
    answers = [user.password, PIN.decode()]
    _sh(copy)
    must(["groupadd", "--system", "--force", "ukey-breakglass"])
    host.user("rescue", groups=["ukey-breakglass"])

    def both_factors_are_needed(enter: Callable[..., bool]) -> None:
        assert not enter([user.password, WRONG])
        ukey.remove()
        assert not enter([user.password])
        ukey.put_in()
        assert enter(answers)

    console = host.console("tty2")
    _enable(console, "login", answers)
    both_factors_are_needed(lambda typed: host.login(user, typed, terminal=console).allowed)

    serve("")
    own, strange = host.authorize(user), host.folder / "strange"
    must(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", strange])
    with (user.home / ".ssh/authorized_keys").open("a") as file:
        file.write(strange.with_suffix(".pub").read_text())
    must(["ukey", "ssh-key", "add", user.name, "--from-file", f"{own}.pub"])
    account = host.user("ansible")
    theirs = host.authorize(account)
    example = INSTALLED / "pam.d-examples/sshd_config.d/10-ukey.conf"
    accounts = _SERVICE_ACCOUNTS.format(name=account.name)
    (SSHD_D / example.name).write_text(example.read_text() + accounts)
    _enable(host.terminal(), "sshd", [])
    sshd = _start_sshd(host)
    for key, password, may in (
        (own, user.password, True),
        (own, WRONG, False),
        (strange, user.password, False),
    ):
        options = ["-i", str(key), "-o", "IdentitiesOnly=yes"]
        options += ["-o", "PreferredAuthentications=publickey,keyboard-interactive"]
        assert host.ssh(user, [password], options=options).allowed == may
    by_key = ["-i", str(theirs), "-o", "PreferredAuthentications=publickey"]
    assert host.ssh(account, [], options=by_key).allowed

    _sh(back)
    changed = differences(before, tree(PAM_D, SSHD_D))
    assert [path for path in changed if Path(path).is_file()] == [], changed
    sshd.stop()
    assert host.login(user, [user.password], terminal=console).allowed


def _enable(terminal: Terminal, service: str, answers: list[str]) -> None:
    terminal.start(["ukey", "pam", "enable", service, "--user", "alice", "--yes"])
    terminal.converse(answers)
    assert terminal.status == 0, terminal.screen


def _start_sshd(host: Host) -> Daemon:
    """Debian's own configuration, with the drop-in."""
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    must(["ssh-keygen", "-A"])
    must(["/usr/sbin/sshd", "-t"])
    sshd = Daemon(["/usr/sbin/sshd", "-D"], host.folder / "sshd.log")
    host.at_exit(sshd.stop)
    sshd.wait_ready(lambda: listens(SSH_PORT))
    return sshd


def _sh(script: str) -> None:
    must(["sh", "-euc", script], cwd=INSTALLED)
