# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The same scripts on a real bus: a dbus-daemon at the system bus's address, and its service."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from jeepney import HeaderFields, Message, MessageType, new_error, new_method_return
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import DBusConnection, open_dbus_connection

from keyservice.access.operations import FUNCTIONS
from keyservice.contract import frames
from keyservice.contract.bus_steps import to_bus
from keyservice.contract.names import BUS_NAME, ERROR_PREFIX, SYSTEM_BUS, ErrorName
from keyservice.contract.operations import Operation
from tests.pam.scripted import (
    SESSION,
    WAIT_SECONDS,
    Act,
    HangUp,
    NewVerdict,
    Raw,
    Refuse,
    Silence,
    SocketServer,
    answer_of,
    euid,
    receive,
)

_CONFIG = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/> <allow own="*"/>
    <allow send_destination="*"/> <allow receive_sender="*"/>
  </policy>
</busconfig>
"""
_OPERATIONS = {operation.method: operation for operation in FUNCTIONS}


@contextlib.contextmanager
def bus_daemon(folder: Path) -> Iterator[None]:
    """A dbus-daemon where clients look for the system bus."""
    Path("/run/dbus").mkdir(exist_ok=True)
    Path("/run/dbus/system_bus_socket").unlink(missing_ok=True)
    config = folder / "bus.conf"
    config.write_text(_CONFIG)
    command = ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as daemon:
        try:
            assert daemon.stdout is not None and daemon.stdout.readline(), "no bus"
            yield
        finally:
            daemon.kill()


class BusService(SocketServer):
    """Plays the script over the bus; answers come over the sockets."""

    def __init__(self, script: Sequence[Act], *, uid: int = 0) -> None:
        """`uid`: the owner of the name on the bus."""
        super().__init__(0)
        self._script = tuple(script)
        self._rest: dict[str, Iterator[Act]] = {}  #: of the script, for each client
        with euid(uid):
            self._connection: DBusConnection = open_dbus_connection(SYSTEM_BUS)
        self._connection.send_and_get_reply(message_bus.RequestName(BUS_NAME))
        self._player = threading.Thread(target=self._play, daemon=True)

    def __enter__(self) -> Self:
        super().__enter__()
        self._player.start()
        return self

    def __exit__(self, *details: Any) -> None:
        with contextlib.suppress(OSError):
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._player.join(5)
        self._connection.close()
        super().__exit__(*details)

    def serve(self, connection: socket.socket) -> None:
        self.seen.answers.append(answer_of(*receive(connection)))
        connection.sendall(frames.build(frames.Kind.ACCEPTED, {}))

    def _play(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while True:
                call = self._connection.receive(timeout=WAIT_SECONDS)
                if call.header.message_type is MessageType.method_call and not self._reply(call):
                    self._connection.close()
                    return

    def _reply(self, call: Message) -> bool:
        """Act upon one call. False to hang up."""
        member = call.header.fields[HeaderFields.member]
        client = call.header.fields[HeaderFields.sender]
        first: tuple[str, ...] = ()
        if member in _OPERATIONS:
            self._begin(client, _OPERATIONS[member], call.body)
            first = (SESSION.hex(),)
        elif call.body != (SESSION.hex(),):
            name = f"{ERROR_PREFIX}{ErrorName.NO_SESSION}"
            self._connection.send(new_error(call, name, "s", ("another session",)))
            return True
        match next(self._rest.get(client, iter(())), Silence()):
            case Raw(content):
                reply = new_method_return(call, "ay", (content,))
            case Silence():
                return True
            case HangUp():
                return False
            case Refuse(name, text):
                reply = new_error(call, ERROR_PREFIX + name, "s", (text,))
            case NewVerdict(code):
                detail = {"code": ("s", code), "facts": ("a{sv}", {})}
                reply = _step_reply(call, first, ("verdict", "", detail))
            case step:
                reply = _step_reply(call, first, to_bus(step))
        self._connection.send(reply)
        return True

    def _begin(self, client: str, operation: Operation, body: tuple[Any, ...]) -> None:
        names = [each.name for each in operation.fields]
        self.seen.begun.append((operation, dict(zip(names, body, strict=True))))
        self._rest[client] = iter(self._script)


def _step_reply(call: Message, first: tuple[str, ...], step: tuple[Any, ...]) -> Message:
    return new_method_return(call, "s" * len(first) + "ssa{sv}", (*first, *step))
