# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The subcommands of ukey against a scripted keyservice on the real system bus."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import Any

import pexpect
import pytest

from tests.support.process import Daemon
from tests.tools.running import Commands, only_json
from tests.tools.scripted import Keyservice
from tests.tools.scripted_bus import BusService

ALICES = {
    "reader": "Feitian 00 00",
    "mine": False,
    "card": True,
    "refused": False,
    "virtual": False,
    "kind": "gmt0017",
    "serial": "9F3A00017C21",
    "label": "华大 ukey",
    "manufacturer": "HED",
    "pause": 0,
    "left": 8,
    "maximum": 8,
    "user": "alice",
    "revoked": False,
    "algorithm_refused": False,
    "account": "there",
}
#: Keys that few rows have.
NO_MORE = {"uid_now": None, "user_now": None}
EMPTY = {"reader": "Reader B", "mine": False, "card": False, "refused": False, "virtual": False}
JSON_LINE = r"(\{[^\n]*\})\r\n"
KEY = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"


def test_list_shows_a_table_that_chinese_does_not_shift(
    commands: Commands, bus: BusService
) -> None:
    low = {**ALICES, "serial": "77", "label": "spare", "left": 2, "user": "bob", "virtual": True}
    locked = {**ALICES, "serial": "78", "label": "", "left": 0}
    del locked["user"]
    paused = {**ALICES, "serial": "79", "label": "x", "left": 5, "pause": 60}
    bus.answers["ListUkeys"] = [ALICES, low, locked, paused, EMPTY]
    done = commands.piped("ukey", "list")
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout == (
        "SERIAL        LABEL      USER   PIN           READER         NOTE\n"
        "9F3A00017C21  华大 ukey  alice  8 of 8 tries  Feitian 00 00\n"
        "77            spare      bob    2 of 8 tries  Feitian 00 00  emulated reader\n"
        "78            -          -      locked        Feitian 00 00\n"
        "79            x          alice  pause, 60 s   Feitian 00 00\n"
        "-             -          -      -             Reader B       empty\n"
    )


def test_list_json_has_every_documented_key_in_every_row(
    commands: Commands, bus: BusService
) -> None:
    bus.answers["ListUkeys"] = [{**ALICES, "of_tomorrow": 1}, {"reader": "C", "mine": False}]
    done = commands.piped("ukey", "list", "--json")
    document = json.loads(done.stdout)
    assert document["ok"] is True
    first, second = document["ukeys"]
    assert first == ALICES | NO_MORE
    assert second == dict.fromkeys(ALICES) | NO_MORE | {"reader": "C", "mine": False}
    documented = commands.piped("ukey", "list", "--help").stdout
    for key in ALICES:
        assert f"  {key} " in documented


def test_list_of_nothing_says_so(commands: Commands, bus: BusService) -> None:
    bus.answers["ListUkeys"] = []
    done = commands.piped("ukey", "list")
    assert (done.returncode, done.stdout) == (0, "")
    assert "No reader is seen" in done.stderr  # root is shown empty ones


def test_a_narrow_terminal_gets_blocks_and_whole_serials(
    commands: Commands, bus: BusService
) -> None:
    bus.answers["ListUkeys"] = [ALICES, EMPTY]
    child = commands.on_terminal("ukey", "list", width=40, NO_COLOR="1")
    child.expect(pexpect.EOF)
    assert "SERIAL: 9F3A00017C21\r\n" in str(child.before)
    assert "PIN:    8 of 8 tries\r\n" in str(child.before)


def test_a_label_cannot_steer_the_terminal(commands: Commands, bus: BusService) -> None:
    bus.answers["ListUkeys"] = [{**ALICES, "label": "a\x1b[31m\nb\u202e"}]
    done = commands.piped("ukey", "list")
    assert "a\\x1b[31m\\nb\\u202e" in done.stdout
    assert len(done.stdout.splitlines()) == 2


