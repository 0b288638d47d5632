# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey watch`` against a scripted keyservice on the real system bus."""

from __future__ import annotations

import json

import pexpect

from tests.support.process import Daemon, wait_until
from tests.tools.running import Commands
from tests.tools.scripted_bus import BusService
from tests.tools.test_tools_ukey import ALICES, EMPTY, JSON_LINE


def test_watch_tells_what_comes_and_goes(commands: Commands, bus: BusService) -> None:
    bus.answers["ListUkeys"] = [EMPTY]
    child = commands.on_terminal("ukey", "watch", "--json", width=500)
    wait_asked(bus, "ListUkeys")
    bus.answers["ListUkeys"] = [ALICES, EMPTY]
    bus.signal("UkeyInserted", "Feitian 00 00")
    child.expect(JSON_LINE)
    event = json.loads(child.match.group(1))
    assert (event["event"], event["serial"], event["user"]) == ("inserted", "9F3A00017C21", "alice")
    assert set(event) == {"ok", "event", "time", "reader", "serial", "label", "user", "mine"}
    bus.answers["ListUkeys"] = [EMPTY]
    bus.signal("UkeyRemoved", "Feitian 00 00")
    child.expect(JSON_LINE)
    event = json.loads(child.match.group(1))
    assert (event["event"], event["serial"]) == ("removed", "9F3A00017C21")
    bus.close()
    child.expect(JSON_LINE)
    assert json.loads(child.match.group(1))["event"] == "gone"
    again = BusService(ListUkeys=[ALICES])
    child.expect(JSON_LINE)
    assert json.loads(child.match.group(1))["event"] == "back"
    child.expect(JSON_LINE)
    assert json.loads(child.match.group(1))["event"] == "present"
    child.send("\x03")
    child.expect(pexpect.EOF)
    child.close()
    assert child.signalstatus == 2
    again.close()


def test_watch_tells_once_of_what_is_inserted_while_it_starts(
    commands: Commands, bus: BusService
) -> None:
    """The list shows the ukey already, and its signal comes later; another ukey's signal is
    shown."""
    other = {**ALICES, "reader": "B", "serial": "77"}
    bus.answers["ListUkeys"] = [ALICES, {**EMPTY, "reader": "B", "card": True}]
    child = commands.on_terminal("ukey", "watch", "--json", width=500)
    wait_asked(bus, "ListUkeys")
    bus.answers["ListUkeys"] = [ALICES, other]
    bus.signal("UkeyInserted", "Feitian 00 00")
    bus.signal("UkeyInserted", "B")
    told = []
    for _ in range(3):
        child.expect(JSON_LINE)
        event = json.loads(child.match.group(1))
        told.append((event["event"], event["reader"], event["serial"]))
    assert told == [
        ("present", "Feitian 00 00", "9F3A00017C21"),
        ("present", "B", None),
        ("inserted", "B", "77"),
    ]


def test_watch_for_people_and_the_end_of_the_bus(
    commands: Commands, system_bus: Daemon, bus: BusService
) -> None:
    bus.answers["ListUkeys"] = [ALICES]
    child = commands.on_terminal("ukey", "watch", NO_COLOR="1")
    child.expect(
        r"\d\d:\d\d:\d\d  present          9F3A00017C21  华大 ukey  alice  Feitian 00 00\r"
    )
    system_bus.stop()
    child.expect_exact("The system bus cannot be reached")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 3


def wait_asked(bus: BusService, member: str) -> None:
    wait_until(lambda: any(asked == member for asked, _ in bus.asked), f"{member} asked")
