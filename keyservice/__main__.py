# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``keyservice``: puts the parts together, serves until it is told to stop."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from keyservice import __version__
from keyservice.access.audit import Audit
from keyservice.access.logsocket import Handler, LogSocket, describe
from keyservice.access.queries import Queries
from keyservice.access.session import Sessions
from keyservice.access.throttle import Throttle, boot_id
from keyservice.access.world import World, machine_id
from keyservice.commandline import Exit, parser
from keyservice.config import Config, load
from keyservice.contract.names import CONFIG_FILE, RECORDS_DIR, SELINUX_DOMAIN, STATE_DIR
from keyservice.core import selinux
from keyservice.core.errors import ConfigurationError, StoreFailed, UkeyError
from keyservice.core.hardening import harden
from keyservice.crypto import sm2
from keyservice.front import listeners
from keyservice.front.sockets import Sockets
from keyservice.front.supervisor import Supervisor
from keyservice.store.bindings import Bindings
from keyservice.store.files import Folder
from keyservice.store.revocations import Revocations
from keyservice.store.throttle import ThrottleFile
from keyservice.ukeys.pool import ReaderEvent, Ukeys

_log = logging.getLogger("keyservice.main")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; its exit status."""
    given = parser().parse_args(arguments)
    if given.check_config is not None:
        return _check(Path(given.check_config or given.config))
    harden()
    log = LogSocket()
    _log_to(log)
    try:
        asyncio.run(_serve(_configured(Path(given.config)), log, Path(given.socket_dir)))
    except ConfigurationError as error:
        _give_up(str(error))
        return Exit.CONFIGURATION
    except (UkeyError, OSError) as error:
        _give_up(f"cannot serve: {error}")
        return Exit.FAILED
    finally:
        log.close()
    return Exit.OK


def _give_up(why: str) -> None:
    """Say why nothing is served: in the log, and to whoever started the program by hand."""
    _log.error("%s", why)
    if not sys.stderr.isatty():
        print(f"keyservice: {why}", file=sys.stderr)


def _check(path: Path) -> Exit:
    """What an administrator wants to know before a restart."""
    status, config = Exit.OK, Config()
    try:
        config = load(path, required=True, trusted=False)
        print(f"{path}: right")
    except ConfigurationError as error:
        print(error.message, file=sys.stderr)
        status = Exit.CONFIGURATION
    for name, reason in sm2.survey().items():
        print(f"SM2 engine {name}: {reason or 'works'}")
    try:
        print(f"SM2 engine used (crypto.sm2 = {config.sm2}): {sm2.engine(config.sm2).name}")
    except ConfigurationError as error:
        print(error.message, file=sys.stderr)
        status = Exit.CONFIGURATION
    return status


def _configured(path: Path) -> Config:
    config = load(path, required=path != Path(CONFIG_FILE), trusted=True)
    if config.rules.allow_virtual_readers:
        _log.warning("virtual readers are allowed: an emulated ukey can log in")
    if config.rules.shared_pcsc:
        _log.warning("pcscd is shared: local users can block ukeys and burn PIN tries")
    if (domain := selinux.domain()) not in (None, SELINUX_DOMAIN):
        _log.warning(
            "SELinux does not confine the keyservice, which runs as %s; where it enforces, login "
            "programs may not ask: /usr/libexec/ukey/selinux-module load",
            domain,
        )
    return config


async def _serve(config: Config, log: LogSocket, socket_dir: Path) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP."""
    supervisor = Supervisor.of_environment(os.environ)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    with _only_one(Path(STATE_DIR)):
        ukeys = Ukeys(config.readers)
        everything = _world(config, log, ukeys)
        sessions = Sessions(everything)
        sockets = Sockets(sessions)
        taken = listeners.take_over(os.environ) or listeners.create(socket_dir)
        await ukeys.start()
        bus = _join_bus(everything, sessions) if config.bus else None
        try:
            sockets.start(taken)
            _log.info("serving; version %s", __version__)
            supervisor.ready()
            await stop.wait()
            supervisor.stopping()
        finally:
            sockets.stop()
            await sessions.stop()
            if bus is not None:
                bus.cancel()
                await asyncio.wait({bus})
            await ukeys.stop()
    _log.info("stopped")


def _join_bus(world: World, sessions: Sessions) -> asyncio.Task[None] | None:
    """Serve on the bus too, now or whenever there is one."""
    try:
        # here: it brings the D-Bus library, which a host that does without the bus need not have
        from keyservice.front.bus_service import BusService
    except ImportError as error:
        _log.error("not on the bus: %s", error)
        return None
    bus = BusService(sessions, Queries(world, sessions, __version__))

    def tell(event: ReaderEvent) -> None:
        if event.info is not None:
            (bus.ukey_inserted if event.inserted else bus.ukey_removed)(event.reader)

    world.ukeys.subscribe(tell)
    return asyncio.get_running_loop().create_task(bus.run())


def _world(config: Config, log: LogSocket, ukeys: Ukeys) -> World:
    records, state = Folder(Path(RECORDS_DIR)), Folder(Path(STATE_DIR))
    revocations = Revocations(state)
    try:
        for folder in (records, state):
            for name in folder.prepare():
                _log.warning("%s: removed %s, left by a killed writer", folder.path, name)
        revocations.all()
    except UkeyError as error:  # the tools are needed to put it right, and tell of it
        _log.error("%s; nobody can log in with a ukey until it is put right", error)
    return World(
        rules=config.rules,
        bindings=Bindings(records),
        revocations=revocations,
        throttle=Throttle(ThrottleFile(state), config.rules, boot=boot_id()),
        ukeys=ukeys,
        engine=sm2.engine(config.sm2),
        audit=Audit(log),
        machine_id=machine_id(),
    )


@contextmanager
def _only_one(state: Path) -> Iterator[None]:
    """Hold the state's directory, so that no second service writes there."""
    with suppress(FileExistsError):
        state.mkdir(0o700, parents=True)
    folder = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreFailed("another keyservice runs on this host") from None
        yield
    finally:
        os.close(folder)


def _log_to(log: LogSocket) -> None:
    """Send the operators' log to the host's log; to a person at a terminal as well."""
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(Handler(log))
    if sys.stderr.isatty():
        screen = logging.StreamHandler()
        screen.setFormatter(_OneLine())
        root.addHandler(screen)


class _OneLine(logging.Formatter):
    """What the host's log shows, on a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return f"keyservice: {describe(record)}"


if __name__ == "__main__":
    raise SystemExit(main())