def test_a_serial_is_shown_as_a_shell_takes_it(commands: Commands, bus: BusService) -> None:
    """People paste it behind --serial."""
    bus.answers["ListUkeys"] = [{**ALICES, "serial": "$(reboot)", "user": "DOM\\bob"}]
    assert commands.piped("ukey", "list").stdout.splitlines()[1].startswith("'$(reboot)'  ")
    assert "  'DOM\\bob'  " in commands.piped("ukey", "list").stdout
    (ukey,) = json.loads(commands.piped("ukey", "list", "--json").stdout)["ukeys"]
    assert (ukey["serial"], ukey["user"]) == ("$(reboot)", "DOM\\bob")


def test_bindings_and_damaged_records(commands: Commands, bus: BusService) -> None:
    binding = {
        "user": "alice",
        "uid": 1000,
        "serial": "9F3A",
        "kind": "gmt0017",
        "application": "LOGIN",
        "container": "sign",
        "algorithm": "sm2",
        "public_key": "ab" * 64,
        "attested": False,
        "bound_at": "2026-11-21T08:30:00Z",
        "bound_by": 0,
        "key": KEY,
        "revoked": True,
    }
    damage = {"damaged": True, "path": "/etc/usbkey/bob", "why": "mode", "mode": "0644"}
    bus.answers["ListBindings"] = [binding, damage]
    done = commands.piped("ukey", "bindings", environment={"TZ": "UTC"})
    assert done.stdout == (
        "USER   UID   SERIAL  BOUND             BY    NOTE\n"
        "alice  1000  9F3A    2026-11-21 08:30  root  revoked: not accepted\n"
    )
    assert done.stderr == "/etc/usbkey/bob: its mode is 0644, not 0600\n"
    done = commands.piped("ukey", "bindings", environment={"LANG": "zh_CN.UTF-8"})
    assert done.stderr == "/etc/usbkey/bob: 它的权限是 0644，而不是 0600\n"
    vouched = binding | {"user": "bob", "attested": True, "revoked": False}
    bus.answers["ListBindings"] = [binding, vouched]
    done = commands.piped("ukey", "bindings", environment={"TZ": "UTC"})
    assert done.stdout == (
        "USER   UID   SERIAL  ATTESTED  BOUND             BY    NOTE\n"
        "alice  1000  9F3A    no        2026-11-21 08:30  root  revoked: not accepted\n"
        "bob    1000  9F3A    yes       2026-11-21 08:30  root\n"
    )
    spare = binding | {"serial": "9F3B", "label": "spare", "revoked": False}
    bus.answers["ListBindings"] = [binding, spare]
    done = commands.piped("ukey", "bindings", environment={"TZ": "UTC"})
    assert done.stdout == (
        "USER   UID   SERIAL  LABEL  BOUND             BY    NOTE\n"
        "alice  1000  9F3A    -      2026-11-21 08:30  root  revoked: not accepted\n"
        "alice  1000  9F3B    spare  2026-11-21 08:30  root\n"
    )
    bus.answers["ListBindings"] = [binding, damage]
    document = only_json(commands.piped("ukey", "bindings", "--json").stdout)
    untold = dict.fromkeys(("account", "algorithm_refused", "purpose", "label"))
    assert document["bindings"] == [binding | NO_MORE | untold]
    assert document["damaged"] == [
        {
            "path": "/etc/usbkey/bob",
            "why": "mode",
            "facts": {"mode": "0644"},
            "text": "its mode is 0644, not 0600",
        }
    ]
    bus.answers["ListBindings"] = [{"damaged": True, "path": "/etc/usbkey/bob", "why": "newest"}]
    assert commands.piped("ukey", "bindings").stderr.endswith("/etc/usbkey/bob: newest\n")


