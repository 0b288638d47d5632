# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The keyservice over the system bus: sessions, questions and signals.

Answers do not go this way: each takes a connection of its own to the service's socket. jeepney is
imported when a :class:`Bus` is made, so that a client that uses only the sockets does without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from keyservice.contract.bus_steps import Variant, from_bus
from keyservice.contract.names import (
    BUS_NAME,
    DEADLINE_DEFAULT,
    INTERFACE,
    OBJECT_PATH,
    SESSION_ID_BYTES,
    ErrorName,
)
from keyservice.contract.operations import Operation
from keyservice.contract.requests import RequestError, Value, arguments
from keyservice.contract.steps import Prompt, Step, Verdict
from keyservice.core.closing import Closing
from keyservice.core.reasons import Reason

from .channel import (
    ClientError,
    Deadline,
    NotTrusted,
    ProtocolError,
    ServiceRefused,
    TimedOut,
    Unreachable,
    session_deadline,
)
from .link import deliver_answer

if TYPE_CHECKING:
    from jeepney import DBusAddress

    from .bus_link import BusLink

#: What a watcher hears: the service's signals, and its coming and going.
_RULES = (
    f"type='signal',interface='{INTERFACE}',path='{OBJECT_PATH}'",
    "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
    f"member='NameOwnerChanged',arg0='{BUS_NAME}'",
)


class EventKind(StrEnum):
    INSERTED = "inserted"
    REMOVED = "removed"
    GONE = "gone"  #: the service left the bus; `reader` is empty
    BACK = "back"  #: a service that is root's is on the bus again; `reader` is empty


_SIGNALS = {"UkeyInserted": EventKind.INSERTED, "UkeyRemoved": EventKind.REMOVED}


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened to a reader, or to the service itself."""

    kind: EventKind
    reader: str = ""


class Bus(Closing):
    """A connection to the keyservice over the system bus, whose address is fixed."""

    def __init__(self, *, timeout: float = DEADLINE_DEFAULT, grace: float | None = None) -> None:
        """Connect, start the service where the bus can, and see that it is root's.

        `timeout`: seconds, 1 to 300: from now on for a session, and for each question. `grace`:
        seconds more to wait for a session's verdict, as a rule ``channel.GRACE``. Raises
        :class:`Unreachable`, :class:`NotTrusted`, ``TimedOut``.
        """
        from .bus_link import BusLink

        self._timeout, self._deadline = session_deadline(timeout, grace)
        self._link: BusLink = BusLink(self._deadline)
        self._session = ""
        self._asked = False
        try:
            self._service = self._find()
        except BaseException:
            self._link.close()
            raise
        self._there = True

    # -- sessions

    def begin(self, operation: Operation, **fields: Value) -> Iterator[Step]:
        """As ``SocketSession.begin``: the steps up to and with the verdict."""
        try:
            body = arguments(operation, {"timeout": self._timeout, **fields})
        except RequestError as error:
            raise ServiceRefused(ErrorName.BAD_REQUEST, str(error), error.facts) from None
        signature = "".join(field.signature for field in operation.fields)
        reply = self._call(operation.method, signature, tuple(body))
        self._session = _shaped(reply, 4)[0]
        return self._steps(_step(reply[1:]))

    def _steps(self, step: Step) -> Iterator[Step]:
        while True:
            self._asked = isinstance(step, Prompt)
            yield step
            if isinstance(step, Verdict):
                return
            step = _step(_shaped(self._call("Continue", "s", (self._session,)), 3))

    def answer(self, answer: bytearray) -> None:
        """Answer the prompt that was yielded last, past the bus. `answer` is wiped."""
        try:
            if not self._asked:
                raise ClientError("nothing was asked")
            self._asked = False
            deliver_answer(_session_id(self._session), answer, self._deadline)
        finally:
            answer[:] = bytes(len(answer))

    def cancel(self) -> None:
        """Ask the service to end the session; the steps go on to its verdict."""
        self._asked = False
        self._call("Cancel", "s", (self._session,))

    # -- questions

    def list_ukeys(self) -> list[dict[str, Any]]:
        """One mapping per present ukey; ``docs/dbus-api.md`` says of what."""
        return _mappings(self._ask("ListUkeys"))

    def probe(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The readers, and each kind's look at what is in them. For root."""
        readers, looks = _shaped(self._ask("Probe"), 2)
        return [_mapping(each) for each in readers], [_mapping(each) for each in looks]

    def list_bindings(self) -> list[dict[str, Any]]:
        return _mappings(self._ask("ListBindings"))

    def list_revocations(self) -> list[dict[str, Any]]:
        return _mappings(self._ask("ListRevocations"))

    def unrevoke(self, fingerprint: str) -> None:
        """Take the revocation of a key back. `fingerprint`: 64 hex digits."""
        self._ask("Unrevoke", "s", (fingerprint,))

    def forget(self, user: str) -> list[dict[str, Any]]:
        """Forget that `user` had a ukey. Returns what was known of it."""
        return _mappings(self._ask("Forget", "s", (user,)))

    def export_bindings(self) -> tuple[str, list[dict[str, Any]]]:
        """A document of all bindings, and a row for each that is left out, its key revoked."""
        document, left = _shaped(self._ask("ExportBindings"), 2)
        return str(document), [_mapping(each) for each in left]

    def check_import(self, document: str) -> list[dict[str, Any]]:
        """What :meth:`import_bindings` would do, a row for each key."""
        return _mappings(self._ask("CheckImport", "s", (document,)))

    def import_bindings(self, document: str) -> list[dict[str, Any]]:
        """Bind all keys in a document, or none."""
        return _mappings(self._ask("ImportBindings", "s", (document,)))

    def accept_state(self) -> list[dict[str, Any]]:
        """Accept the records and histories as they are. Returns what was damaged or gone."""
        return _mappings(self._ask("AcceptState"))

    def reset_throttle(self, serial: str) -> None:
        self._ask("ResetThrottle", "s", (serial,))

    def verify_challenge(self, user: str, challenge: bytes, signature: bytes) -> bool:
        """Whether `signature`, as the key's algorithm has it, is by the ukey bound to `user`."""
        reply = self._ask("VerifyChallenge", "sayay", (user, challenge, signature))
        return bool(_shaped(reply, 1)[0])

    def status(self) -> dict[str, Any]:
        return _mapping(_shaped(self._ask("Status"), 1)[0])

    # -- signals

    def events(self, timeout: float | None = None) -> Iterator[Event]:
        """What happens from now on, for `timeout` seconds or without end.

        Goes on when the service is restarted. Raises ``TimedOut`` at the end of `timeout`,
        :class:`Unreachable` when the bus itself goes.
        """
        self._link.deadline = Deadline(self._timeout)
        for rule in _RULES:
            self._link.drive("AddMatch", "s", (rule,))
        return self._heard(Deadline(timeout))

    def _heard(self, deadline: Deadline) -> Iterator[Event]:
        from jeepney import HeaderFields

        while True:
            self._link.deadline = deadline
            message = self._link.signal()
            fields = message.header.fields
            sender, member = fields.get(HeaderFields.sender), fields.get(HeaderFields.member)
            if sender == "org.freedesktop.DBus" and member == "NameOwnerChanged":
                yield from self._owner_changed(message.body[2])
            elif self._there and sender == self._service.bus_name and member in _SIGNALS:
                yield Event(_SIGNALS[member], str(message.body[0]))

    def _owner_changed(self, owner: str) -> Iterator[Event]:
        if self._there:
            self._there = False
            yield Event(EventKind.GONE)
        self._link.deadline = Deadline(self._timeout)
        if owner:
            self._link.hear(owner)  # hear it from its start, in case it is root's
        if owner and self._uid_of(owner) == 0:
            self._service, self._there = _at(owner), True
            yield Event(EventKind.BACK)

    # -- the service

    def _call(self, member: str, signature: str | None = None, body: Any = ()) -> tuple[Any, ...]:
        """A call of a session, within the whole session's deadline."""
        self._link.deadline = self._deadline
        return self._link.call(self._service, member, signature, body)

    def _ask(self, member: str, signature: str | None = None, body: Any = ()) -> tuple[Any, ...]:
        """A question, which has a deadline of its own."""
        self._link.deadline = Deadline(self._timeout)
        return self._link.call(self._service, member, signature, body)

    def _find(self) -> DBusAddress:
        """The service by its unique name, which nobody else can take over."""
        try:
            owner = self._owner()
        except Unreachable:
            owner = self._started()
        uid = self._uid_of(owner)
        if uid != 0:
            raise NotTrusted(Reason.OWNED_BY, name=BUS_NAME, uid=uid)
        self._link.hear(owner)
        return _at(owner)

    def _owner(self) -> str:
        return str(self._link.drive("GetNameOwner", "s", (BUS_NAME,))[0])

    def _started(self) -> str:
        """The owner, after the bus was asked to start the service.

        If a service runs already, and only was not on the bus yet, the second one ends at once.
        """
        try:
            self._link.drive("StartServiceByName", "su", (BUS_NAME, 0))
        except TimedOut:
            raise
        except ClientError as error:
            try:
                return self._owner()
            except Unreachable:
                raise Unreachable(Reason.NOT_STARTED, reason=error.facts) from None
        return self._owner()

    def _uid_of(self, owner: str) -> int:
        return int(self._link.drive("GetConnectionUnixUser", "s", (owner,))[0])

    def close(self) -> None:
        """Leave the bus; a session that still runs ends."""
        self._link.close()


