# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""No PIN where others could read it: on the bus, in logs, in dbus-daemon, in argv, in environments.

Each search is shown to find something of the same kind that was planted for it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.host import Host
from tests.support.process import Daemon, must, wait_until
from tests.support.terminal import Terminal

from .conftest import Enrolled, enrol

PIN, NEW_PIN, LAST_PIN = b"Zq7!kW29xv", b"mT4#pLs83g", b"hB6%rNy51d"
ADMIN_PIN = b"Vd3&cJf70w"
PINS = (PIN, NEW_PIN, LAST_PIN, ADMIN_PIN)
CANARY = b"canary-Xe5-in-plain-sight"

PYTHON_STACK = """
auth requisite pam_unix.so
auth [success=ok default=die] pam_python.so /usr/lib/ukey/pam_ukey/pam_python_entry.py
account required pam_unix.so
session required pam_unix.so
"""


def found_in(content: bytes) -> set[bytes]:
    """Which PINs, and whether the canary, stand there; in UTF-8, UTF-16 or hexadecimal."""
    return {
        word
        for word in (*PINS, CANARY)
        for form in (word, word.decode().encode("utf-16-le"), word.hex().encode())
        if form in content
    }


def memory_of(pid: int) -> bytes:
    """All of a process's writable memory."""
    parts = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:  # noqa: PTH123
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights, *_ = line.split()
            start, end = (int(edge, 16) for edge in span.split("-"))
            if rights.startswith("rw") and "[v" not in line:
                memory.seek(start)
                parts.append(memory.read(end - start))
    return b"".join(parts)


class Watch:
    """Everything that is executed below this process, with argv and environment."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "execve.trace"

    def command(self, command: Sequence[str]) -> list[str]:
        """`command`, traced."""
        tracing = ["-f", "-qq", "-v", "-s", "65535", "-e", "trace=execve,execveat"]
        return ["strace", *tracing, "-A", "-o", str(self.file), *command]

    def run(self, command: Sequence[str], *answers: bytes) -> None:
        must(self.command(command), input="".join(f"{a.decode()}\n" for a in answers), seconds=60)

    def seen(self) -> bytes:
        """As strace writes it: printable characters stay as they are."""
        return self.file.read_bytes()


@pytest.fixture
def bus(host: Host) -> Daemon:
    return host.bus()


@pytest.fixture
def monitor(host: Host, bus: Daemon) -> Iterator[Path]:
    """A file that grows by every byte that passes over the bus."""
    capture = host.folder / "bus.pcap"
    daemon = Daemon(
        ["sh", "-c", 'exec dbus-monitor --system --pcap >"$0"', str(capture)],
        host.folder / "monitor.log",
    )
    wait_until(lambda: capture.exists() and _signal_seen(capture), "dbus-monitor watching")
    yield capture
    daemon.stop()


def _signal_seen(capture: Path) -> bool:
    """Whether the monitor has caught a signal that is sent for it."""
    emit("org.ukey.test.Ready")
    return b"org.ukey.test.Ready" in capture.read_bytes()


def emit(interface: str, word: str = "") -> None:
    command = ["dbus-send", "--system", "--type=signal", "/org/ukey/test", f"{interface}.Said"]
    must([*command, f"string:{word}"])


def test_no_pin_leaves_its_way(host: Host, bus: Daemon, monitor: Path) -> None:
    enrolled = enrol_with(host, PIN)
    host.pam.stack("pythonic", PYTHON_STACK)
    watch, console = Watch(host.folder), host.console("tty2")
    user, serial = enrolled.user, enrolled.ukey.serial
    as_user = ["setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups"]

    watch.run(["rmpubkey", user.name], PIN)
    watch.run(["getpubkey", user.name], PIN)
    su = watch.command([*as_user, "su", user.name, "-c", "echo in:$(id -un)"])
    assert "in:demo" in log_in(console, su, user.password, PIN)
    # pam_python brings an interpreter of its own, and a process that already is one cannot hold it
    pythonic = watch.command(["pamtester", "-I", "tty=tty2", "pythonic", user.name, "authenticate"])
    assert "successfully" in log_in(console, pythonic, user.password, PIN)
    assert "successfully" not in log_in(console, pythonic, user.password, NEW_PIN)
    watch.run([*as_user, "chpinpw"], PIN, NEW_PIN, NEW_PIN)
    watch.run(["chpinpw", "--unblock", serial], ADMIN_PIN, LAST_PIN, LAST_PIN)
    watch.run(["rmpubkey", user.name], LAST_PIN)

    host.authlog.wait_for("event=unbind .*verdict=SUCCESS", len(host.authlog.lines) // 2)
    emit("org.ukey.test.Last")
    wait_until(lambda: b"org.ukey.test.Last" in monitor.read_bytes(), "the capture complete")
    logs = host.authlog.text.encode() + b"".join(p.read_bytes() for p in host.folder.glob("*.log"))
    assert b"verdict=AUTH_ERR" in logs
    assert not found_in(logs)
    assert not found_in(monitor.read_bytes())
    assert not found_in(watch.seen())
    assert not found_in(memory_of(bus.pid))


def test_each_search_finds_a_canary(host: Host, bus: Daemon, monitor: Path) -> None:
    watch = Watch(host.folder)
    word = CANARY.decode()
    emit("org.ukey.test.Planted", word)
    wait_until(lambda: found_in(monitor.read_bytes()) == {CANARY}, "the canary on the bus")

    must(["logger", "--priority", "authpriv.info", word])
    host.authlog.wait_for(word)
    assert found_in(host.authlog.text.encode()) == {CANARY}

    watch.run(["true", word])
    assert found_in(watch.seen()) == {CANARY}
    watch.run(["env", f"PLANTED={word}", "true"])
    assert found_in(watch.seen()) == {CANARY}

    rule = ["dbus-monitor", "--system", f"interface='x.y',path='/{word.replace('-', '_')}'"]
    with subprocess.Popen(rule, stdout=subprocess.PIPE) as listener:
        planted = word.replace("-", "_").encode()
        wait_until(lambda: planted in memory_of(bus.pid), "the canary in dbus-daemon")
        listener.terminate()


def test_no_pin_stays_in_the_service_after_its_session(host: Host) -> None:
    """Nobody but root can read it there; it is wiped all the same."""
    enrolled = enrol_with(host, PIN)
    for pin, code in ((NEW_PIN, 7), (PIN, 0)):
        answers = [enrolled.user.password, pin.decode()]
        assert host.pam.converse("login", enrolled.user.name, answers).code == code
    pids = family(enrolled.keyservice.pid)
    assert len(pids) >= 3, "the service, its watcher, a worker"
    for pid in pids:
        assert not found_in(memory_of(pid)), Path(f"/proc/{pid}/cmdline").read_bytes()


def enrol_with(host: Host, pin: bytes) -> Enrolled:
    return enrol(host, pin=pin, admin_pin=ADMIN_PIN)


def log_in(console: Terminal, command: Sequence[str], *answers: str | bytes) -> str:
    """Run `command`, answering its hidden prompts; what the screen shows then."""
    console.start(command)
    console.converse([a.decode() if isinstance(a, bytes) else a for a in answers])
    return console.screen


def family(pid: int) -> list[int]:
    """A process and all below it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(below for child in children for below in family(int(child)))]