def test_revocation_list_shows_what_undo_takes(commands: Commands, bus: BusService) -> None:
    row = {"key": KEY, "user": "alice", "serial": "9F3A", "at": "2026-11-21T08:30:00Z", "by": 0}
    bus.answers["ListRevocations"] = [row]
    bus.answers["Unrevoke"] = None
    shown = commands.piped("ukey", "revocation", "list")
    (key,) = [word for word in shown.stdout.split() if len(word) == 64]
    done = commands.piped("ukey", "revocation", "undo", key)
    assert (done.returncode, done.stderr) == (0, "")
    assert "getpubkey" in done.stdout
    assert bus.asked[-1] == ("Unrevoke", (KEY,))
    done = commands.piped("ukey", "revocation", "list", "--json")
    assert only_json(done.stdout)["revoked"] == [row]


def test_forget_says_what_it_does_and_asks(commands: Commands, bus: BusService) -> None:
    row = {"user": "alice", "uid": 1000, "serial": "9F3A", "at": "2026-11-21T08:30:00Z"}
    bus.answers["Forget"] = [row]
    done = commands.piped("ukey", "forget", "alice", text="n\n")
    assert (done.returncode, bus.asked) == (130, [])
    assert "alice log in by the password alone" in done.stderr
    done = commands.piped("ukey", "forget", "alice", text="y\n")
    assert (done.returncode, bus.asked[-1]) == (0, ("Forget", ("alice",)))
    done = commands.piped("ukey", "forget", "alice", "--yes", "--json")
    assert only_json(done.stdout)["forgotten"] == [row]
    bus.answers["Forget"] = ("AlreadyBound", "The user has a ukey", {"why": "has-ukey"})
    done = commands.piped("ukey", "forget", "alice", "--yes")
    assert (done.returncode, done.stderr) == (6, "The user has a ukey.\n")


LOST = {"path": "/var/lib/ukey/revoked", "why": "shrunk", "size": 40, "length": 812}
SPOILT = {"path": "/etc/usbkey/bob", "why": "no-json"}


def told(row: dict[str, Any], text: str) -> dict[str, Any]:
    """The cells that a command makes of a row of the service's."""
    facts = {name: value for name, value in row.items() if name not in ("path", "why")}
    return {"path": row["path"], "why": row["why"], "facts": facts, "text": text}


def test_accept_state_shows_what_is_lost_and_asks(commands: Commands, bus: BusService) -> None:
    bus.answers["ListBindings"] = []
    bus.answers["AcceptState"] = [{"damaged": True, **LOST}]
    done = commands.piped("ukey", "accept-state")
    assert (done.returncode, done.stdout) == (0, "Nothing is damaged or gone.\n")
    bus.answers["ListBindings"] = [{"damaged": True, **LOST}]
    done = commands.piped("ukey", "accept-state", text="\n", environment={"LANG": "zh_CN.UTF-8"})
    assert done.returncode == 130
    assert "/var/lib/ukey/revoked: 它现有 40 字节，原有 812 字节" in done.stderr
    assert not [asked for asked in bus.asked if asked[0] == "AcceptState"]


def test_what_cannot_be_accepted_is_named(commands: Commands, bus: BusService) -> None:
    bus.answers["ListBindings"] = [{"damaged": True, **SPOILT}]
    bus.answers["AcceptState"] = [{"damaged": True, **LOST}]
    done = commands.piped("ukey", "accept-state", text="y\n")
    assert done.returncode == 12
    assert bus.asked[-2:] == [("AcceptState", ()), ("ListBindings", ())]
    assert done.stderr.count("/etc/usbkey/bob: it is no JSON record") == 2
    document = only_json(commands.piped("ukey", "accept-state", "--yes", "--json").stdout)
    assert (document["accepted"], document["damaged"]) == (
        [told(LOST, "it has 40 bytes, and had 812")],
        [told(SPOILT, "it is no JSON record")],
    )
    assert (document["ok"], document["status"]) == (False, 12)


