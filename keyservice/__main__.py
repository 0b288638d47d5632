# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``keyservice``: puts the parts together, and serves until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from keyservice import __version__, descriptors, inspection, rescue
from keyservice.access.administration import Administration
from keyservice.access.admissions import Admissions
from keyservice.access.audit import Audit
from keyservice.access.insertions import Insertions
from keyservice.access.services import Services, machine_id
from keyservice.access.session import Sessions
from keyservice.access.throttle import Throttle, boot_id
from keyservice.commandline import Exit, parser
from keyservice.config import Config
from keyservice.contract.names import CONFIG_FILE, RECORDS_DIR, STATE_DIR
from keyservice.contract.streams import fill_gaps
from keyservice.core import offspring
from keyservice.core.errors import ConfigurationError, CryptoMissing, UkeyError
from keyservice.core.hardening import harden
from keyservice.core.logsocket import Handler, LogSocket, describe
from keyservice.core.supervisor import Supervisor
from keyservice.core.text import plain
from keyservice.crypto import sm2
from keyservice.crypto.sm2 import SM2
from keyservice.servers import listeners
from keyservice.servers.sockets import Sockets
from keyservice.store.admissions import AdmissionsFile
from keyservice.store.file_records import FileRecords
from keyservice.store.files import PrivateDirectory
from keyservice.store.state import State, only_one
from keyservice.store.throttle import ThrottleFile
from keyservice.ukeys.pool import ReaderEvent, Ukeys

_log = logging.getLogger("keyservice.main")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    fill_gaps()
    given = parser().parse_args(arguments)
    if given.check_config is not None:
        return _check(Path(given.check_config or given.config))
    if given.check_state or given.accept_state:
        return Exit.OK if rescue.run(accept=given.accept_state, as_json=given.json) else Exit.FAILED
    harden()
    offspring.adopt()
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
    """Say why nothing is served: in the log, and to a person who started the program by hand."""
    _log.error("%s", why)
    if not sys.stderr.isatty():
        print(f"keyservice: {why}", file=sys.stderr)


def _check(path: Path) -> Exit:
    """Print what an administrator wants to know before a restart."""
    found = inspection.configuration(path, required=path != Path(CONFIG_FILE))
    damaged: list[str] = []
    if not found.wrong and not found.idle:
        print(f"{path}: right")
    if os.geteuid() == 0:
        folder = PrivateDirectory(Path(STATE_DIR))
        state = State(PrivateDirectory(Path(RECORDS_DIR)), folder, machine_id())
        with suppress(CryptoMissing):  # which is told already
            damaged = inspection.kept(state, folder, boot_id())
            found.weak += state.strays()  # nobody is kept out by them
    else:
        damaged.append("records and state: only root can look at them")
    for line in (*found.wrong, *found.idle, *found.weak, *damaged):
        print(plain(line), file=sys.stderr)
    with suppress(CryptoMissing):
        for name, reason in sm2.survey().items():
            print(f"SM2 engine {name}: {reason or 'works'}")
    with suppress(ConfigurationError):
        used = sm2.engine(found.config.sm2).name
        print(f"SM2 engine used (crypto.sm2 = {found.config.sm2}): {used}")
    if found.wrong:
        return Exit.CONFIGURATION
    return Exit.FAILED if damaged and os.geteuid() == 0 else Exit.OK


def _configured(path: Path) -> Config:
    found = inspection.configuration(path, required=path != Path(CONFIG_FILE))
    if found.wrong:
        raise ConfigurationError("\n".join(found.wrong))
    for line in (*found.idle, *found.weak):
        _log.warning("%s", line)
    return found.config


async def _serve(config: Config, log: LogSocket, socket_dir: Path) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP."""
    descriptors.provide()
    supervisor = Supervisor.of_environment(os.environ)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    with only_one(Path(STATE_DIR)):
        ukeys = Ukeys(config.readers)
        everything = _services(config, log, ukeys)
        sessions = Sessions(everything)
        sockets = Sockets(sessions)
        insertions = Insertions(everything)  # before the first of them is told
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
            insertions.stop()
            await ukeys.stop()
    _log.info("stopped")


def _join_bus(services: Services, sessions: Sessions) -> asyncio.Task[None] | None:
    """Serve on the bus too, now or whenever there is one."""
    try:
        # here: it imports the D-Bus library, which a host without a bus need not have
        from keyservice.servers.bus_service import BusService
    except ImportError as error:
        _log.error("not on the bus: %s", error)
        return None
    bus = BusService(sessions, Administration(services, sessions, __version__))

    def tell(event: ReaderEvent) -> None:
        if event.info is not None:
            (bus.ukey_inserted if event.inserted else bus.ukey_removed)(event.reader)

    services.ukeys.subscribe(tell)
    return asyncio.get_running_loop().create_task(bus.run())


def _services(config: Config, log: LogSocket, ukeys: Ukeys) -> Services:
    SM2.use(config.sm2)
    folder, host, boot = PrivateDirectory(Path(STATE_DIR)), machine_id(), boot_id()
    state = State(PrivateDirectory(Path(RECORDS_DIR)), folder, host)
    try:
        for told in state.start():
            _log.warning("%s", told)
        state.revocations.all()
    except UkeyError as error:  # the tools are needed to repair the damage, and they tell of it
        _log.error("%s; nobody can log in with a ukey until it is put right", error)
    return Services(
        rules=config.rules,
        records=FileRecords(state),
        throttle=Throttle(ThrottleFile(folder), config.rules, boot=boot),
        ukeys=ukeys,
        admissions=Admissions(AdmissionsFile(folder, boot)),
        audit=Audit(log),
        machine_id=host,
    )


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
    """The same lines as in the host's log, for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return f"keyservice: {describe(record)}"


if __name__ == "__main__":
    raise SystemExit(main())
