# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey watch``: tell of each insertion and removal as it happens."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from keyservice.client.session import Bus, EventKind, TimedOut, Unreachable
from tools import output
from tools.bus import Row, asking, row, text, word
from tools.exits import Exit
from tools.language import N_, _
from tools.manual import Manual
from tools.output import Colour
from tools.parser import Parser

from . import list as listing

#: The events, and how each is said.
EVENTS: dict[str, tuple[str, Colour]] = {
    "present": (N_("present"), Colour.NONE),
    EventKind.INSERTED: (N_("inserted"), Colour.GOOD),
    EventKind.REMOVED: (N_("removed"), Colour.WARNING),
    EventKind.GONE: (N_("keyservice gone"), Colour.ALARM),
    EventKind.BACK: (N_("keyservice back"), Colour.GOOD),
}
KEYS = tuple(
    pair for pair in listing.KEYS if pair[0] in ("reader", "serial", "label", "user", "mine")
)

MANUAL = Manual(
    summary=N_("Tell of each insertion and removal as it happens."),
    about=N_(
        "What is there already comes first. Then a line for each event, until Ctrl-C. It goes on "
        "when the keyservice is restarted, and ends when the system bus does."
    ),
    examples=(
        ("ukey watch", N_("see whether a reader and its ukey are recognised")),
        (
            'ukey watch --json | while read -r event; do logger -t ukeys "$event"; done',
            N_("a JSON object a line, for a program"),
        ),
    ),
    json_keys=(
        ("event", N_("present, inserted, removed, gone or back (the keyservice itself)")),
        ("time", N_("when: UTC, ISO 8601")),
        *KEYS,
    ),
    see=("ukey list",),
)


def parser() -> Parser:
    return Parser("ukey watch", MANUAL)


def command(arguments: Sequence[str]) -> Exit:
    given = parser().parse_args(arguments)
    with asking() as bus:
        _Watch(bus, json=given.json).run()
    return Exit.OK


class _Watch:
    """What was last seen in each reader, so that a removal can say what was removed."""

    def __init__(self, bus: Bus, *, json: bool) -> None:
        self._bus, self._json = bus, json
        self._seen: dict[str, Row] = {}
        #: readers whose ukey was told of already: its signal may still be on its way
        self._told: set[str] = set()

    def run(self) -> None:
        events = self._bus.events()  # from here on none is missed
        self._look(tell=True)
        for event in events:
            match event.kind:
                case EventKind.INSERTED if event.reader not in self._told:
                    self._look_again(tell=False)
                    self._told.add(event.reader)
                    self._tell(event.kind, self._seen.get(event.reader, {"reader": event.reader}))
                case EventKind.REMOVED:
                    self._told.discard(event.reader)
                    gone = self._seen.pop(event.reader, {"reader": event.reader})
                    self._tell(event.kind, gone)
                case EventKind.GONE:
                    self._seen.clear()
                    self._told.clear()
                    self._tell(event.kind, {})
                case EventKind.BACK:
                    self._tell(event.kind, {})
                    self._look_again(tell=True)

    def _look_again(self, *, tell: bool) -> None:
        """As :meth:`_look`; a keyservice that goes in the meantime is the next event's matter."""
        with suppress(Unreachable, TimedOut):
            self._look(tell=tell)

    def _look(self, *, tell: bool) -> None:
        """What is in the readers now."""
        for answer in self._bus.list_ukeys():
            if answer.get("card", True):
                found, reader = row(answer, KEYS), str(answer["reader"])
                self._seen[reader] = found
                if tell:
                    self._tell("present", found)
                    if "card" not in answer or found["serial"] is not None:
                        self._told.add(reader)

    def _tell(self, event: str, ukey: Row) -> None:
        now = datetime.now(UTC)
        if self._json:
            stamp = now.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
            whole = {key: ukey.get(key) for key, _meaning in KEYS}
            output.emit({"ok": True, "event": str(event), "time": stamp, **whole})
            return
        said, colour = EVENTS[event]
        parts = [
            (word if key in ("serial", "user") else text)(ukey[key])
            for key in ("serial", "label", "user", "reader")
            if ukey.get(key)
        ]
        words = "  ".join(map(output.printable, parts))
        clock = now.astimezone().strftime("%H:%M:%S")
        print(
            f"{clock}  {output.paint(output.pad(_(said), 15), colour)}  {words}".rstrip(),
            flush=True,
        )
