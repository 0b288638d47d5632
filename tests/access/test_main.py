# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The program itself: how it starts, what it refuses to start with, and how it stops."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from keyservice import descriptors
from keyservice.contract.names import RECORDS_DIR, STATE_DIR
from keyservice.core import threads
from keyservice.ukeys.pcsc.reports import READERS_MAX
from tests.support import CHECKOUT
from tests.support.process import Daemon, wait_until
from tests.support.restore import empty

ENVIRONMENT = {"PYTHONPATH": f"{CHECKOUT}:/usr/lib/ukey/vendor"}
Start = Callable[..., Daemon]


def keyservice(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "keyservice", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, **ENVIRONMENT},
    )


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts it with a configuration; ready when both sockets answer."""
    running: list[Daemon] = []

    def start(
        *arguments: str,
        text: str = "[bus]\nenabled = false\n",
        prefix: Sequence[str] = (),
        **more: object,
    ) -> Daemon:
        config = tmp_path / "keyservice.toml"
        config.write_text(text)
        command = [*prefix, sys.executable, "-m", "keyservice", "--config", str(config)]
        command += ["--socket-dir", str(tmp_path / "run"), *arguments]
        daemon = Daemon(command, tmp_path / "log", env=ENVIRONMENT, **more)
        running.append(daemon)
        daemon.wait_ready(lambda: all(map(answers, sockets(tmp_path))))
        return daemon

    yield start
    for daemon in running:
        daemon.stop()
    for folder in (RECORDS_DIR, STATE_DIR):
        empty(Path(folder))


def sockets(folder: Path) -> list[Path]:
    return [folder / "run" / name for name in ("root.sock", "user.sock")]


def answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as attempt:
        return attempt.connect_ex(str(path)) == 0


# -- checking the configuration


def test_a_right_configuration(tmp_path: Path) -> None:
    config = tmp_path / "k.toml"
    config.write_text("shared_pcsc = true\n")
    done = keyservice("--check-config", config)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == f"{config}: right"
    assert lines[1] == "SM2 engine openssl: works"
    assert lines[2].startswith("SM2 engine gmssl: ")
    assert lines[3] == "SM2 engine used (crypto.sm2 = auto): openssl"


def test_a_wrong_configuration(tmp_path: Path) -> None:
    config = tmp_path / "k.toml"
    config.write_text("[service]\ndead_line = 5\n")
    done = keyservice("--check-config", config)
    assert done.returncode == 78
    assert done.stderr == (
        f"{config}: service.dead_line is not a known key; did you mean service.deadline?\n"
    )
    assert "SM2 engine openssl: works" in done.stdout
    assert keyservice("--check-config", tmp_path / "none").returncode == 78


def test_the_service_does_not_start_with_it(tmp_path: Path) -> None:
    config = tmp_path / "k.toml"
    config.write_text("x = 1\n")
    done = keyservice("--config", config, "--socket-dir", tmp_path / "run")
    assert done.returncode == 78
    assert not (tmp_path / "run").exists()
    assert keyservice("--config", tmp_path / "none").returncode == 78
    assert keyservice("--nonsense").returncode == 2
    assert "Exit status" in keyservice("--help").stdout
    assert keyservice("--version").stdout.startswith("keyservice ")


def test_what_is_damaged_does_not_steer_a_terminal() -> None:
    """A record may come from anybody's backup."""
    folder = Path(RECORDS_DIR)
    folder.mkdir(0o700, exist_ok=True)
    record = folder / "alice"
    record.write_text('{"version": 1, "\\u001b[2J": 1}')
    record.chmod(0o600)
    try:
        done = keyservice("--check-state")
        listed = keyservice("--check-state", "--json")
    finally:
        empty(folder)
        empty(Path(STATE_DIR))
    assert done.returncode == 0
    assert "alice" in done.stdout
    assert all(line.isprintable() for line in done.stdout.splitlines())
    row = json.loads(listed.stdout)
    assert (row["path"], row["why"]) == (str(record), "fields")
    assert "\x1b[2J" in row["names"]
    assert "\x1b" not in listed.stdout


# -- serving


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_stops_cleanly(start: Start, tmp_path: Path, number: signal.Signals) -> None:
    daemon = start()
    children = offspring(daemon.pid)
    assert daemon.stop(number) == 0
    assert not any(path.exists() for path in sockets(tmp_path))
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


@pytest.mark.parametrize("closed", [(0,), (2,), (0, 1, 2)])
def test_no_file_or_connection_becomes_a_standard_stream(
    start: Start, closed: Sequence[int]
) -> None:
    """A library's output to standard error would go there."""
    streams = " ".join(f"{number}<&-" for number in closed)
    daemon = start(prefix=["sh", "-c", f'exec "$@" {streams}', "sh"])
    opened = [str(Path(f"/proc/{daemon.pid}/fd/{number}").readlink()) for number in closed]
    assert opened == [os.devnull] * len(closed)


def test_it_makes_its_folders(start: Start) -> None:
    for folder in map(Path, (RECORDS_DIR, STATE_DIR)):
        empty(folder)
        if folder.exists():
            folder.rmdir()
    (leftover := Path(RECORDS_DIR)).mkdir(0o700)
    (leftover / ".unfinished-1").write_text("")
    start()
    for folder in map(Path, (RECORDS_DIR, STATE_DIR)):
        assert folder.stat().st_mode & 0o7777 == 0o700
    assert [path.name for path in Path(RECORDS_DIR).iterdir()] == [".witness"]
    assert [path.name for path in Path(STATE_DIR).iterdir()] == ["witness"]


