# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A keyservice of the user's own that says yes to everything: ``impostor_bus.py BUS-ADDRESS``.

Run as the user, on a bus of the user's own. Standard output: ``ready``, then the uid of each
client that comes to the bus, and the name of each method that the keyservice is asked for.
"""

from __future__ import annotations

import sys

from jeepney import (
    DBusAddress,
    HeaderFields,
    MatchRule,
    Message,
    MessageType,
    new_method_call,
    new_method_return,
)
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import open_dbus_connection

NAME = "org.ukey.KeyService1"
_SESSION = "0" * 32
_YES = ("verdict", "", {"code": ("s", "SUCCESS"), "facts": ("a{sv}", {})})
_BUS = DBusAddress("/", bus_name="org.freedesktop.DBus", interface="org.freedesktop.DBus")


def _answer(call: Message) -> Message:
    first = (_SESSION,) if call.header.fields[HeaderFields.member].startswith("Begin") else ()
    return new_method_return(call, "s" * len(first) + "ssa{sv}", (*first, *_YES))


def main(address: str) -> None:
    bus = open_dbus_connection(address)
    come = MatchRule(type="signal", interface=_BUS.interface, member="NameOwnerChanged")
    bus.send_and_get_reply(message_bus.AddMatch(come))
    bus.send_and_get_reply(message_bus.RequestName(NAME))
    print("ready", flush=True)
    while True:
        message = bus.receive()
        if message.header.message_type is MessageType.method_call:
            print(message.header.fields[HeaderFields.member], flush=True)
            bus.send(_answer(message))
        elif message.header.message_type is MessageType.signal and message.body[2].startswith(":"):
            who = new_method_call(_BUS, "GetConnectionUnixUser", "s", (message.body[2],))
            bus.send(who)
        elif message.header.message_type is MessageType.method_return and message.body:
            print(*message.body, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
