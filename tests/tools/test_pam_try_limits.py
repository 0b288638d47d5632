# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey pam try`` with something in its way: a wrong command line, no root, a stack that hangs
or kills, Ctrl-C; and the places where no PIN may be."""

from __future__ import annotations

import ctypes
import signal
from pathlib import Path

import pytest

from tests.support.host import Host
from tests.support.process import run, wait_until
from tests.system.conftest import CONFIG, enrol
from tests.system.test_secrets import CANARY, PIN, Watch, family, found_in, memory_of
from tests.tools.running import COMMANDS, Commands
from tests.tools.test_pam_try import on_pipes
from tools.trylogin import child
from tools.trylogin.trial import Trial

NOBODY = 65534
TRY = (COMMANDS["ukey"], "pam", "try")


@pytest.mark.parametrize(
    "arguments",
    [
        ["demo"],
        ["--service", "login"],
        ["", "--service", "login"],
        ["demo", "--service", ""],
        ["demo", "--service", "../login"],
        ["demo", "--service", "/etc/pam.d/login"],
        ["demo", "--service", ".."],
        ["demo", "--service", "lo gin"],
        ["demo", "--service", "x" * 65],
        ["demo", "--service", "login", "--tty", ""],
        ["demo", "--service", "login", "--rhost", "a\nb"],
        ["demo", "--service", "login", "--rhost", "h" * 257],
        ["demo", "--service", "login", "--timeout", "0"],
        ["demo", "--service", "login", "--timeout", "3601"],
        ["demo", "--service", "login", "--timeout", "ten"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_tries_nothing(commands: Commands, arguments: list[str]) -> None:
    done = commands.piped("ukey", "pam", "try", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Try: ukey pam try --help" in done.stderr


def test_it_is_roots(commands: Commands) -> None:
    done = commands.piped("ukey", "pam", "try", "root", "--service", "login", user=NOBODY)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("Trying a login needs root")


def test_a_user_that_does_not_exist_is_told_before_anything_is_asked(commands: Commands) -> None:
    for more in (["no-one"], ["root", "--ruser", "no-one"]):
        done = commands.piped("ukey", "pam", "try", *more, "--service", "login", "--json")
        assert done.returncode == 5
        assert "There is no user no-one" in done.stderr


def children(pid: int) -> list[int]:
    return family(pid)[1:]


def hang(host: Host, service: str = "hangs", before: str = "") -> Path:
    """A stack with a module whose helper waits for ever, behind `before`; the file that then holds
    the helper's number. pam_exec gives it a session of its own."""
    begun, script = host.folder / "begun", host.folder / "hang"
    script.write_text(f"#!/bin/sh\necho $$ >{begun}\nexec sleep 600 >/dev/null 2>&1\n")
    script.chmod(0o755)
    host.pam.stack(service, f"{before}\nauth required pam_exec.so {script}")
    return begun


def begins(begun: Path) -> None:
    wait_until(lambda: begun.exists() and begun.read_text().endswith("\n"), "the module at work")


def gone(pid: int | str) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_a_stack_that_hangs_is_ended_in_time(host: Host) -> None:
    host.user()
    begun = hang(host)
    status, told = on_pipes([], "demo", "--service", "hangs", "--timeout", "1")
    assert (status, told["error"], told["code"]) == (11, "DeadlinePassed", None)
    assert gone(told["pid"])
    assert gone(begun.read_text().strip())


def test_a_person_who_does_not_answer_is_not_waited_for(host: Host) -> None:
    host.user()
    host.pam.stack("plain", "auth required pam_unix.so")
    terminal = host.terminal()
    terminal.start([*TRY, "demo", "--service", "plain", "--timeout", "1"])
    assert terminal.wait_question(10) == "Password:"
    wait_until(lambda: terminal.status is not None, "ended by itself")
    assert terminal.status == 11


def test_ctrl_c_ends_the_stack_too(host: Host) -> None:
    host.user()
    begun = hang(host)
    terminal = host.terminal()
    terminal.start([*TRY, "demo", "--service", "hangs"])
    begins(begun)
    assert terminal._program is not None
    (pid, *_) = children(terminal._program.pid)
    terminal.interrupt()
    wait_until(lambda: terminal.status is not None, "ended")
    assert terminal.status == -signal.SIGINT
    assert gone(pid)
    assert gone(begun.read_text().strip())


