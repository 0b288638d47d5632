# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The server on the bus: the one importer of the D-Bus library.

It uses dbus-fast's codec and connection, not its exported objects. Every call comes to one function
with its sender, is looked up in a table, and runs inside one wrapper that checks the caller's right
and turns every exception into a named error. A call that no table lists is refused.
"""

from __future__ import annotations

import asyncio
import io
import logging
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from dbus_fast import (
    AuthError,
    DBusError,
    Message,
    MessageFlag,
    MessageType,
    NameFlag,
    RequestNameReply,
    Variant,
)
from dbus_fast.aio import MessageBus

from keyservice.access.conversation import Caller
from keyservice.access.session import Sessions
from keyservice.contract import bus_steps
from keyservice.contract.dbus_wire import Head, WireError
from keyservice.contract.names import BUS_NAME, ERROR_PREFIX, INTERFACE, OBJECT_PATH
from keyservice.contract.steps import Detail
from keyservice.core.errors import Busy, DeadlinePassed, NotAllowed
from keyservice.core.reasons import Reason

from . import bus_methods, errors
from .bus_answers import Administration, Answers, Call
from .bus_calls import Calls
from .bus_clients import BusClients
from .bus_gate import Gate, GatedSocket
from .bus_methods import METHODS, STANDARD, Argument, Method, Right
from .bus_unsent import Unsent

_LOG = logging.getLogger(__name__)

_DRIVER = "org.freedesktop.DBus"
_DRIVER_PATH = "/org/freedesktop/DBus"
_PEER = "org.freedesktop.DBus.Peer"
_STANDARD_ERROR = "org.freedesktop.DBus.Error."

#: Seconds that the bus itself may take to do anything.
_BUS_SECONDS = 5.0
#: Seconds for a call that is not a session's.
_CALL_SECONDS = 30.0


class BusAbsent(Exception):
    """No bus, or one that does not take us. The text names the reason, for the log."""


class _GatedBus(MessageBus):
    """dbus-fast's connection with the gate before its parser.

    The library takes no socket from outside, so two of its own methods are overridden. Another
    version need not call them: after the first reply we check that the gate is in force.
    """

    def __init__(self, address: str, gate: Gate) -> None:
        super().__init__(address, negotiate_unix_fd=False, auth_timeout=_BUS_SECONDS)
        self._gate = gate

    @staticmethod
    def _create_socket_for_transport(
        transport: str, options: dict[str, str]
    ) -> tuple[socket.socket, io.BufferedRWPair, bytes | str | tuple[str, int]]:
        gated = GatedSocket()
        return gated, gated.makefile("rwb"), options["path"]

    async def _authenticate(self) -> None:
        await super()._authenticate()
        if isinstance(self._sock, GatedSocket):
            self._sock.gate = self._gate


class BusConnection:
    """One connection to the bus, its clients and its calls."""

    def __init__(
        self, address: str, sessions: Sessions, administration: Administration, *, last: str = ""
    ) -> None:
        """`last`: the name of the connection that the service had before."""
        self._last = last
        self._gate = Gate(bus_methods.SIGNATURES, self._not_passed)
        self._bus = _GatedBus(address, self._gate)
        self._clients = BusClients(sessions, self)
        self._answers = Answers(self._clients, administration)
        self._calls = Calls()
        self._unsent = Unsent(self._stuck)
        self._tasks: set[asyncio.Task[None]] = set()

    # -- from its start to its end

    @property
    def name(self) -> str:
        """Its unique name, empty before it has one."""
        return self._bus.unique_name or ""

    async def open(self) -> None:
        """Connect and ask for the name. Raises :class:`BusAbsent`."""
        try:
            async with asyncio.timeout(2 * _BUS_SECONDS):
                await self._bus.connect()
                if not self._gate.in_force:
                    raise BusAbsent("this version of dbus-fast goes round the gate")
                self._bus.add_message_handler(self._heard)
                await self._match(True, BUS_NAME)
                await self._own()
        except (OSError, AuthError, DBusError, EOFError, WireError) as error:
            raise BusAbsent(type(error).__name__) from None

    async def _own(self) -> None:
        """Ask for the name. Another process that has it keeps it, and the log says so."""
        async with asyncio.timeout(_BUS_SECONDS):
            reply = await self._bus.request_name(BUS_NAME, NameFlag.DO_NOT_QUEUE)
        if reply in (RequestNameReply.PRIMARY_OWNER, RequestNameReply.ALREADY_OWNER):
            _LOG.info("owns %s", BUS_NAME)
            return
        owner = "somebody else"
        with suppress(NotAllowed, DBusError):
            (name,) = await self._drive("GetNameOwner", "s", [BUS_NAME])
            if name == self._last:
                self._put_an_end_to_the_last()
                return
            owner = "uid {}, pid {}".format(*await self.credentials(name))
        _LOG.error("%s is owned by %s: nobody is served on the bus", BUS_NAME, owner)

    def _put_an_end_to_the_last(self) -> None:
        """Our last connection has the name. The bus reads nothing from it, so it notices the
        connection's end only when it has a message for it; then the name is free."""
        ping = Message(BUS_NAME, OBJECT_PATH, _PEER, "Ping", flags=MessageFlag.NO_REPLY_EXPECTED)
        self._send(ping)

    async def _own_again(self) -> None:
        """The process that had the name has left."""
        with suppress(OSError, EOFError, DBusError):
            await self._own()

    async def closed(self) -> None:
        """Return when the connection has ended, for whatever reason."""
        try:
            await self._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
        except Exception as error:
            _LOG.info("the connection to the bus ended: %s", type(error).__name__)

    def _stuck(self) -> None:
        if self._bus.connected:
            _LOG.warning("the bus takes nothing from the service: it is left")
            self._bus.disconnect()

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        self._clients.close()
        self._unsent.close()
        if self._bus.connected:
            self._bus.disconnect()
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self.closed()

    # -- what BusClients asks of the bus

    async def credentials(self, name: str) -> tuple[int, int]:
        try:
            (found,) = await self._drive("GetConnectionCredentials", "s", [name])
        except DBusError:
            raise NotAllowed("The bus does not say who calls") from None
        uid, pid = found.get("UnixUserID"), found.get("ProcessID")
        if uid is None:
            raise NotAllowed("The bus does not say who calls")
        return int(uid.value), int(pid.value) if pid is not None else 0

    async def watch(self, name: str) -> bool:
        try:
            await self._match(True, name)
        except DBusError:
            raise Busy(Reason.WATCHED) from None
        (there,) = await self._drive("NameHasOwner", "s", [name])
        return bool(there)

    def unwatch(self, name: str) -> None:
        task = asyncio.get_running_loop().create_task(self._unmatch(name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _unmatch(self, name: str) -> None:
        with suppress(DBusError, OSError, EOFError, TimeoutError):
            await self._match(False, name)

    async def _match(self, add: bool, name: str) -> None:
        rule = (
            f"type='signal',sender='{_DRIVER}',path='{_DRIVER_PATH}',interface='{_DRIVER}',"
            f"member='NameOwnerChanged',arg0='{name}'"
        )
        await self._drive("AddMatch" if add else "RemoveMatch", "s", [rule])

    async def _drive(self, member: str, signature: str, body: list[Any]) -> list[Any]:
        """Ask the bus itself. Raises DBusError with its error."""
        message = Message(_DRIVER, _DRIVER_PATH, _DRIVER, member, signature=signature, body=body)
        async with asyncio.timeout(_BUS_SECONDS):
            reply = await self._bus.call(message)
        if reply.message_type is not MessageType.METHOD_RETURN:
            raise DBusError(reply.error_name or "", "")
        return list(reply.body)

    # -- what comes in

    def _heard(self, message: Message) -> bool:
        """Every message that passed the gate. True: the library has nothing more to do with it."""
        if message.message_type is MessageType.METHOD_CALL:
            self._called(message)
            return True
        if message.message_type is MessageType.SIGNAL:
            if message.member == "NameOwnerChanged":
                self._owner_changed(*message.body)
            return True
        return False

    def _owner_changed(self, name: str, _old: str, new: str) -> None:
        if new:
            return
        if name == BUS_NAME:
            self._spawn("", self._own_again())
        else:
            self._clients.gone(name)

    def _called(self, message: Message) -> None:
        if self._unsent.full:
            return  # we cannot tell its sender either
        interface, member = message.interface or INTERFACE, message.member or ""
        if (interface, member) in STANDARD:
            self._standard(message, interface)
            return
        if message.path != OBJECT_PATH:
            self._fail(message, _STANDARD_ERROR + "UnknownObject", "There is no such object")
            return
        method = METHODS.get(member) if interface == INTERFACE else None
        if method is None:
            self._fail(message, _STANDARD_ERROR + "UnknownMethod", "There is no such method")
            return
        if message.signature != method.signature:
            text = f"{member} takes the signature {method.signature!r}"
            self._fail(message, _STANDARD_ERROR + "InvalidArgs", text)
            return
        sender = message.sender or ""
        if not self._calls.admits(sender):
            self._fail_named(message, Busy(Reason.CALLS))
            return
        self._spawn(sender, self._serve(message, method))

    def _standard(self, message: Message, interface: str) -> None:
        if message.signature:
            self._fail(message, _STANDARD_ERROR + "InvalidArgs", "It takes no arguments")
        elif interface == _PEER:
            self._reply(message, (), [])
        else:
            xml = bus_methods.introspection(message.path or "")
            if xml is None:
                self._fail(message, _STANDARD_ERROR + "UnknownObject", "There is no such object")
            else:
                self._reply(message, (Argument("xml", "s"),), [xml])

    def _spawn(self, sender: str, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._calls.begun(sender)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._done(sender, done))

    def _done(self, sender: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._calls.ended(sender)
        if not task.cancelled() and task.exception() is not None:
            _LOG.error("a call failed unexpectedly", exc_info=task.exception())

    async def _serve(self, message: Message, method: Method) -> None:
        """The one way to a method: its right, its bounds, its deadline, its errors by name."""
        sender = message.sender or ""
        right = method.right
        in_session = right is Right.BEGINNER or method.operation is not None
        try:
            async with asyncio.timeout(None if in_session else _CALL_SECONDS):
                caller = await self._allowed(sender, right)
                if method.operation is None:
                    for argument, value in zip(method.takes, message.body, strict=True):
                        argument.check(value)
                body = await self._answers.to(Call(caller, method, message.body))
        except TimeoutError:
            self._fail_named(message, DeadlinePassed())
        except (OSError, EOFError):
            return  # the bus is gone, and the caller too
        except Exception as error:
            self._fail_named(message, error)
        else:
            self._reply(message, method.gives, body)

    async def _allowed(self, sender: str, right: Right | None) -> Caller:
        """Who `sender` is, if a method with that `right` is open to it. Denies by default."""
        if right is not None:
            caller = await self._clients.caller(sender)
            if right is not Right.ROOT or caller.root:
                return caller
        raise NotAllowed(Reason.ROOT_ONLY)

    # -- what goes out

    def signal(self, member: str, reader: str) -> None:
        self._send(Message.new_signal(OBJECT_PATH, INTERFACE, member, "s", [reader]))

    def _reply(self, call: Message, gives: Sequence[Argument], body: Sequence[Any]) -> None:
        if call.flags & MessageFlag.NO_REPLY_EXPECTED:
            return
        signature = "".join(argument.signature for argument in gives)
        try:
            values = [_wrapped(*each) for each in zip(gives, body, strict=True)]
            self._send(Message.new_method_return(call, signature, values))
        except Exception as error:
            self._fail_named(call, error)

    def _fail_named(self, call: Message, error: Exception) -> None:
        name, text, reason = errors.told(error)
        self._fail(call, ERROR_PREFIX + name.value, text, reason)

    def _fail(self, call: Message, name: str, text: str, reason: Detail | None = None) -> None:
        """Send the error `name`; if it has a `reason` as data, that follows the text."""
        if call.flags & MessageFlag.NO_REPLY_EXPECTED:
            return
        reply = Message.new_error(call, name, text)
        if reason:
            facts = {fact: bus_steps.variant_of(value) for fact, value in reason.items()}
            reply.signature, reply.body = "sa{sv}", [text, _variants(facts)]
        self._send(reply)

    def _not_passed(self, head: Head) -> None:
        """The gate turned a call away: nobody looked at its content."""
        if self._unsent.full:
            return
        known = head.signature in bus_methods.SIGNATURES
        self._send(
            Message(
                destination=head.sender,
                message_type=MessageType.ERROR,
                error_name=_STANDARD_ERROR + ("LimitsExceeded" if known else "InvalidArgs"),
                reply_serial=head.serial,
                signature="s",
                body=["The message is too long" if known else "No method takes these arguments"],
            )
        )

    def _send(self, message: Message) -> None:
        if self._bus.connected:
            self._unsent.add(self._bus.send(message))


def _wrapped(argument: Argument, value: Any) -> Any:
    """`value` with its variants as the library has them."""
    if argument.signature == "a{sv}":
        return _variants(value)
    if argument.signature == "aa{sv}":
        return [_variants(each) for each in value]
    return value


def _variants(pairs: Mapping[str, bus_steps.Variant]) -> dict[str, Variant]:
    return {
        name: Variant(signature, _variants(value) if signature == "a{sv}" else value)
        for name, (signature, value) in pairs.items()
    }
