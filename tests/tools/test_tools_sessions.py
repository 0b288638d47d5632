# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The commands that hold a session: what is shown, sent, printed and returned."""

from __future__ import annotations

from pathlib import Path

import pexpect
import pytest

from keyservice.contract.frames import Tag
from keyservice.contract.names import USER_SOCKET
from tests.support.restore import folder
from tests.tools.running import Commands, only_json
from tests.tools.scripted import (
    APPLICATION,
    BIND,
    CHANGE_PIN,
    CONTAINER,
    FLAGS,
    HANG_UP,
    LANG,
    SERIAL,
    SERVICE,
    TIMEOUT,
    UNBIND,
    UNBLOCK_PIN,
    USER,
    Gate,
    Keyservice,
    error,
    info,
    prompt,
    refused,
    verdict,
    wait,
)

PIN = "Canary-7361"
DONE = verdict("SUCCESS", "alice is bound to ukey 9F3A.", serial="9F3A")


def ended(child: pexpect.spawn[str]) -> str:
    """The text of the screen up to the end; the child's exit status is set."""
    child.expect(pexpect.EOF)
    child.close()
    assert isinstance(child.before, str)
    return child.before


def test_getpubkey_shows_asks_and_binds(commands: Commands, service: Keyservice) -> None:
    service.script(info("Ukey 9F3A is in reader 0."), prompt("PIN:"), DONE)
    child = commands.on_terminal("getpubkey", "alice")
    child.expect_exact("Ukey 9F3A is in reader 0.\r\n")
    child.expect_exact("PIN: ")
    child.sendline(PIN)
    screen = ended(child)
    assert screen.endswith("alice is bound to ukey 9F3A.\r\n")
    assert PIN not in screen
    assert child.exitstatus == 0
    held = service.last()
    assert held.kind == BIND
    assert held.fields[USER] == b"alice"
    assert held.fields[LANG] == b"en"
    assert held.answers == [PIN.encode()]


