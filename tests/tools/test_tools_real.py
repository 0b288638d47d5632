# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The commands with the real keyservice, pcscd and bus, and ukeys that are emulated behind vpcd."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pexpect
import pytest

from keyservice.contract import names
from tests.support.host import ADMIN_PIN, PIN, Host
from tests.support.process import must, wait_until
from tests.tools.running import Commands
from tests.tools.test_tools_ukey import JSON_LINE

NEW_PIN = "new-pin-1"


def talk(child: pexpect.spawn[str], *answers: tuple[str, str]) -> tuple[int | None, str]:
    """Give each answer at its prompt; the exit status and the rest of the screen."""
    for prompt, answer in answers:
        child.expect_exact(prompt)
        child.sendline(answer)
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus, str(child.before)


def answer_of(commands: Commands, *arguments: str) -> dict[str, Any]:
    """The JSON of a command that succeeds."""
    done = commands.piped(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert isinstance(document, dict)
    return document


def end_activated_keyservice() -> None:
    """End the keyservice that the bus started, which is no child of the test."""
    call = ["dbus-send", "--system", "--print-reply=literal", "--dest=org.freedesktop.DBus", "/"]
    call += ["org.freedesktop.DBus.GetConnectionUnixProcessID", f"string:{names.BUS_NAME}"]
    pid = int(must(call).split()[-1])
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the activated keyservice ended")


@pytest.mark.smoke
def test_a_ukeys_life(commands: Commands, host: Host) -> None:
    """Bound, its PIN changed, lost, revoked, found, bound again, handed back."""
    host.pcscd()
    host.bus()
    host.keyservice()
    ukey, alice = host.softkey(), host.user("alice")
    pin, serial = PIN.decode(), ukey.serial

    code, screen = talk(commands.on_terminal("getpubkey", "alice"), (f"{serial}: ", pin))
    assert code == 0
    assert f"Ukey {serial} is now bound to alice." in screen
    (binding,) = answer_of(commands, "ukey", "bindings")["bindings"]
    assert (binding["user"], binding["uid"], binding["serial"]) == ("alice", alice.uid, serial)
    (listed, *_) = answer_of(commands, "ukey", "list")["ukeys"]
    assert (listed["serial"], listed["user"], listed["left"]) == (serial, "alice", 10)
    assert answer_of(commands, "ukey", "status")["bindings"] == 1

    done = commands.piped("getpubkey", "alice", text=pin + "\n")
    assert (done.returncode, done.stdout) == (6, "")

    done = commands.piped("chpinpw", text=f"{pin}\n{NEW_PIN}\n{NEW_PIN}\n", user=alice.uid)
    assert done.returncode == 0, done.stderr
    done = commands.piped("chpinpw", text=f"{pin}\n{NEW_PIN}x\n{NEW_PIN}x\n", user=alice.uid)
    assert done.returncode == 9
    assert "9 tries are left" in done.stderr

    done = commands.piped("rmpubkey", "--force", "--yes", "alice", "--json")
    key = json.loads(done.stdout)["key"]
    assert answer_of(commands, "ukey", "bindings")["bindings"] == []
    (revoked,) = answer_of(commands, "ukey", "revocation", "list")["revoked"]
    assert (revoked["key"], revoked["user"], revoked["serial"]) == (key, "alice", serial)
    done = commands.piped("getpubkey", "alice", text=NEW_PIN + "\n")
    assert done.returncode == 6
    assert f"ukey revocation undo {key}" in done.stderr
    answer_of(commands, "ukey", "revocation", "undo", key)
    assert commands.piped("getpubkey", "alice", text=NEW_PIN + "\n").returncode == 0
    assert commands.piped("rmpubkey", "alice", text=NEW_PIN + "\n").returncode == 0
    assert ukey.tries_left() == 10
    for secret in (pin, NEW_PIN):
        assert secret not in host.authlog.text


def test_a_locked_pin_is_throttled_shown_and_unblocked(commands: Commands, host: Host) -> None:
    host.pcscd()
    host.bus()
    host.keyservice()
    ukey, alice = host.softkey(tries=6), host.user("alice")
    host.bind(alice, ukey)
    wrong = "wrong-pin\nnew-pin-1\nnew-pin-1\n"

    for _ in range(3):
        assert commands.piped("chpinpw", text=wrong, user=alice.uid).returncode == 9
    done = commands.piped("chpinpw", text=wrong, user=alice.uid)
    assert done.returncode == 10
    assert f"ukey throttle reset {ukey.serial}" in done.stderr
    assert "pause, " in commands.piped("ukey", "list").stdout
    answer_of(commands, "ukey", "throttle", "reset", ukey.serial)
    assert "3 of 6 tries" in commands.piped("ukey", "list").stdout
    for _ in range(2):
        commands.piped("chpinpw", "--serial", ukey.serial, text=wrong)
    answer_of(commands, "ukey", "throttle", "reset", ukey.serial)
    done = commands.piped("chpinpw", "--serial", ukey.serial, text=wrong)
    assert done.returncode == 10, "the last try is not for this"
    assert ukey.tries_left() == 1

    child = commands.on_terminal("chpinpw", "--unblock", ukey.serial)
    child.expect_exact("10 tries of the admin PIN are left")
    code, screen = talk(
        child,
        (f"{ukey.serial}: ", ADMIN_PIN.decode()),
        ("New PIN: ", NEW_PIN),
        ("again: ", NEW_PIN),
    )
    assert (code, ukey.tries_left()) == (0, 6)
    assert "unlocked" in screen


def test_what_cannot_be_bound_says_what_to_do(commands: Commands, host: Host) -> None:
    host.pcscd()
    host.keyservice()
    host.user("alice")
    done = commands.piped("getpubkey", "nobody-of-that-name")
    assert done.returncode == 5
    done = commands.piped("getpubkey", "../alice")
    assert done.returncode == 2

    empty = host.softkey(pin=None, containers=(), empty_containers=("login",))
    done = commands.piped("getpubkey", "alice")
    assert done.returncode == 8
    assert "--generate" in done.stderr
    done = commands.piped("getpubkey", "alice", "--generate")
    assert done.returncode == 9
    assert "chpinpw" in done.stderr
    allowed = ["getpubkey", "alice", "--generate", "--allow-default-pin"]
    done = commands.piped(*allowed, text="12345678\n")
    assert done.returncode == 0, done.stderr
    assert empty.serial in done.stdout


def test_several_containers_are_listed_and_one_is_chosen(commands: Commands, host: Host) -> None:
    host.pcscd()
    host.keyservice()
    host.user("alice")
    host.softkey(containers=("office", "home"))
    child = commands.on_terminal("getpubkey", "alice", "--json")
    child.expect_exact("office")
    child.expect_exact("home")
    code, screen = talk(child, ("container to use: ", "2"), (": ", PIN.decode()))
    assert code == 0
    assert '"container": "home"' in screen


def test_a_wait_for_the_ukey_ends_with_its_insertion(commands: Commands, host: Host) -> None:
    host.pcscd()
    host.keyservice()
    ukey, alice = host.softkey(), host.user("alice")
    host.bind(alice, ukey)
    ukey.remove()
    child = commands.on_terminal("chpinpw", "--serial", ukey.serial)
    child.expect(r"Insert ukey \w+ \(1 s\)")
    ukey.insert()
    code, _ = talk(
        child, (f"{ukey.serial}: ", PIN.decode()), ("New PIN: ", NEW_PIN), ("again: ", NEW_PIN)
    )
    assert code == 0


def test_ctrl_c_at_the_pin_cancels_at_the_service_too(commands: Commands, host: Host) -> None:
    host.pcscd()
    host.keyservice()
    ukey = host.softkey()
    host.user("alice")
    child = commands.on_terminal("getpubkey", "alice")
    child.expect_exact(": ")
    child.send("\x03")
    child.expect_exact("Cancelled.")
    child.expect(pexpect.EOF)
    child.close()
    assert child.signalstatus == signal.SIGINT
    host.authlog.wait_for("event=bind .*verdict=CONV_ERR")
    assert ukey.tries_left() == 10


def test_the_bus_starts_the_service_for_whoever_needs_it(commands: Commands, host: Host) -> None:
    """D-Bus activation: nobody started the keyservice, and getpubkey asks over its socket."""
    host.pcscd()
    host.bus()
    host.configure("allow_virtual_readers = true\n")
    ukey = host.softkey()
    host.user("alice")
    done = commands.piped("getpubkey", "alice", text=PIN.decode() + "\n")
    try:
        assert done.returncode == 0, done.stderr
        assert ukey.serial in done.stdout
    finally:
        end_activated_keyservice()


def test_without_the_bus_the_commands_with_pins_work(commands: Commands, host: Host) -> None:
    host.pcscd()
    host.keyservice()
    ukey, alice = host.softkey(), host.user("alice")
    host.bind(alice, ukey)
    assert commands.piped("ukey", "bindings").returncode == 3
    assert commands.piped("rmpubkey", "alice", text=PIN.decode() + "\n").returncode == 0


def test_watch_names_what_is_inserted_and_what_is_removed(commands: Commands, host: Host) -> None:
    host.pcscd()
    host.bus()
    host.keyservice()
    ukey = host.softkey()
    wait_until(lambda: ukey.serial in commands.piped("ukey", "list").stdout, "the ukey is known")
    child = commands.on_terminal("ukey", "watch", "--json", width=500)
    for expected, act in (("present", ukey.remove), ("removed", ukey.insert), ("inserted", None)):
        child.expect(JSON_LINE)
        event = json.loads(child.match.group(1))
        assert (event["event"], event["serial"]) == (expected, ukey.serial)
        if act is not None:
            act()
