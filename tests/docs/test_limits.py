# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``docs/security.md`` names the limits that there are."""

from __future__ import annotations

from pathlib import Path

from keyservice import descriptors
from keyservice.access import flood
from keyservice.access.shares import SESSIONS, Share
from keyservice.contract.names import FRAME_MAX
from keyservice.core import threads
from keyservice.core.logsocket import BACKLOG, PASSING
from keyservice.servers import bus_calls, bus_clients
from keyservice.servers.bus_gate import MESSAGE_MAX
from keyservice.servers.sockets import Limits

TEXT = (Path(__file__).parents[2] / "docs/security.md").read_text()
SECTION = TEXT.split("## Nobody uses up what others log in with")[1].split("\n## ")[0]
PLAIN = " ".join(SECTION.split())


def row(name: str) -> list[str]:
    (line,) = [line for line in SECTION.splitlines() if line.startswith(f"| {name}")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_the_table_has_the_numbers_of_the_code() -> None:
    console, greeter, system, people, users = (SESSIONS[share] for share in Share)
    assert row("sessions") == [
        f"{console.total}; {console.each} of a terminal",
        f"{greeter.total}; {greeter.each} of a display",
        f"{system.total}",
        f"{people.total}; {people.each}",
        f"{users.total}; {users.each}",
    ]
    left = threads.LIMIT - threads.SYSTEM - threads.PEOPLE
    of_threads = row(f"threads for look-ups, of {threads.LIMIT}")
    assert of_threads[0] == f"the {left} that others leave, or more"
    assert of_threads[2:4] == [f"{threads.SYSTEM}", f"{threads.PEOPLE}; {threads.PERSON}"]
    lines = row("lines a minute")
    assert lines[2:4] == [f"{flood.LINES_OF_ROOT}", f"{flood.LINES_OF_ALL}; {flood.LINES}"]
    limits = Limits()
    assert row("connections on `root.sock`")[0] == f"{limits.root} in all"
    assert row("connections on `user.sock`")[4] == f"{limits.users}; {limits.per_uid}"
    clients = row("names on the bus")
    assert clients[0] == f"{bus_clients.ROOT_CLIENTS} of root's"
    assert clients[4] == f"{bus_clients.OTHER_CLIENTS}; {bus_clients.CLIENTS_OF_UID}"


def test_so_has_the_text() -> None:
    for words in (
        f"{bus_calls.PER_SENDER} of a connection may wait for their reply, up to {bus_calls.MANY};",
        f"one of each connection, up to {bus_calls.ALL:,}.",
        f"all of this at once is {descriptors.needed():,};",
        f"{BACKLOG:,} lines wait for it, of which refusals have {PASSING}.",
        f"operators' lines {flood.LINES} of a kind are written in a minute",
        f"{FRAME_MAX // 1024} KiB of buffer for a connection,",
        f"at most {MESSAGE_MAX // 1024} KiB for each of those {bus_calls.ALL:,} calls.",
    ):
        assert words in PLAIN