def test_throttle_reset(commands: Commands, bus: BusService) -> None:
    bus.answers["ResetThrottle"] = None
    done = commands.piped("ukey", "throttle", "reset", "9F3A")
    assert (done.returncode, done.stdout) == (0, "PINs of ukey 9F3A are taken again.\n")
    assert bus.asked[-1] == ("ResetThrottle", ("9F3A",))


def test_a_named_error_of_the_service_sets_the_exit_status(
    commands: Commands, bus: BusService
) -> None:
    bus.answers["Unrevoke"] = ("BadRequest", "No key with that fingerprint is revoked")
    done = commands.piped("ukey", "revocation", "undo", KEY, "--json")
    assert done.returncode == 2
    assert "No key with that fingerprint is revoked" in done.stderr
    assert only_json(done.stdout)["error"] == "BadRequest"


def test_a_refusal_is_said_in_the_persons_language(commands: Commands, bus: BusService) -> None:
    said = "No key with that fingerprint is revoked"
    bus.answers["Unrevoke"] = ("BadRequest", said, {"why": "not-revoked"})
    done = commands.piped("ukey", "revocation", "undo", KEY, environment={"LANG": "zh_CN.UTF-8"})
    assert done.stderr == "没有吊销过这个指纹的密钥。\n"
    assert commands.piped("ukey", "revocation", "undo", KEY).stderr == (
        "No key with that fingerprint is revoked.\n"
    )


def test_a_refusal_for_a_reason_that_is_not_known_here_is_said_as_the_service_says_it(
    commands: Commands, bus: BusService
) -> None:
    bus.answers["Unrevoke"] = ("BadRequest", "It is too early", {"why": "newest", "hours": "3"})
    assert commands.piped("ukey", "revocation", "undo", KEY).stderr == "It is too early.\n"


def test_without_the_bus_the_command_says_what_still_works(
    commands: Commands, service: Keyservice
) -> None:
    done = commands.piped("ukey", "status", "--json")
    assert done.returncode == 3
    assert "The system bus cannot be reached" in done.stderr
    assert "The keyservice itself runs" in done.stderr
    assert only_json(done.stdout)["socket"] is True
    done = commands.piped("ukey", "list")
    assert done.returncode == 3
    assert "getpubkey, rmpubkey and chpinpw do without" in done.stderr


def test_an_impostor_on_the_bus_is_not_believed(commands: Commands, system_bus: Daemon) -> None:
    """The installed policy lets root alone own the name; nobody else gets that far."""
    done = commands.shell(
        "setpriv --reuid 65534 --regid 65534 --clear-groups dbus-send --system --print-reply"
        " --dest=org.freedesktop.DBus / org.freedesktop.DBus.RequestName"
        " string:org.ukey.KeyService1 uint32:4"
    )
    assert "AccessDenied" in done.stderr


def test_a_reader_of_the_output_that_leaves_ends_the_command_quietly(
    commands: Commands, bus: BusService
) -> None:
    bus.answers["ListUkeys"] = [ALICES]
    gone, output = os.pipe()
    os.close(gone)
    done = subprocess.run(
        [commands.path("ukey"), "list"],
        stdout=output,
        stderr=subprocess.PIPE,
        timeout=30,
        check=False,
    )
    os.close(output)
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, b"")


@pytest.mark.parametrize(
    "arguments",
    [
        ["revocation", "list"],
        ["revocation", "undo", KEY],
        ["throttle", "reset", "9F3A"],
        ["forget", "alice"],
        ["accept-state"],
        ["bindings", "export"],
        ["bindings", "import", "/dev/null"],
    ],
    ids="-".join,
)
def test_what_needs_root_says_so_at_once(commands: Commands, arguments: list[str]) -> None:
    done = commands.piped("ukey", *arguments, user=65534)
    assert done.returncode == 4
    assert "needs root" in done.stderr
    assert "sudo" in done.stderr
