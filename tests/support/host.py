# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A host with the product installed: start what a test needs, and leave nothing for the next."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from keyservice.contract import names
from keyservice.core.closing import Closing
from tools.exits import Exit

from . import daemons
from .authlog import Authlog
from .crowd import Crowd
from .network import Far
from .openpgpcards import OpenPgpcard
from .people import User
from .pivcards import Pivcard
from .process import Daemon, HostError, run, wait_until
from .programs import NOBODY, Outcome, Programs
from .restore import empty
from .scope import Scope
from .stacks import Pam
from .terminal import Answers, Terminal
from .ukeys import SLOTS, VPCD_PORT, Softkey

PIN, ADMIN_PIN = b"528491", b"80352917"
U = TypeVar("U", bound=Softkey)


def in_sandbox() -> bool:
    """The root directory is a sandbox's (scripts/lib/enter.sh names the overlay so)."""
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    return any(line.startswith("sandbox / overlay ") for line in mounts)


class Host(Closing):
    """Daemons are ended, and files, people, bindings and network put back, when it is left."""

    _there: ClassVar[bool] = False

    def __init__(self) -> None:
        if not in_sandbox():
            raise HostError("this changes the machine it runs on: run it by scripts/sandbox")
        if Host._there:
            raise HostError("there is a host already: its paths, ports and people are this one's")
        with contextlib.ExitStack() as made:
            Host._there = True
            made.callback(setattr, Host, "_there", False)
            made.callback(self._forget)
            self.authlog = Authlog()
            made.callback(self.authlog.close)
            self._scope = made.enter_context(Scope())
            self._exit = made.pop_all()
        self._programs = Programs(self.authlog)
        self.pause_after_failures(0)

    def close(self) -> None:
        self._exit.close()

    def _forget(self) -> None:
        for directory in (names.RECORDS_DIR, names.STATE_DIR, names.RUN_DIR):
            empty(Path(directory))

    @contextlib.contextmanager
    def passing(self) -> Iterator[None]:
        """All that is made or changed inside is undone when it is left; what was there before goes
        on.

        Records and the service's state are an exception (``restore.Snapshot``). Inside, the log
        begins empty, and the folder is another.
        """
        outside = self._scope
        self.authlog.forget()
        with Scope(outside) as inside:
            self._scope = inside
            try:
                yield
            finally:
                self._scope = outside

    @property
    def folder(self) -> Path:
        """For any files that a test needs; it is removed with them."""
        return self._scope.folder

    @property
    def pam(self) -> Pam:
        return self._scope.pam

    def _keep(self, daemon: Daemon) -> Daemon:
        self._scope.exit.callback(daemon.stop)
        return daemon

    # -- daemons

    def pcscd(self, slots: int = SLOTS) -> Daemon:
        """pcscd with so many places for emulated ukeys."""
        return self._keep(daemons.start_pcscd(self.folder, slots))

    def bus(self) -> Daemon:
        """The system bus."""
        self._scope.on_bus = True
        return self._keep(daemons.start_bus(self.folder))

    def keyservice(
        self,
        config: str = "",
        *,
        allow_virtual_readers: bool = True,
        env: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
        program: Sequence[str] = (daemons.KEYSERVICE,),
        wait_bus: bool | None = None,
    ) -> Daemon:
        """The installed service, with `config` added to /etc/ukey/keyservice.toml's first lines.

        `program`: the program to run in its place. `wait_bus`: also wait until it has its name;
        default: if the bus was started.
        """
        allow = "true" if allow_virtual_readers else "false"
        self.configure(f"allow_virtual_readers = {allow}\n{config}")
        on_bus = self._scope.on_bus if wait_bus is None else wait_bus
        return self._keep(
            daemons.start_keyservice(
                self.folder, [*program, *arguments], on_bus=on_bus, env=env or {}
            )
        )

    def configure(self, config: str) -> Path:
        """Write the keyservice's configuration; the installed one comes back at the end."""
        return self._scope.restorer.write(Path(names.CONFIG_FILE), config)

    def pause_after_failures(self, seconds: int) -> None:
        """su and login of their own accord; a stack's own pauses: ``stacks.without_pauses``."""
        settings = Path("/etc/login.defs")
        kept = [line for line in settings.read_text().splitlines() if "FAIL_DELAY" not in line]
        self._scope.restorer.write(settings, "\n".join([*kept, f"FAIL_DELAY {seconds}", ""]))

    def authorize(self, user: User) -> Path:
        """A new ssh key that sshd accepts for the user; returns the private key's file."""
        self._scope.restorer.announce(user.home / ".ssh")
        return user.authorize(self.folder)

    def sshd(self, settings: str = "") -> Daemon:
        """sshd on port 22 of every address."""
        return self._keep(daemons.start_sshd(self.folder, settings))

    # -- ukeys and people

    def softkey(
        self,
        name: str = "ukey",
        slot: int = 0,
        *,
        pin: bytes | None = PIN,
        admin_pin: bytes | None = ADMIN_PIN,
        inserted: bool = True,
        **make: Any,
    ) -> Softkey:
        """An emulated ukey; if inserted and pcscd runs, returns when pcscd has seen it.

        `make`: serial, label, tries, containers, …, as for ``softkey.state.new``.
        """
        path = self.folder / f"{name}.ukey"
        made = Softkey(path, slot, pin=pin, admin_pin=admin_pin, inserted=inserted, **make)
        return self._keep_ukey(made, inserted)

    def pivcard(self, name: str = "card", slot: int = 0, **make: Any) -> Pivcard:
        """An emulated PIV card, inserted. `make`: as for ``pivcard.state.new``."""
        given = {"pin": PIN, "admin_pin": ADMIN_PIN, **make}
        made = Pivcard(self.folder / f"{name}.piv", slot, inserted=True, **given)
        return self._keep_ukey(made, inserted=True)

    def openpgpcard(self, name: str = "card", slot: int = 0, **make: Any) -> OpenPgpcard:
        """An emulated OpenPGP card, inserted. `make`: as for ``openpgpcard.state.new``."""
        given = {"pin": PIN, "admin_pin": ADMIN_PIN, **make}
        made = OpenPgpcard(self.folder / f"{name}.openpgp", slot, inserted=True, **given)
        return self._keep_ukey(made, inserted=True)

    def _keep_ukey(self, made: U, inserted: bool) -> U:
        self._scope.exit.callback(made.close)
        if inserted and daemons.listens(VPCD_PORT):
            made.wait_seen()
        return made

    def user(
        self, name: str = "demo", password: str = "correct horse", groups: Sequence[str] = ()
    ) -> User:
        return self._scope.people.add(name, password, groups=groups)

    def keep(self, *paths: Path) -> None:
        """Have these files, and those of people and groups, come back at the end as they are
        now."""
        for path in paths:
            self._scope.restorer.announce(path)
        self._scope.people.announce()

    def bind(self, user: User, softkey: Softkey) -> None:
        """Bind by the real getpubkey, the PIN piped in; it tries again while the ukey is not there
        yet.

        pcscd has seen it, but on a busy machine the service asks it later what it is.
        """
        assert softkey.pin is not None
        command, pin = ["getpubkey", user.name, "--serial", softkey.serial], softkey.pin.decode()

        def bound() -> bool:
            done = run(command, input=pin + "\n", seconds=60)
            if done.returncode not in (Exit.OK, Exit.ABSENT):
                told = f"{done.stdout}{done.stderr}"
                raise HostError(f"getpubkey ended with {done.returncode}:\n{told}")
            return done.returncode == Exit.OK

        wait_until(bound, f"{softkey.serial} bound to {user.name}")

    def crowd(self) -> Crowd:
        """People who log in at the same time, through libpam alone."""
        made = Crowd()
        self._scope.exit.callback(made.close)
        return made

    # -- terminals and what is typed there

    def terminal(self) -> Terminal:
        """A terminal such as an xterm: /dev/pts/N, which is nobody's proof of being local."""
        made = Terminal()
        self._scope.exit.callback(made.close)
        return made

    def console(self, name: str = "tty1") -> Terminal:
        """A terminal that programs know as /dev/tty1: a local login."""
        made = Terminal(name)
        self._scope.exit.callback(made.close)
        return made

    def _default_console(self) -> Terminal:
        if self._scope.console is None:
            self._scope.console = self.console()
        return self._scope.console

    def su(
        self,
        user: User,
        answers: Answers,
        *,
        by: int = NOBODY,
        terminal: Terminal | None = None,
        seconds: float = 60,
    ) -> Outcome:
        """su to `user` from a shell of uid `by`, on the console unless a terminal is given."""
        where = terminal or self._default_console()
        return self._programs.su(where, user, answers, by=by, seconds=seconds)

    def login(
        self, user: User, answers: Answers, *, terminal: Terminal | None = None, seconds: float = 60
    ) -> Outcome:
        """login as getty runs it, on the console unless a terminal is given."""
        where = terminal or self._default_console()
        return self._programs.login(where, user, answers, seconds=seconds)

    def ssh(
        self, user: User, answers: Answers, *, far: bool = False, seconds: float = 60, **more: Any
    ) -> Outcome:
        """ssh to this host: over loopback, or from another network namespace.

        `more`: command, options, as for ``programs.Programs.ssh``.
        """
        address = self.far().address if far else "127.0.0.1"
        prefix = self.far().prefix if far else ()
        terminal = self.terminal()
        return self._programs.ssh(
            terminal, user, answers, address=address, prefix=prefix, seconds=seconds, **more
        )

    def far(self) -> Far:
        """The other network namespace."""
        if self._scope.far is None:
            self._scope.far = Far()
            self._scope.exit.callback(self._scope.far.close)
        return self._scope.far

    def at_exit(self, what: Callable[..., object], *arguments: Any) -> None:
        """Also do this when the test ends."""
        self._scope.exit.callback(what, *arguments)
