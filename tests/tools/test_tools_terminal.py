# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The terminal: dark while a PIN may be typed, and as before afterwards, whatever happens."""

from __future__ import annotations

import os
import signal
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from tests.tools.running import Commands
from tests.tools.scripted import (
    AWAIT_CANCEL,
    Gate,
    Keyservice,
    Unanswered,
    info,
    prompt,
    verdict,
    wait,
)

PIN = "Canary-7361"
DONE = verdict("SUCCESS", "Done.")


def modes(child: pexpect.spawn[str]) -> list[object]:
    return termios.tcgetattr(child.child_fd)


def echoes(child: pexpect.spawn[str]) -> bool:
    flags = modes(child)[3]
    assert isinstance(flags, int)
    return bool(flags & termios.ECHO)


def until(condition: Callable[[], bool]) -> None:
    """Poll for a condition that nothing else can wait for, with a deadline."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        os.sched_yield()


def at_the_prompt(commands: Commands, service: Keyservice, *more: bytes) -> pexpect.spawn[str]:
    """A command that waits for a PIN, on a terminal that a shell keeps open behind it."""
    service.script(prompt("PIN:"), *more, DONE)
    child = commands.in_a_shell(
        f"trap : INT QUIT; {commands.path('getpubkey')} alice; echo status=$?"
    )
    child.expect_exact("PIN: ")
    assert not echoes(child)
    return child


def test_the_echo_is_off_at_the_prompt_and_back_afterwards(
    commands: Commands, service: Keyservice
) -> None:
    child = at_the_prompt(commands, service)
    child.sendline(PIN)
    child.expect_exact("status=0")
    assert echoes(child)
    assert PIN not in str(child.before)


def test_an_echo_prompt_shows_what_is_typed(commands: Commands, service: Keyservice) -> None:
    service.script(prompt("Which container?", echo=True), prompt("PIN:"), DONE)
    child = commands.on_terminal("getpubkey", "alice")
    child.expect_exact("Which container? ")
    assert echoes(child)
    child.sendline("sign")
    child.expect_exact("sign\r\nPIN: ")
    assert not echoes(child)
    child.sendline(PIN)
    child.expect(pexpect.EOF)
    assert service.last().answers == [b"sign", PIN.encode()]


@pytest.mark.parametrize("key", ["\x03", "\x1c"], ids=["ctrl-c", "ctrl-backslash"])
def test_a_key_that_ends_the_command_cancels_and_restores(
    commands: Commands, service: Keyservice, key: str
) -> None:
    child = at_the_prompt(commands, service)
    before = commands.shell_modes
    child.send(PIN)  # half an answer is on the line
    child.send(key)
    child.expect_exact("Cancelled.")
    child.expect("status=(130|131)")
    assert modes(child) == before
    assert service.last().cancelled
    assert service.last().answers == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels_and_restores(
    commands: Commands, service: Keyservice, number: signal.Signals
) -> None:
    child = at_the_prompt(commands, service)
    before = commands.shell_modes
    commands.signal_child_of(child, number)
    child.expect_exact(f"status={128 + number}")
    assert modes(child) == before
    assert service.last().cancelled


def test_end_of_input_cancels_and_restores(commands: Commands, service: Keyservice) -> None:
    child = at_the_prompt(commands, service)
    child.send("\x04")
    child.expect_exact("Cancelled: the input ended before the answer.")
    child.expect_exact("status=130")
    assert echoes(child)
    assert service.last().cancelled


def test_ctrl_z_gives_the_terminal_back_and_fg_asks_again(
    commands: Commands, service: Keyservice
) -> None:
    service.script(prompt("PIN:"), DONE)
    child = commands.in_a_shell(f"set -m; {commands.path('getpubkey')} alice; echo stopped; fg")
    before = commands.shell_modes
    child.expect_exact("PIN: ")
    child.send("\x1a")
    child.expect_exact("stopped")
    child.expect_exact("PIN: ")
    assert not echoes(child)
    child.sendline(PIN)
    child.expect_exact("Done.")
    until(lambda: modes(child) == before)
    assert service.last().answers == [PIN.encode()]


def test_half_a_pin_is_not_the_shells_when_the_command_stops(
    commands: Commands, service: Keyservice
) -> None:
    """A terminal's own ^Z throws it away as well, where `stty noflsh` does not forbid that."""
    service.script(prompt("PIN:"), DONE)
    reads = "stty -icanon; read -r -n 99 -t 0.2 typed; echo typed=$typed."
    stops = f"set -m; stty noflsh; {commands.path('getpubkey')} alice"
    child = commands.in_a_shell(f"{stops}; {reads}; kill -9 %1")
    child.expect_exact("PIN: ")
    child.send(f"{PIN}\x1a")
    child.expect_exact("typed=.")
    assert PIN not in str(child.before)


def test_a_pin_typed_before_its_prompt_stays_dark_and_is_not_taken(
    commands: Commands, service: Keyservice
) -> None:
    gate = Gate()
    service.script(wait("Insert the ukey"), gate, prompt("PIN:"), DONE)
    child = commands.on_terminal("getpubkey", "alice")
    child.expect_exact("Insert the ukey")
    child.sendline(PIN)
    until(lambda: commands.typed_ahead(child) > len(PIN))
    gate.open()
    child.expect_exact("PIN: ")
    assert PIN not in str(child.before)
    child.sendline("Other-1")
    child.expect(pexpect.EOF)
    assert service.last().answers == [b"Other-1"]


