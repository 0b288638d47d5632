# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A host's life with the package: installed, turned on, upgraded, removed, installed again, purged.

    python3 -m tests.packages.journey PACKAGE LATER-PACKAGE

runs as root in a sandbox that has nothing but Debian, with its own Python, and ends with 0 if every
login came out as it should at every step. Each step is told on standard output.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from keyservice.contract.pam import PamCode
from tests.packages import by_ssh_key, turning_on
from tests.packages.meanwhile import Meanwhile
from tests.support.daemons import bus_owned
from tests.support.host import PIN, Host
from tests.support.machine import differences, tree
from tests.support.people import User
from tests.support.process import Daemon, must, run
from tests.support.ukeys import Softkey

PAM_D, CONFIG = Path("/etc/pam.d"), Path("/etc/ukey/keyservice.toml")
RECORD = Path("/etc/usbkey/alice")
POLKITD = Path("/usr/lib/polkit-1/polkitd")
SOCKET_WANTED = Path("/etc/systemd/system/sockets.target.wants/ukey-keyservice.socket")
#: An administrator's edit, which every step has to keep.
EDITED = "allow_virtual_readers = true\n[authentication]\nwait_for_ukey = 0\n"
WRONG = "000000"
#: Everything but the checkout.
FIND = (
    "find",
    "/etc",
    "/usr",
    "/var",
    "-path",
    "/usr/src",
    "-prune",
    "-o",
    "-path",
    "/var/cache",
    "-prune",
    "-o",
)
APT = ("apt-get", "--yes", "--no-install-recommends")