def test_the_end_of_the_input_is_no_verdict(host: Host) -> None:
    host.user()
    host.pam.stack("plain", "auth required pam_unix.so")
    status, told = on_pipes([], "demo", "--service", "plain")
    assert (status, told["error"], told["code"]) == (130, "Cancelled", None)
    terminal = host.terminal()
    terminal.start([*TRY, "demo", "--service", "plain"])
    terminal.converse([])
    assert terminal.status == 130
    assert "Cancelled" in terminal.screen
    assert "in the log" not in terminal.screen  # it knows nothing of that


def test_a_module_that_kills_its_process_gives_no_verdict(host: Host) -> None:
    host.user()
    script = host.folder / "kill"
    script.write_text("#!/bin/sh\nkill -9 $PPID\n")
    script.chmod(0o755)
    host.pam.stack("kills", f"auth required pam_exec.so {script}\nauth required pam_permit.so")
    status, told = on_pipes([], "demo", "--service", "kills")
    assert (status, told["error"], told["code"]) == (1, "Failed", None)


def test_an_answer_that_libpam_would_cut_is_refused(host: Host) -> None:
    host.user()
    host.pam.stack("plain", "auth required pam_unix.so nodelay\naccount required pam_permit.so")
    for answer in ("correct horse\0", "correct horse" + " " * 256):
        done = run([*TRY, "demo", "--service", "plain"], input=answer + "\n")
        assert (done.returncode, done.stdout) == (2, "")


# -- secrets


def test_no_pin_is_where_others_could_read_it(host: Host) -> None:
    """Not in arguments, environments, files or the log; nor, once it was sent, in our memory."""
    enrolled = enrol(host, CONFIG, pin=PIN, admin_pin=PIN)
    console, watch = host.console(), Watch(host.folder)
    login = [*TRY, "demo", "--service", "login", "--json"]
    console.start(watch.command(login))
    console.converse(enrolled.right)
    assert '"code": "SUCCESS"' in console.screen
    host.authlog.wait_for("event=authentication .*verdict=SUCCESS")
    assert not found_in(watch.seen())
    assert not found_in(host.authlog.text.encode())
    assert not found_in(console.screen.encode())

    # A further module hangs, so that both processes stand still behind the PIN.
    begun = hang(host, "stays", "auth requisite pam_unix.so\nauth requisite pam_ukey.so")
    console.start([*TRY, "demo", "--service", "stays"])
    for answer in enrolled.right:
        console.wait_question(30)
        console._answered = len(console.screen)
        console.type(answer + "\n")
    begins(begun)
    assert console._program is not None
    pids = family(console._program.pid)
    assert len(pids) == 3, "the command, libpam's process, the module's"
    for pid in pids:
        assert not found_in(memory_of(pid)), Path(f"/proc/{pid}/cmdline").read_bytes()
    console.interrupt()
    wait_until(lambda: console.status is not None, "ended")


def test_the_search_of_memory_finds_what_is_typed(host: Host) -> None:
    """A login's name is no secret: a test's name stands in the place of a PIN."""
    host.user()
    host.pam.stack("plain", "auth required pam_unix.so")
    console = host.console()
    console.start([*TRY, "demo", "--service", "plain", "--rhost", CANARY.decode()])
    console.wait_question(30)
    assert console._program is not None
    for pid in family(console._program.pid):
        assert found_in(memory_of(pid)) == {CANARY}


class Wire:
    """Keeps the buffers that it is handed."""

    def __init__(self, packet: bytes = b"") -> None:
        self._packet = packet
        self.buffers: list[bytearray] = []
        self.sent = b""

    def send(self, packet: bytearray) -> None:
        self.buffers.append(packet)
        self.sent = bytes(packet)

    def recv_into(self, buffer: bytearray) -> int:
        self.buffers.append(buffer)
        buffer[: len(self._packet)] = self._packet
        return len(self._packet)


def test_the_buffers_of_an_answer_are_wiped_on_both_sides() -> None:
    trial = object.__new__(Trial)
    wire = Wire()
    trial._wire = wire  # type: ignore[assignment]
    typed = bytearray(PIN)
    trial.answer(typed)
    assert wire.sent == child.ANSWER + PIN
    assert not any(typed)
    assert not any(wire.buffers[0])

    taking = Wire(wire.sent)
    login = child._Login(child.Attempt("login", "demo"), taking)  # type: ignore[arg-type]
    address, length = login._take()
    assert ctypes.string_at(address, length + 1) == PIN + b"\0"
    child._free(address)
    assert not any(taking.buffers[0])
