# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""scripts/sandbox: what runs in it is free to do anything, and the machine stays as it was.

A sandbox starts sandboxes, so the machine of these tests is the sandbox that they run in.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.support import CHECKOUT
from tests.support.machine import differences, processes, sockets, tree
from tests.support.process import run, wait_until
from tests.support.terminal import Terminal

pytestmark = pytest.mark.slow

SANDBOX = CHECKOUT / "scripts/sandbox"
CACHE = "/var/cache/ukey-sandbox"
#: Not the machine's: what people edit while tests run.
NOT_COMPARED = {CACHE, str(CHECKOUT)}

#: Much of what the product's tests do to a host.
A_BUSY_DAY = """
from tests.support.host import Host
from tests.support.process import must
must(["scripts/install", "--wheels", "/opt/wheels"])
with Host() as host:
    host.pcscd(), host.bus(), host.sshd(), host.softkey(), host.user(), host.far()
    for place in "/etc/motd", "/usr/bin/left", "/var/lib/left", "/home/left", "/left":
        open(place, "w").write("left behind")
"""


def sandbox(*command: str | Path, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    return run([SANDBOX, *command], seconds=seconds)


def test_the_machine_is_as_it_was() -> None:
    folders = ("/etc", "/usr", "/var", "/home", "/run", "/root")
    files, listening = tree(*folders, leave_out=NOT_COMPARED), sockets()
    done = sandbox(sys.executable, "-c", A_BUSY_DAY)
    assert done.returncode == 0, done.stderr
    assert differences(files, tree(*folders, leave_out=NOT_COMPARED)) == []
    assert sockets() == listening


def test_a_change_of_the_machine_would_be_seen(tmp_path: Path) -> None:
    files, listening = tree(tmp_path), sockets()
    (tmp_path / "new").touch()
    assert differences(files, tree(tmp_path)) == [str(tmp_path / "new")]
    with socket.create_server(("127.0.0.1", 0)):
        assert len(sockets() - listening) == 1


@pytest.mark.parametrize(
    ("script", "status"),
    [("exit 0", 0), ("exit 5", 5), ("kill -9 $$", 128 + 9), ("exec no-such-command", 127)],
)
def test_the_command_s_status_is_passed_on(script: str, status: int) -> None:
    assert sandbox("sh", "-c", script).returncode == status


def test_input_and_output_are_passed_on() -> None:
    done = run([SANDBOX, "sh", "-c", "cat; echo told >&2"], input="said")
    assert (done.stdout, done.stderr) == ("said", "told\n")


def test_words_are_passed_on_as_they_are() -> None:
    words = ["a b", "it's", "$HOME", "", "*", "--out"]
    done = sandbox("--", "printf", "<%s>", *words)
    assert done.stdout == "".join(f"<{word}>" for word in words)


def test_it_has_everything_of_its_own() -> None:
    script = (
        "hostname; cat /etc/machine-id; readlink /proc/self/ns/net /proc/self/ns/ipc; "
        "ls /sys/class/net; ps --no-headers -A | wc -l; /usr/sbin/policy-rc.d; echo $?"
    )
    first, second = (sandbox("sh", "-c", script).stdout.split() for _ in range(2))
    assert first[0] == "sandbox"
    assert len(first[1]) == 32
    assert first[1] != second[1]
    own = [str(Path(f"/proc/self/ns/{kind}").readlink()) for kind in ("net", "ipc")]
    assert not set(first[2:4]) & set(own)
    assert first[4] == "lo"
    assert int(first[5]) <= 4  # pid 1, the shell, ps, wc
    assert first[6] == "101"


def test_the_checkout_is_read_only_and_out_is_writable(tmp_path: Path) -> None:
    script = "pwd; echo new >/out/file; touch new 2>&1"
    done = sandbox("--out", tmp_path, "sh", "-c", script)
    assert done.stdout.startswith("/usr/src/ukey\n")
    assert "Read-only file system" in done.stdout
    assert (tmp_path / "file").read_text() == "new\n"


def test_the_kernel_s_settings_and_modules_are_out_of_reach() -> None:
    done = sandbox("sh", "-c", "echo 300 >/proc/sys/kernel/pid_max; setpriv --dump | grep Bounding")
    assert "Read-only file system" in done.stderr
    assert "sys_module" not in done.stdout.replace(",", " ").split()


@pytest.mark.parametrize(
    "without",
    [
        ["--bounding-set", "-sys_admin"],
        ["--reuid", "65534", "--regid", "65534", "--clear-groups"],
    ],
    ids=["CAP_SYS_ADMIN", "root"],
)
def test_without_the_right_it_says_what_to_do(without: list[str]) -> None:
    done = run(["setpriv", *without, SANDBOX, "true"])
    assert done.returncode == 77
    [sentence] = done.stderr.splitlines()
    assert "CAP_SYS_ADMIN" in sentence
    assert "sudo" in sentence


@pytest.mark.parametrize(
    "arguments",
    [
        ["--frobnicate"],
        ["--out"],
        ["--out", "/no/such"],
        ["--network", "some"],
        ["--build", "x"],
        ["--for", "me"],
        ["--for", "deb", "--suite", "trixie"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_said(arguments: list[str]) -> None:
    done = sandbox(*arguments)
    assert done.returncode == 2
    assert "--help explains" in done.stderr


def test_two_at_once_do_not_meet(tmp_path: Path) -> None:
    """Both listen at the same address, write the same file, and have the same pid."""
    script = """
        mkdir /out/$1
        echo "$1" >/usr/mine
        pcscd --foreground >/dev/null 2>&1 &
        mkdir /run/dbus && dbus-daemon --system --fork
        until [ -S /run/pcscd/pcscd.comm ] && grep -q :8C7B /proc/net/tcp; do sleep 0.01; done
        touch /out/$1/up
        until [ -e /out/first/up ] && [ -e /out/second/up ]; do sleep 0.01; done
        cat /usr/mine; ps -o comm= -A | grep -c -e pcscd -e dbus-daemon
    """
    running = [
        subprocess.Popen(
            [SANDBOX, "--out", tmp_path, "sh", "-c", script, "sh", name],
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("first", "second")
    ]
    said = [one.communicate(timeout=50)[0].split() for one in running]
    assert said == [["first", "2"], ["second", "2"]]


def start(word: str, script: str) -> subprocess.Popen[str]:
    """A sandbox that says when it is up, and can be found by a word in its command lines."""
    running = subprocess.Popen(
        [SANDBOX, "sh", "-c", f"{script}\n: {word}"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "up\n"
    return running


def test_nothing_is_left_when_it_is_killed() -> None:
    word = uuid.uuid4().hex
    mounts = Path("/proc/self/mounts").read_text()
    files = tree(CACHE + "/mnt", "/tmp", "/run")
    running = start(
        word, f"setsid sleep 1000 & (setsid sh -c 'sleep 1000; : {word}' &); echo up; wait"
    )
    assert len(processes(word)) >= 3
    running.kill()
    running.wait(10)
    wait_until(lambda: not processes(word), "all processes gone")
    assert Path("/proc/self/mounts").read_text() == mounts
    assert differences(files, tree(CACHE + "/mnt", "/tmp", "/run")) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_reaches_the_command(number: signal.Signals) -> None:
    word = uuid.uuid4().hex
    name = number.name.removeprefix("SIG")
    running = start(word, f"trap 'echo {name}; exit 9' {name}; echo up; sleep 1000 & wait")
    running.send_signal(number)
    said, _ = running.communicate(timeout=10)
    assert (said, running.returncode) == (f"{name}\n", 9)
    assert not processes(word)


def test_a_command_ignores_no_signal_because_of_who_began_it() -> None:
    """Under nohup, and in a shell's background."""
    command = "nohup scripts/sandbox grep SigIgn /proc/self/status & wait"
    done = run(["sh", "-c", command], cwd=CHECKOUT, stdin=subprocess.DEVNULL)
    assert int(done.stdout.split()[1], 16) & (1 << signal.SIGHUP - 1 | 1 << signal.SIGINT - 1) == 0


def test_a_signal_is_not_lost_while_it_starts() -> None:
    """The kernel drops signals for a pid 1 that is not ready for them: it takes any moment."""
    for milliseconds in range(0, 100, 4):
        running = subprocess.Popen([SANDBOX, "sleep", "1000"], start_new_session=True)
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(milliseconds / 1000)
        running.terminate()
        assert running.wait(20) in (-signal.SIGTERM, 128 + signal.SIGTERM)
    # If the signal came early, a subshell that seeks the root ends a moment later, by itself.
    wait_until(lambda: not processes("\0sleep\0001000"), "the end of all processes")


def test_orphans_are_reaped() -> None:
    """A shell's children that end after it become pid 1's, and do not stay as zombies."""
    script = "for n in 1 2 3 4 5; do (sleep 0.05 &); done; sleep 0.3; ps -o stat=,comm= -A"
    assert "Z" not in sandbox("sh", "-c", script).stdout


def test_at_a_terminal_it_has_a_terminal_of_its_own() -> None:
    """With a name that su and login can report, and job control."""
    terminal = Terminal()
    try:
        terminal.start([SANDBOX, "bash", "-ic", "tty; echo $-; echo typed | tee /dev/tty; exit 3"])
        wait_until(lambda: terminal.wait_question(20) is None, "the end", 30)
        lines = terminal.screen.split("\r\n")
        assert "/dev/pts/0" in lines[0]
        assert "m" in lines[1]
        assert lines[2:4] == ["typed", "typed"]
        assert terminal.status == 3
    finally:
        terminal.close()