def test_a_verdict_that_comes_at_the_prompt_ends_it(
    commands: Commands, service: Keyservice
) -> None:
    late = verdict("AUTHINFO_UNAVAIL", "The time is up.", "DeadlinePassed")
    gate = Gate()
    service.script(Unanswered(prompt("PIN:")), gate, late)
    child = commands.on_terminal("getpubkey", "alice")
    child.expect_exact("PIN: ")
    gate.open()
    child.expect_exact("The time is up.")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 11


def test_ctrl_c_while_the_service_works_tells_what_became_of_it(
    commands: Commands, service: Keyservice
) -> None:
    """The ukey had changed its PIN already: the person learns that, not "cancelled"."""
    at_work = wait("The ukey is at work", "device")
    service.script(at_work, AWAIT_CANCEL, verdict("SUCCESS", "PIN changed."))
    child = commands.on_terminal("chpinpw")
    child.expect_exact("The ukey is at work")
    child.send("\x03")
    child.expect_exact("PIN changed.")
    child.expect(pexpect.EOF)
    child.close()
    assert child.signalstatus == signal.SIGINT

    service.script(at_work, AWAIT_CANCEL, verdict("CONV_ERR", "Cancelled.", "Cancelled"))
    child = commands.on_terminal("chpinpw")
    child.expect_exact("The ukey is at work")
    child.send("\x03")
    child.expect_exact("Cancelled.")
    child.expect(pexpect.EOF)
    child.close()
    assert child.signalstatus == signal.SIGINT


def test_a_second_ctrl_c_does_not_wait_for_a_service_that_hangs(
    commands: Commands, service: Keyservice
) -> None:
    gate = Gate()
    service.script(wait("The ukey is at work", "device"), AWAIT_CANCEL, gate)
    child = commands.on_terminal("chpinpw")
    child.expect_exact("The ukey is at work")
    child.send("\x03")
    until(lambda: service.sessions[-1].cancelled)
    child.send("\x03")
    child.expect(pexpect.EOF)
    child.close()
    assert child.signalstatus == signal.SIGINT
    gate.open()


def test_the_shells_loop_around_a_command_ends_with_ctrl_c(
    commands: Commands, service: Keyservice
) -> None:
    service.script(prompt("PIN:"), DONE)
    command = commands.path("getpubkey")
    child = commands.in_a_shell(f"for u in a b c; do {command} $u; echo next; done")
    child.expect_exact("PIN: ")
    child.send("\x03")
    child.expect_exact("Cancelled.")
    child.expect(pexpect.EOF)
    assert "next" not in str(child.before)
    assert len(service.sessions) == 1


def test_no_pin_in_argv_environment_or_on_the_screen(
    commands: Commands, service: Keyservice
) -> None:
    gate = Gate()
    service.script(prompt("PIN:"), gate, prompt("PIN again:"), DONE)
    child = commands.on_terminal("getpubkey", "alice", CANARY="planted")
    child.expect_exact("PIN: ")
    child.sendline(PIN)
    until(lambda: service.sessions[-1].answers == [PIN.encode()])
    seen = b"".join(
        Path(f"/proc/{child.pid}/{name}").read_bytes() for name in ("cmdline", "environ")
    )
    assert b"planted" in seen
    assert PIN.encode() not in seen
    gate.open()
    child.expect_exact("PIN again: ")
    assert PIN not in str(child.before)


def test_no_copy_of_an_answer_stays_in_memory_once_it_is_sent(
    commands: Commands, service: Keyservice
) -> None:
    gate = Gate()
    service.script(prompt("PIN:"), info("Taken."), gate, DONE)
    child = commands.on_terminal("getpubkey", "a-planted-canary")
    child.expect_exact("PIN: ")
    assert commands.memory_holds(child.pid, b"a-planted-canary")
    child.sendline(PIN)
    child.expect_exact("Taken.")
    assert not commands.memory_holds(child.pid, PIN.encode())
    gate.open()
    child.expect_exact("Done.")


def test_no_core_file_is_written(commands: Commands, service: Keyservice) -> None:
    service.script(prompt("PIN:"), DONE)
    child = commands.on_terminal("getpubkey", "alice")
    child.expect_exact("PIN: ")
    limits = Path(f"/proc/{child.pid}/limits").read_text()
    (core,) = [line.split() for line in limits.splitlines() if line.startswith("Max core")]
    assert core[4:6] in (["1", "1"], ["0", "0"])


def test_the_prompt_reaches_the_person_when_stderr_goes_to_a_file(
    commands: Commands, service: Keyservice, tmp_path: Path
) -> None:
    service.script(prompt("PIN:"), DONE)
    child = commands.in_a_shell(f"{commands.path('getpubkey')} alice 2>{tmp_path}/log; cat")
    child.expect_exact("PIN: ")
    child.sendline(PIN)
    child.expect_exact("Done.")
    assert PIN not in (tmp_path / "log").read_text()