def _at(owner: str) -> DBusAddress:
    from jeepney import DBusAddress

    return DBusAddress(OBJECT_PATH, bus_name=owner, interface=INTERFACE)


def _shaped(reply: tuple[Any, ...], count: int) -> tuple[Any, ...]:
    if len(reply) != count:
        raise ProtocolError(f"a reply of {len(reply)} values instead of {count}")
    return reply


def _step(reply: tuple[Any, ...]) -> Step:
    kind, text, detail = reply
    if not isinstance(kind, str) or not isinstance(text, str) or not isinstance(detail, dict):
        raise ProtocolError("a step that is not known")
    try:
        return from_bus(kind, text, detail)
    except ValueError:
        raise ProtocolError("a step that is not known") from None


def _session_id(number: str) -> bytes:
    try:
        session = bytes.fromhex(number)
    except ValueError:
        session = b""
    if len(session) != SESSION_ID_BYTES:
        raise ProtocolError(f"a session id has {SESSION_ID_BYTES} bytes")
    return session


def _mappings(reply: tuple[Any, ...]) -> list[dict[str, Any]]:
    return [_mapping(each) for each in _shaped(reply, 1)[0]]


def _mapping(variants: dict[str, Variant]) -> dict[str, Any]:
    return {name: _value(variant) for name, variant in variants.items()}


def _value(variant: Variant) -> Any:
    """What a variant holds, mappings and lists of mappings without their own variants."""
    signature, value = variant
    if signature == "a{sv}":
        return _mapping(value)
    if signature == "aa{sv}":
        return [_mapping(each) for each in value]
    return value