def test_there_is_only_one(start: Start, tmp_path: Path) -> None:
    daemon = start()
    other = keyservice("--config", tmp_path / "keyservice.toml", "--socket-dir", tmp_path / "b")
    assert other.returncode == 1
    assert "another keyservice" in other.stderr
    daemon.kill()
    assert all(path.exists() for path in sockets(tmp_path))  # left by the crash
    start()


def test_it_keeps_its_memory_to_itself(start: Start) -> None:
    daemon = start()
    limits = Path(f"/proc/{daemon.pid}/limits").read_text()
    (core,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert core.split()[4:6] == ["0", "0"]
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{daemon.pid}/status").read_text().splitlines()
    )
    assert status["Umask"] == "0077"
    assert int(status["VmLck"].split()[0]) > 0
    # not dumpable: its files below /proc belong to root, under any uid
    done = subprocess.run(
        [sys.executable, "-c", _DUMPABLE, str(CHECKOUT)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == "0\n"


_DUMPABLE = """
import ctypes, sys
sys.path.insert(0, sys.argv[1])
from keyservice.core.hardening import harden
harden()
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""


def test_it_takes_over_sockets_and_says_when_it_is_ready(tmp_path: Path, start: Start) -> None:
    config = tmp_path / "keyservice.toml"
    config.write_text("[bus]\nenabled = false\n")
    (tmp_path / "run").mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(tmp_path / "notify"))
        notified.settimeout(20)
        listeners = []
        for path in sockets(tmp_path):
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(path))
            listener.listen()
            listeners.append(listener)
        process = hand_over(listeners, tmp_path)
        try:
            assert notified.recv(100) == b"READY=1"
            assert all(map(answers, sockets(tmp_path)))
            os.kill(process, signal.SIGTERM)
            assert notified.recv(100) == b"STOPPING=1"
        finally:
            _, status = os.waitpid(process, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert all(path.exists() for path in sockets(tmp_path))  # they are not its own
        for listener in listeners:
            listener.close()


def hand_over(listeners: Sequence[socket.socket], folder: Path) -> int:
    """Start it as systemd does with sockets: its pid."""
    child = os.fork()
    if child == 0:
        try:
            for number, listener in enumerate(listeners, start=3):
                os.dup2(listener.fileno(), number + 50)
            for number in range(len(listeners)):
                os.dup2(number + 53, number + 3)
            environment = {
                **os.environ,
                **ENVIRONMENT,
                "LISTEN_PID": str(os.getpid()),
                "LISTEN_FDS": "2",
                "LISTEN_FDNAMES": "root:user",
                "NOTIFY_SOCKET": str(folder / "notify"),
            }
            config = str(folder / "keyservice.toml")
            command = [sys.executable, "-m", "keyservice", "--config", config]
            os.execve(sys.executable, command, environment)
        finally:
            os._exit(1)
    return child


def test_it_goes_on_without_a_bus(start: Start, tmp_path: Path) -> None:
    daemon = start(text="")
    assert daemon.running
    assert daemon.stop() == 0


def test_damaged_records_do_not_keep_it_from_starting(start: Start) -> None:
    """The tools are needed to repair them; logins are refused one by one."""
    Path(STATE_DIR).mkdir(0o700, exist_ok=True)
    revoked = Path(STATE_DIR, "revoked")
    revoked.write_text("?\n")
    revoked.chmod(0o600)
    start().stop()
    Path(RECORDS_DIR).chmod(0o755)
    try:
        start()
    finally:
        Path(RECORDS_DIR).chmod(0o700)


def offspring(pid: int) -> list[int]:
    """The worker processes; there is at least the watcher of readers."""
    found: list[int] = []

    def look() -> bool:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        found[:] = [int(word) for word in text.split()]
        return bool(found)

    wait_until(look, "it has children")
    return found


def limit_of(pid: int) -> int:
    """How many files the kernel lets it open."""
    (line,) = [
        text
        for text in Path(f"/proc/{pid}/limits").read_text().splitlines()
        if text.startswith("Max open files")
    ]
    return int(line.split()[3])


@pytest.mark.parametrize("hard", [4096, 1024])
def test_it_takes_what_it_may_of_descriptors(start: Start, hard: int) -> None:
    """Without systemd 1024 is the usual limit, and it is a soft one."""
    limits = (256, hard)
    daemon = start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limits))
    assert limit_of(daemon.pid) == min(hard, descriptors.needed())
    assert ("all callers at once need" in daemon.tail()) == (hard < descriptors.needed())


def test_the_unit_grants_what_all_limits_at_once_come_to() -> None:
    unit = (CHECKOUT / "data/systemd/ukey-keyservice.service").read_text()

    def granted(key: str) -> int:
        (value,) = re.findall(rf"^{key}=(\d+)$", unit, re.MULTILINE)
        return int(value)

    assert granted("LimitNOFILE") >= descriptors.needed()
    workers = 2 * READERS_MAX + 2  # one for each reader, one that is ending; the same for watchers
    assert granted("TasksMax") >= 1 + threads.LIMIT + workers
