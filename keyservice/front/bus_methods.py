# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The bus interface as a table: what each method takes and gives, and who may call it.

Nothing here knows a D-Bus library. A method without an entry in ``RIGHTS`` is refused to all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from keyservice.contract import requests
from keyservice.contract.names import INTERFACE, OBJECT_PATH, SESSION_ID_BYTES, Operation
from keyservice.contract.requests import BEGIN_METHODS, FIELDS
from keyservice.core.errors import BadRequest


class Right(Enum):
    """Who may call a method. What he then sees or may do to whom is the access floor's rule."""

    ROOT = auto()  #: uid 0
    ANYONE = auto()  #: any uid, for what is its own
    BEGINNER = auto()  #: the connection that began the session in the argument


@dataclass(frozen=True, slots=True)
class Argument:
    """`limit`: the most bytes, or the greatest number."""

    name: str
    signature: str
    limit: int = 0

    def check(self, value: object) -> None:
        """Raise BadRequest for a value out of bounds; its type was the signature's matter."""
        if isinstance(value, str):
            size = len(value.encode())
        elif isinstance(value, bytes):
            size = len(value)
        else:
            raise TypeError(f"no bound is known for {self.signature}")
        if size > self.limit:
            raise BadRequest(f"{self.name} has over {self.limit} bytes")


@dataclass(frozen=True, slots=True)
class Method:
    """A method of the interface."""

    name: str
    takes: tuple[Argument, ...] = ()
    gives: tuple[Argument, ...] = ()
    operation: Operation | None = None  #: what it begins

    @property
    def signature(self) -> str:
        return "".join(argument.signature for argument in self.takes)


_SESSION = Argument("session", "s", 2 * SESSION_ID_BYTES)
_STEP = (Argument("kind", "s"), Argument("text", "s"), Argument("detail", "a{sv}"))


def _begin(operation: Operation) -> Method:
    takes = tuple(Argument(each.name, each.signature, each.limit) for each in FIELDS[operation])
    return Method(BEGIN_METHODS[operation], takes, (_SESSION, *_STEP), operation)


_ALL = (
    *(_begin(operation) for operation in Operation),
    Method("Continue", (_SESSION,), _STEP),
    Method("Cancel", (_SESSION,)),
    Method("ListUkeys", gives=(Argument("ukeys", "aa{sv}"),)),
    Method("ListBindings", gives=(Argument("bindings", "aa{sv}"),)),
    Method("ListRevocations", gives=(Argument("revocations", "aa{sv}"),)),
    Method("Unrevoke", (Argument("fingerprint", "s", 64),)),
    Method("ResetThrottle", (Argument("serial", "s", requests.SERIAL.limit),)),
    Method(
        "VerifyChallenge",
        (
            Argument("user", "s", requests.USER.limit),
            Argument("challenge", "ay", 64),
            Argument("signature", "ay", 64),
        ),
        (Argument("right", "b"),),
    ),
    Method("Status", gives=(Argument("status", "a{sv}"),)),
)

METHODS: Mapping[str, Method] = {method.name: method for method in _ALL}

RIGHTS: Mapping[str, Right] = {
    "BeginAuthentication": Right.ANYONE,
    "BeginBind": Right.ROOT,
    "BeginUnbind": Right.ROOT,
    "BeginChangePin": Right.ANYONE,
    "BeginUnblockPin": Right.ROOT,
    "BeginVerifyPin": Right.ANYONE,
    "Continue": Right.BEGINNER,
    "Cancel": Right.BEGINNER,
    "ListUkeys": Right.ANYONE,
    "ListBindings": Right.ANYONE,
    "ListRevocations": Right.ROOT,
    "Unrevoke": Right.ROOT,
    "ResetThrottle": Right.ROOT,
    "VerifyChallenge": Right.ROOT,
    "Status": Right.ANYONE,
}

INSERTED, REMOVED = "UkeyInserted", "UkeyRemoved"
_SIGNALS = {name: (Argument("reader", "s"),) for name in (INSERTED, REMOVED)}

_INTROSPECTABLE = "org.freedesktop.DBus.Introspectable"
_PEER = "org.freedesktop.DBus.Peer"
#: Interface and method → the input signature, for what each object of the service answers.
STANDARD = {(_INTROSPECTABLE, "Introspect"): "", (_PEER, "Ping"): ""}

#: Every input signature that any of our methods has: no other passes the gate.
SIGNATURES = frozenset(method.signature for method in _ALL) | frozenset(STANDARD.values())

_DOCTYPE = (
    '<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"\n'
    ' "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">\n'
)


def introspection(path: str) -> str | None:
    """The XML for the object at `path`, None where there is none."""
    if path == OBJECT_PATH:
        return _DOCTYPE + _object()
    parent = path.rstrip("/") + "/"
    if not OBJECT_PATH.startswith(parent):
        return None
    child = OBJECT_PATH.removeprefix(parent).partition("/")[0]
    return f'{_DOCTYPE}<node>\n  <node name="{child}"/>\n</node>\n'


def _object() -> str:
    lines = ["<node>"]
    lines += [f'  <interface name="{_INTROSPECTABLE}">', '    <method name="Introspect">']
    lines += ['      <arg name="xml" type="s" direction="out"/>', "    </method>", "  </interface>"]
    lines += [f'  <interface name="{_PEER}">', '    <method name="Ping"/>', "  </interface>"]
    lines += [f'  <interface name="{INTERFACE}">']
    for method in _ALL:
        lines += [f'    <method name="{method.name}">']
        lines += _arguments(method.takes, ' direction="in"')
        lines += _arguments(method.gives, ' direction="out"')
        lines += ["    </method>"]
    for name, arguments in _SIGNALS.items():
        lines += [f'    <signal name="{name}">', *_arguments(arguments, ""), "    </signal>"]
    return "\n".join([*lines, "  </interface>", "</node>", ""])


def _arguments(arguments: Sequence[Argument], direction: str) -> list[str]:
    return [
        f'      <arg name="{each.name}" type="{each.signature}"{direction}/>' for each in arguments
    ]
