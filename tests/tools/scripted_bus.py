# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A keyservice on the real system bus that gives a test's answers, and sends its signals."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

from jeepney import (
    DBusAddress,
    HeaderFields,
    Message,
    MessageType,
    new_error,
    new_method_return,
    new_signal,
)
from jeepney.bus_messages import DBusNameFlags, message_bus
from jeepney.io.blocking import Proxy, open_dbus_connection

NAME = "org.ukey.KeyService1"
PATH = "/org/ukey/KeyService1"
ADDRESS = "unix:path=/run/dbus/system_bus_socket"

Rows = list[dict[str, Any]]

_SIGNATURES = {str: "s", bool: "b", int: "u"}


def _mapping(row: dict[str, Any]) -> dict[str, tuple[str, Any]]:
    return {key: (_SIGNATURES[type(value)], value) for key, value in row.items()}


class BusService:
    """Answers with :attr:`answers`: rows, two lists of them, a mapping, None for nothing, or
    (error, text), with or without a reason."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = answers
        self.asked: list[tuple[str, tuple[Any, ...]]] = []
        self._connection = open_dbus_connection(ADDRESS)
        self._sending = threading.Lock()
        proxy = Proxy(message_bus, self._connection)
        (owned,) = proxy.RequestName(NAME, DBusNameFlags.do_not_queue)
        assert owned == 1
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def signal(self, member: str, reader: str) -> None:
        emitter = DBusAddress(PATH, interface=NAME)
        with self._sending:
            self._connection.send(new_signal(emitter, member, "s", (reader,)))

    def close(self) -> None:
        with suppress(OSError):
            self._connection.sock.shutdown(2)
        self._thread.join(10)
        self._connection.close()

    def _serve(self) -> None:
        with suppress(OSError, EOFError):
            while True:
                message = self._connection.receive()
                if message.header.message_type is MessageType.method_call:
                    reply = self._reply(message)
                    with self._sending:
                        self._connection.send(reply)

    def _reply(self, call: Message) -> Message:
        member = call.header.fields[HeaderFields.member]
        assert call.header.fields[HeaderFields.path] == PATH
        self.asked.append((member, call.body))
        match self.answers[member]:
            case None:
                return new_method_return(call)
            case (str(name), str(text)):
                return new_error(call, f"{NAME}.Error.{name}", "s", (text,))
            case (str(name), str(text), dict(reason)):
                body = (text, _mapping(reason))
                return new_error(call, f"{NAME}.Error.{name}", "sa{sv}", body)
            case (str(text), list(rows)):
                answer = (text, [_mapping(row) for row in rows])
                return new_method_return(call, "saa{sv}", answer)
            case (list(one), list(two)):
                both = [[_mapping(row) for row in rows] for rows in (one, two)]
                return new_method_return(call, "aa{sv}aa{sv}", tuple(both))
            case dict(mapping):
                return new_method_return(call, "a{sv}", (_mapping(mapping),))
            case rows:
                return new_method_return(call, "aa{sv}", ([_mapping(row) for row in rows],))