class Journey:
    def __init__(self, host: Host, package: Path, later: Path) -> None:
        self.host, self.package, self.later = host, package, later
        self.user: User
        self.ukey: Softkey
        self.keyservice: Daemon

    def go(self) -> None:
        steps: tuple[Callable[[], None], ...] = (
            self.a_host_without_it,
            self.install,
            self.bind,
            self.turn_it_on_as_the_page_says,
            self.log_in_by_ssh_key,
            self.turn_on,
            self.let_nobody_in_without_a_ukey,
            self.upgrade_while_people_log_in,
            self.removal_is_refused_while_a_stack_names_it,
            self.remove,
            self.install_again,
            self.purge,
            self.remove_what_an_upgrade_left_unpacked,
            self.take_over_from_scripts_install,
        )
        for step in steps:
            begun = time.monotonic()
            step()
            name = step.__name__.replace("_", " ")
            print(f"{name}: {time.monotonic() - begun:.1f} s", flush=True)

    # -- steps

    def a_host_without_it(self) -> None:
        self.user = self.host.user("alice")
        self.password_alone_lets_in()

    def install(self) -> None:
        before = tree(PAM_D)
        told = apt("install", self.package)
        assert "no PAM stack was changed" in told
        assert differences(before, tree(PAM_D)) == []
        assert run(["dpkg", "--verify", "pam-ukey"]).stdout == ""
        for folder in ("/etc/usbkey", "/var/lib/ukey"):
            assert Path(folder).stat().st_mode & 0o7777 == 0o700
        assert list(Path("/usr/lib/ukey/keyservice/__pycache__").glob("__main__.*.pyc"))
        assert SOCKET_WANTED.is_symlink()
        self.password_alone_lets_in()

    def bind(self) -> None:
        CONFIG.write_text(EDITED)
        self.host.bus()
        if POLKITD.exists():  # Debian 13's pcscd asks it whom it may serve, root too
            polkitd = Daemon([POLKITD], self.host.folder / "polkitd.log")
            self.host.at_exit(polkitd.stop)
            polkitd.wait_ready(lambda: bus_owned("org.freedesktop.PolicyKit1"))
        self.host.pcscd()
        self.start()
        self.ukey = self.host.softkey()
        self.host.bind(self.user, self.ukey)
        assert "alice" in must(["ukey", "bindings"])
        self.password_alone_lets_in()

    def turn_it_on_as_the_page_says(self) -> None:
        turning_on.follow(self.host, self.user, self.ukey, self.restart)
        self.restart("")
        self.password_alone_lets_in()

    def log_in_by_ssh_key(self) -> None:
        carol = self.host.user("carol")  # she stays: her uid is known to have had a key
        with self.host.passing():
            by_ssh_key.follow(self.host, carol)
        self.password_alone_lets_in()

    def turn_on(self) -> None:
        must(["pam-auth-update", "--enable", "ukey"])
        self.both_factors_are_needed()

    def let_nobody_in_without_a_ukey(self) -> None:
        """As pam.d-examples/README.md says, in a way that lasts."""
        newcomer = self.host.user("bob")
        assert self.host.su(newcomer, [newcomer.password]).allowed
        common = PAM_D / "common-auth"
        common.write_text(common.read_text().replace(" nouserok", ""))
        must(["pam-auth-update", "--package"])
        assert not self.host.su(newcomer, [newcomer.password]).allowed

    def upgrade_while_people_log_in(self) -> None:
        record = RECORD.read_bytes()
        with Meanwhile(self.door, self.user.password, PIN.decode()) as meanwhile:
            told = apt("install", self.later)
        assert meanwhile.right and meanwhile.unfinished, "nobody logged in meanwhile"
        assert "restart it" in told  # systemd would have done it
        assert RECORD.read_bytes() == record
        assert CONFIG.read_text() == EDITED
        assert "nouserok" not in (PAM_D / "common-auth").read_text()
        self.both_factors_are_needed()
        self.keyservice.stop()
        assert self.door(self.user.password, PIN.decode()) == PamCode.AUTHINFO_UNAVAIL
        with self.ukey.asked():
            self.start()
        self.both_factors_are_needed()

    def removal_is_refused_while_a_stack_names_it(self) -> None:
        mine, common = PAM_D / "mine", PAM_D / "common-auth"
        for stack, content in (
            (mine, "# by hand\nauth required pam_ukey.so\n"),
            (common, "auth requisite pam_unix.so\nauth required pam_ukey.so\n"),
        ):
            before = stack.read_text() if stack.exists() else None
            stack.write_text(content)
            state = tree(PAM_D, "/usr/lib/ukey")
            done = run([*APT, "remove", "pam-ukey"], seconds=120)
            assert done.returncode != 0
            told = done.stdout + done.stderr
            assert f"{stack}:2:auth required pam_ukey.so" in told, told
            assert differences(state, tree(PAM_D, "/usr/lib/ukey")) == []
            assert "ok installed" in must(["dpkg-query", "-W", "-f", "${Status}", "pam-ukey"])
            if before is None:
                stack.unlink()
            else:
                stack.write_text(before)
        self.both_factors_are_needed()

    def remove(self) -> None:
        told = apt("remove", "pam-ukey")
        assert "still runs" in told
        assert not uses_of_the_module()
        assert RECORD.exists()
        assert CONFIG.read_text() == EDITED
        assert not Path("/usr/lib/ukey").exists()
        self.password_alone_lets_in()
        self.keyservice.stop()

    def install_again(self) -> None:
        apt("install", self.package)
        with self.ukey.asked():
            self.start()
        assert not uses_of_the_module(), "an earlier choice must not turn it on again"
        self.password_alone_lets_in()
        must(["pam-auth-update", "--enable", "ukey"])
        self.both_factors_are_needed()

    def purge(self) -> None:
        self.keyservice.stop()
        told = apt("purge", "pam-ukey")
        assert "kept /etc/usbkey" in told
        assert not uses_of_the_module()
        self.password_alone_lets_in()
        kept = {"/etc/usbkey", "/var/lib/ukey", "/var/backups/ukey"}  # the last: an administrator's
        assert set(must([*FIND, "-name", "*ukey*", "-print"]).splitlines()) <= kept
        assert RECORD.exists()

    def remove_what_an_upgrade_left_unpacked(self) -> None:
        """dpkg asks the package nothing before it removes one that was never configured."""
        mine = PAM_D / "mine"
        for stack in (None, mine):
            apt("install", self.package)
            must(["pam-auth-update", "--enable", "ukey"])
            assert uses_of_the_module() == [str(PAM_D / "common-auth")]
            if stack:
                stack.write_text("auth required pam_ukey.so\n")
            must(["dpkg", "--unpack", self.later], seconds=120)
            told = apt("purge", "pam-ukey")
            assert ("NOBODY CAN LOG IN" in told and f"{mine}\n" in told) == bool(stack), told
            assert uses_of_the_module() == [str(stack)] * bool(stack)
            self.password_alone_lets_in()
        mine.unlink()

    def take_over_from_scripts_install(self) -> None:
        library = Path("/usr/lib/ukey")
        gone = library / "tools/of_a_former_version.py"
        for path in (library / "manifest.json", gone, library / "tools/__pycache__/x.pyc"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
        apt("install", self.package)
        assert run(["dpkg", "--verify", "pam-ukey"]).stdout == ""
        listed = set(must(["dpkg", "--listfiles", "pam-ukey"]).splitlines())
        ours = {str(path) for path in library.rglob("*") if "__pycache__" not in str(path)}
        assert ours <= listed, ours - listed

    # -- what people do

    def start(self) -> None:
        """The keyservice, by hand: there is no systemd."""
        self.keyservice = self.host.keyservice(EDITED.split("\n", 1)[1])

    def restart(self, more: str) -> None:
        """With more lines in its configuration."""
        self.keyservice.stop()
        with self.ukey.asked():
            self.keyservice = self.host.keyservice(EDITED.split("\n", 1)[1] + more)

    def su(self, *answers: str) -> bool:
        return self.host.su(self.user, answers).allowed

    def password_alone_lets_in(self) -> None:
        assert self.su(self.user.password)
        assert not self.su("wrong")

    def both_factors_are_needed(self) -> None:
        """By the real su, and by libpam alone, which does not wait after failures."""
        password, pin = self.user.password, PIN.decode()
        for answers in ((password, WRONG), ("wrong", pin)):
            code = self.door(*answers)
            assert code == PamCode.AUTH_ERR, f"{code}\n{self.host.authlog.text}"
        assert self.su(password, pin)  # gives the tries back
        with self.ukey_is_out():
            assert not self.su(password)

    @contextmanager
    def ukey_is_out(self) -> Iterator[None]:
        self.ukey.remove()
        yield
        self.ukey.put_in()

    def door(self, *answers: str) -> PamCode:
        """A service that has what every service has; su's own asks root nothing."""
        self.host.pam.stack("door", "@include common-auth")
        return self.host.pam.converse("door", self.user.name, answers).code


def apt(action: str, what: str | Path) -> str:
    """Have apt-get do it; what it and the package said."""
    done = run([*APT, action, what], seconds=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def uses_of_the_module() -> list[str]:
    return run(["grep", "-rl", "pam_ukey", str(PAM_D)]).stdout.split()


def main() -> None:
    package, later = map(Path, sys.argv[1:])
    with Host() as host:
        Journey(host, package, later).go()


if __name__ == "__main__":
    main()