@pytest.mark.parametrize(
    ("command", "kind", "fields"),
    [
        (["getpubkey", "bob"], BIND, {USER: b"bob"}),
        (
            ["getpubkey", "bob", "--serial", "S1", "--application", "A", "--container", "C"],
            BIND,
            {USER: b"bob", SERIAL: b"S1", APPLICATION: b"A", CONTAINER: b"C"},
        ),
        (["getpubkey", "--generate", "bob"], BIND, {USER: b"bob", FLAGS: b"\0\x20"}),
        (["getpubkey", "--allow-default-pin", "bob"], BIND, {USER: b"bob", FLAGS: b"\0\x40"}),
        (["rmpubkey", "bob"], UNBIND, {USER: b"bob"}),
        (["rmpubkey", "--force", "--yes", "bob"], UNBIND, {USER: b"bob", FLAGS: b"\0\x10"}),
        (["chpinpw"], CHANGE_PIN, {}),
        (["chpinpw", "--serial", "S1"], CHANGE_PIN, {SERIAL: b"S1"}),
        (["chpinpw", "--application", "A"], CHANGE_PIN, {APPLICATION: b"A"}),
        (["chpinpw", "--unblock", "S1"], UNBLOCK_PIN, {SERIAL: b"S1"}),
        (
            ["chpinpw", "--unblock", "S1", "--application", "A"],
            UNBLOCK_PIN,
            {SERIAL: b"S1", APPLICATION: b"A"},
        ),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else "",
)
def test_the_command_line_becomes_the_request(
    commands: Commands,
    service: Keyservice,
    command: list[str],
    kind: int,
    fields: dict[int, bytes],
) -> None:
    service.script(verdict("SUCCESS", "done"))
    assert commands.piped(*command).returncode == 0
    held = service.last()
    assert held.kind == kind
    del held.fields[LANG], held.fields[TIMEOUT]
    assert held.fields == {SERVICE: command[0].encode(), **fields}


def test_prompts_are_on_stderr_and_the_result_on_stdout(
    commands: Commands, service: Keyservice
) -> None:
    service.script(
        prompt("Old PIN:"), prompt("New PIN:"), error("Too short."), prompt("New:"), DONE
    )
    done = commands.piped("chpinpw", text="old-pin-1\nx\nnew-pin-2\nnot ours\n")
    assert done.returncode == 0
    assert done.stdout == "alice is bound to ukey 9F3A.\n"
    assert done.stderr == "Old PIN: \nNew PIN: \nToo short.\nNew: \n"
    assert service.last().answers == [b"old-pin-1", b"x", b"new-pin-2"]


def test_a_piped_answer_takes_its_own_line_only(commands: Commands, service: Keyservice) -> None:
    """The rest of the pipe is left to the next reader: here, a second command."""
    service.script(prompt("PIN:"), DONE)
    service.script(prompt("PIN:"), DONE)
    command = commands.path("getpubkey")
    done = commands.shell(f"{command} a; {command} b; cat", text="first-1\r\nsecond\nrest\n")
    assert done.stdout.endswith("rest\n")
    assert [held.answers for held in service.sessions] == [[b"first-1"], [b"second"]]


def test_the_end_of_the_input_cancels(commands: Commands, service: Keyservice) -> None:
    service.script(prompt("PIN:"), DONE)
    done = commands.piped("getpubkey", "alice")
    assert done.returncode == 130
    assert done.stderr == "PIN: \nCancelled: the input ended before the answer.\n"
    assert service.last().cancelled


def test_the_end_of_the_input_after_a_refusal_is_no_cancel(
    commands: Commands, service: Keyservice
) -> None:
    """Nobody cancelled: the piped input was refused."""
    refused = verdict("AUTH_ERR", "Too short.", "PinRefused")
    service.script(prompt("PIN:"), prompt("New:"), error("Too short."), prompt("New:"), refused)
    done = commands.piped("chpinpw", text="old-pin-1\nx\n")
    assert done.returncode == 9
    assert done.stderr.splitlines()[-2:] == ["Too short.", "New: "]
    assert service.last().answers == [b"old-pin-1", b"x", b""]
    assert not service.last().cancelled


def test_an_answer_that_is_too_long_is_not_sent(commands: Commands, service: Keyservice) -> None:
    service.script(prompt("PIN:"), DONE)
    done = commands.piped("getpubkey", "alice", text="9" * 257 + "\n")
    assert done.returncode == 2
    assert "at most 256 bytes" in done.stderr
    assert service.last().answers == []

    service.script(prompt("PIN:"), DONE)
    child = commands.on_terminal("getpubkey", "alice")
    child.expect_exact("PIN: ")
    child.sendline("9" * 300)
    child.expect_exact("at most 256 bytes")
    child.expect_exact("PIN: ")
    child.sendline(PIN)
    assert "999" not in ended(child)
    assert service.last().answers == [PIN.encode()]


@pytest.mark.parametrize("sent", [b"\xff\xfe-not-utf-8", "密码六个字".encode(), b"", b"a b\tc\x01"])
def test_answers_are_bytes_and_arrive_as_they_are(
    commands: Commands, service: Keyservice, sent: bytes
) -> None:
    service.script(prompt("PIN:"), DONE)
    assert commands.piped("getpubkey", "alice", text=sent + b"\n").returncode == 0
    assert service.last().answers == [sent]


def test_json_is_one_object_and_all_else_is_on_stderr(
    commands: Commands, service: Keyservice
) -> None:
    service.script(info("Hold on."), prompt("PIN:"), DONE)
    done = commands.piped("getpubkey", "alice", "--json", text=PIN + "\n")
    assert only_json(done.stdout) == {
        "serial": "9F3A",
        "ok": True,
        "text": "alice is bound to ukey 9F3A.",
    }
    assert done.stderr == "Hold on.\nPIN: \n"
    assert PIN not in done.stdout + done.stderr


def test_a_failing_verdict_is_said_once_with_what_to_do(
    commands: Commands, service: Keyservice
) -> None:
    script = (
        prompt("PIN:"),
        error("Too many wrong PINs."),
        verdict("MAXTRIES", "", "Throttled", serial="9F3A", seconds=60),
    )
    service.script(*script)
    done = commands.piped("getpubkey", "alice", text=PIN + "\n")
    assert done.returncode == 10
    assert done.stdout == ""
    assert done.stderr == (
        "PIN: \nToo many wrong PINs.\nOr end the pause as root: ukey throttle reset 9F3A\n"
    )
    service.script(*script)
    done = commands.piped("getpubkey", "alice", "--json", text=PIN + "\n")
    assert only_json(done.stdout) == {
        "serial": "9F3A",
        "seconds": 60,
        "ok": False,
        "error": "Throttled",
        "text": "Too many wrong PINs.",
        "status": 10,
    }


def test_a_detail_cannot_claim_success(commands: Commands, service: Keyservice) -> None:
    service.script(verdict("AUTH_ERR", "no", "PinWrong", ok=True, status=0, error=""))
    done = commands.piped("getpubkey", "alice", "--json")
    assert done.returncode == 9
    shown = only_json(done.stdout)
    assert (shown["ok"], shown["status"], shown["error"]) == (False, 9, "PinWrong")


def test_a_refusal_is_shown_with_its_status(commands: Commands, service: Keyservice) -> None:
    service.script(refused("Busy", "Too many sessions are open."))
    done = commands.piped("getpubkey", "alice", "--json")
    assert done.returncode == 11
    assert done.stderr.startswith("Too many sessions are open.\n")
    assert only_json(done.stdout)["error"] == "Busy"


def test_text_of_a_hostile_ukey_cannot_steer_the_terminal(
    commands: Commands, service: Keyservice
) -> None:
    service.script(info("label \x1b[2J\x9b1m\u202efdp\x07"), prompt("P\x1b]0;x\x07:"), DONE)
    done = commands.piped("getpubkey", "alice", text=PIN + "\n")
    assert done.stderr == "label \\x1b[2J\\x9b1m\\u202efdp\\x07\nP\\x1b]0;x\\x07: \n"


def test_rmpubkey_force_asks_first(commands: Commands, service: Keyservice) -> None:
    child = commands.on_terminal("rmpubkey", "--force", "alice")
    child.expect_exact("Revoke all keys of alice on this host and unbind them? [y/N] ")
    child.sendline("n")
    screen = ended(child)
    assert "Nothing was changed." in screen
    assert child.exitstatus == 130
    assert service.sessions == []

    service.script(verdict("SUCCESS", "alice's ukey is revoked."))
    child = commands.on_terminal("rmpubkey", "--force", "alice")
    child.expect_exact("[y/N] ")
    child.sendline("yes")
    assert "alice's ukey is revoked." in ended(child)
    assert service.last().fields[FLAGS] == b"\0\x10"


def test_rmpubkey_names_the_one_ukey_that_is_meant(commands: Commands, service: Keyservice) -> None:
    service.script(DONE)
    child = commands.on_terminal("rmpubkey", "--force", "alice", "--serial", "9F3A")
    child.expect_exact("Revoke the key of alice's ukey 9F3A and unbind it? [y/N] ")
    child.sendline("y")
    ended(child)
    assert service.last().fields[Tag.SERIAL] == b"9F3A"
    service.script(DONE)
    commands.piped("getpubkey", "alice", "--label", "spare")
    assert service.last().fields[Tag.LABEL] == b"spare"


def test_a_wait_says_what_it_waits_for(commands: Commands, service: Keyservice) -> None:
    gate = Gate()
    service.script(wait("Insert the ukey."), gate, DONE)
    child = commands.on_terminal("getpubkey", "alice")
    child.expect_exact("⠋ Insert the ukey\x1b")
    child.expect_exact("Insert the ukey (1 s)")
    gate.open()
    child.expect_exact("\r\x1b[K")
    assert "bound to ukey" in ended(child)


def test_a_wait_in_a_log_is_one_plain_line(commands: Commands, service: Keyservice) -> None:
    service.script(wait("Insert the ukey"), DONE)
    done = commands.piped("getpubkey", "alice")
    assert done.stderr == "Insert the ukey\n"


def test_no_service_says_how_to_start_it(commands: Commands) -> None:
    done = commands.piped("getpubkey", "alice", "--json")
    assert done.returncode == 3
    assert "/usr/libexec/ukey/keyservice" in done.stderr
    assert "journalctl -t keyservice" in done.stderr
    assert only_json(done.stdout)["error"] == "Unreachable"


def test_where_systemd_runs_it_is_what_starts_the_service(commands: Commands) -> None:
    with folder(Path("/run/systemd/system")):
        done = commands.piped("getpubkey", "alice")
    assert "Start it as root: systemctl start ukey-keyservice\n" in done.stderr


def test_a_service_that_dies_in_mid_session(commands: Commands, service: Keyservice) -> None:
    service.script(prompt("PIN:"), HANG_UP)
    done = commands.piped("getpubkey", "alice", text=PIN + "\n")
    assert done.returncode == 3
    assert "closed the connection" in done.stderr


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (["getpubkey", "alice"], "Binding a ukey needs root."),
        (["rmpubkey", "alice"], "Unbinding a ukey needs root."),
        (["rmpubkey", "--force", "alice"], "Unbinding a ukey needs root."),
        (["chpinpw", "--unblock", "S1"], "Unblocking a ukey needs root."),
    ],
)
def test_a_plain_user_is_told_before_anything_is_asked(
    commands: Commands, command: list[str], what: str
) -> None:
    done = commands.piped(*command, user=65534)
    assert done.returncode == 4
    assert done.stderr.startswith(what + "\n")
    assert "sudo" in done.stderr


def test_a_plain_user_changes_a_pin_over_the_users_socket(commands: Commands) -> None:
    keyservice = Keyservice("/run/ukey/user.sock")
    try:
        keyservice.script(prompt("Old PIN:"), verdict("SUCCESS", "The PIN is changed."))
        done = commands.piped("chpinpw", text=PIN + "\n", user=65534)
        assert (done.returncode, done.stdout) == (0, "The PIN is changed.\n")
    finally:
        keyservice.close()


def test_a_socket_that_is_not_roots_gets_no_pin(commands: Commands) -> None:
    keyservice = commands.false_keyservice(USER_SOCKET, uid=65534)
    try:
        done = commands.piped("chpinpw", text=PIN + "\n", user=65534)
        assert done.returncode == 3
        assert "served by uid 65534" in done.stderr
        assert "Enter no PIN" in done.stderr
    finally:
        keyservice.terminate()
        keyservice.wait(10)
        Path(USER_SOCKET).unlink()
