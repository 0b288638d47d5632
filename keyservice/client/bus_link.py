# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A blocking connection to the system bus with one deadline, on jeepney's codec.

jeepney's own connection waits without end while it authenticates, and takes whatever any peer
sends. Here every read is bounded in time and size, and only those peers that were asked are heard:
anyone on the bus may send signals to anyone, and those are neither parsed nor kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from jeepney import (
    DBusAddress,
    HeaderFields,
    Message,
    MessageType,
    new_method_call,
)
from jeepney.auth import AuthenticationError, Authenticator

from keyservice.contract.dbus_wire import RawMessage, Splitter, WireError
from keyservice.contract.names import ERROR_PREFIX, SYSTEM_BUS, ErrorName
from keyservice.core.reasons import Reason

from .channel import Channel, ClientError, Deadline, ProtocolError, ServiceRefused, Unreachable

#: Bytes of a message that is looked at. The longest of ours are a few thousand.
_MESSAGE_MAX = 1 << 20
_READ = 65536
#: Signals that are kept while nobody fetches them; the oldest go first.
_SIGNALS_MAX = 1024

_DRIVER = DBusAddress(
    "/org/freedesktop/DBus", bus_name="org.freedesktop.DBus", interface="org.freedesktop.DBus"
)
_GONE = frozenset(
    f"org.freedesktop.DBus.Error.{name}"
    for name in ("NameHasNoOwner", "ServiceUnknown", "NoReply", "Disconnected")
)


class BusLink:
    """Calls and signals over the system bus, always that of this host."""

    def __init__(self, deadline: Deadline) -> None:
        self._channel = Channel(SYSTEM_BUS.removeprefix("unix:path="), deadline)
        self._splitter = Splitter(_MESSAGE_MAX)
        self._buffer = bytearray(_READ)
        self._received: deque[RawMessage] = deque()
        self._speakers = {_DRIVER.bus_name}
        self._signals: deque[Message] = deque(maxlen=_SIGNALS_MAX)
        self._serial = 0
        try:
            self._authenticate()
            self.drive("Hello")
        except BaseException:
            self.close()
            raise

    def _authenticate(self) -> None:
        exchange = Authenticator()
        try:
            for line in exchange:
                self._channel.send(line)
                if not exchange.authenticated and exchange.error is None:
                    exchange.feed(self._read())
        except AuthenticationError:
            raise Unreachable(Reason.BUS_REFUSES) from None
        self._channel.send(b"BEGIN\r\n")

    def hear(self, name: str) -> None:
        """Hear the signals of the unique name `name` from now on."""
        self._speakers.add(name)

    def call(
        self, address: DBusAddress, member: str, signature: str | None = None, body: Any = ()
    ) -> tuple[Any, ...]:
        """The reply's body. Raises :class:`ServiceRefused` for a named error of the service."""
        self._serial += 1
        message = new_method_call(address, member, signature, body)
        try:
            data = message.serialise(self._serial)
        except (TypeError, ValueError, OverflowError):
            raise ServiceRefused(ErrorName.BAD_REQUEST, f"{member}: wrong arguments") from None
        self._speakers.add(address.bus_name)
        self._channel.send(data)
        serial = self._serial
        # When the callee goes away in mid-call, the bus itself answers in its place.
        answerers = (address.bus_name, _DRIVER.bus_name)
        reply = self._next(
            lambda heard: (
                heard.header.fields.get(HeaderFields.reply_serial) == serial
                and heard.header.fields.get(HeaderFields.sender) in answerers
            )
        )
        if reply.header.message_type is MessageType.method_return:
            return tuple(reply.body)
        raise _error(reply)

    def drive(self, member: str, signature: str | None = None, body: Any = ()) -> tuple[Any, ...]:
        """A call to the bus itself."""
        return self.call(_DRIVER, member, signature, body)

    @property
    def deadline(self) -> Deadline:
        """The time by which a call or a wait for a signal is done."""
        return self._channel.deadline

    @deadline.setter
    def deadline(self, deadline: Deadline) -> None:
        self._channel.deadline = deadline

    def signal(self) -> Message:
        """The next signal of those that are heard; the caller looks at its sender."""
        if self._signals:
            return self._signals.popleft()
        return self._next(lambda heard: heard.header.message_type is MessageType.signal)

    def _next(self, wanted: Callable[[Message], bool]) -> Message:
        """The next message that is `wanted`; other signals are kept."""
        while True:
            while self._received:
                message = self._parsed(self._received.popleft())
                if message is None:
                    continue
                if wanted(message):
                    return message
                if message.header.message_type is MessageType.signal:
                    self._signals.append(message)
            try:
                self._received.extend(self._splitter.feed(self._read()))
            except WireError as error:
                raise ProtocolError(str(error)) from None

    def _read(self) -> bytes:
        with memoryview(self._buffer) as view:
            count = self._channel.receive_into(view)
        if not count:
            raise Unreachable(Reason.BUS_CLOSED)
        return bytes(self._buffer[:count])

    def _parsed(self, raw: RawMessage) -> Message | None:
        """The message; None for a stranger's, and for what jeepney cannot read."""
        if raw.data is None or raw.head is None or raw.head.sender not in self._speakers:
            return None
        try:
            return Message.from_buffer(raw.data)
        except Exception:
            return None

    def close(self) -> None:
        self._channel.close()


def _error(reply: Message) -> ClientError:
    name = str(reply.header.fields.get(HeaderFields.error_name, ""))
    text = reply.body[0] if reply.body and isinstance(reply.body[0], str) else ""
    if name.startswith(ERROR_PREFIX):
        short = name.removeprefix(ERROR_PREFIX)
        known = ErrorName(short) if short in list(ErrorName) else ErrorName.FAILED
        return ServiceRefused(known, text, _facts(reply.body))
    if name in _GONE:
        return Unreachable(Reason.NOT_ON_BUS)
    return ClientError(f"the bus said {name}")


def _facts(body: tuple[Any, ...]) -> dict[str, object]:
    """The reason behind an error's text, empty where there is none."""
    facts = body[1] if len(body) > 1 and isinstance(body[1], dict) else {}
    return {name: variant[1] for name, variant in facts.items() if isinstance(variant, tuple)}
