# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The bus interface as a table: what each method takes and gives, and who may call it.

Nothing here knows a D-Bus library. A method without a right is refused to all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from keyservice.access.operations import FUNCTIONS
from keyservice.contract.names import (
    DOCUMENT_MAX,
    INTERFACE,
    OBJECT_PATH,
    SESSION_ID_BYTES,
    SIGNATURE_MAX,
)
from keyservice.contract.operations import SERIAL, USER, Operation
from keyservice.core.errors import BadRequest
from keyservice.core.reasons import Reason


class Right(Enum):
    """Who may call a method. The access floor decides what they see, and what they may do."""

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
        """Raise BadRequest for a value out of bounds; the signature has settled its type."""
        if isinstance(value, str):
            size = len(value.encode())
        elif isinstance(value, bytes):
            size = len(value)
        else:
            raise TypeError(f"no bound is known for {self.signature}")
        if size > self.limit:
            raise BadRequest(Reason.TOO_LONG, name=self.name, limit=self.limit)


@dataclass(frozen=True, slots=True)
class Method:
    """A method of the interface."""

    name: str
    right: Right | None = None
    takes: tuple[Argument, ...] = ()
    gives: tuple[Argument, ...] = ()
    operation: Operation | None = None  #: the operation that it begins

    @property
    def signature(self) -> str:
        return "".join(argument.signature for argument in self.takes)


_SESSION = Argument("session", "s", 2 * SESSION_ID_BYTES)
_STEP = (Argument("kind", "s"), Argument("text", "s"), Argument("detail", "a{sv}"))


def _begin(operation: Operation) -> Method:
    takes = tuple(Argument(each.name, each.signature, each.limit) for each in operation.fields)
    right = Right.ROOT if operation.root_only else Right.ANYONE
    return Method(operation.method, right, takes, (_SESSION, *_STEP), operation)


_ALL = (
    *(_begin(operation) for operation in FUNCTIONS),
    Method("Continue", Right.BEGINNER, (_SESSION,), _STEP),
    Method("Cancel", Right.BEGINNER, (_SESSION,)),
    Method("ListUkeys", Right.ANYONE, gives=(Argument("ukeys", "aa{sv}"),)),
    Method(
        "Probe",
        Right.ROOT,
        gives=(Argument("readers", "aa{sv}"), Argument("looks", "aa{sv}")),
    ),
    Method("ListBindings", Right.ANYONE, gives=(Argument("bindings", "aa{sv}"),)),
    Method(
        "ExportBindings",
        Right.ROOT,
        gives=(Argument("document", "s"), Argument("left", "aa{sv}")),
    ),
    Method(
        "CheckImport",
        Right.ROOT,
        (Argument("document", "s", DOCUMENT_MAX),),
        (Argument("keys", "aa{sv}"),),
    ),
    Method(
        "ImportBindings",
        Right.ROOT,
        (Argument("document", "s", DOCUMENT_MAX),),
        (Argument("keys", "aa{sv}"),),
    ),
    Method("ListRevocations", Right.ROOT, gives=(Argument("revocations", "aa{sv}"),)),
    Method("Unrevoke", Right.ROOT, (Argument("fingerprint", "s", 64),)),
    Method(
        "Forget", Right.ROOT, (Argument("user", "s", USER.limit),), (Argument("known", "aa{sv}"),)
    ),
    Method("AcceptState", Right.ROOT, gives=(Argument("accepted", "aa{sv}"),)),
    Method("ResetThrottle", Right.ROOT, (Argument("serial", "s", SERIAL.limit),)),
    Method(
        "VerifyChallenge",
        Right.ROOT,
        (
            Argument("user", "s", USER.limit),
            Argument("challenge", "ay", 64),
            Argument("signature", "ay", SIGNATURE_MAX),
        ),
        (Argument("right", "b"),),
    ),
    Method("Status", Right.ANYONE, gives=(Argument("status", "a{sv}"),)),
)

METHODS: dict[str, Method] = {method.name: method for method in _ALL}

INSERTED, REMOVED = "UkeyInserted", "UkeyRemoved"
_SIGNALS = {name: (Argument("reader", "s"),) for name in (INSERTED, REMOVED)}

_INTROSPECTABLE = "org.freedesktop.DBus.Introspectable"
_PEER = "org.freedesktop.DBus.Peer"
#: Interface and method → the input signature, for the methods that each object of the service has.
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
