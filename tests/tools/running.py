# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The commands as real processes: on a terminal of their own, in a shell's, or with pipes."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path

import pexpect

COMMANDS = {
    "getpubkey": "/usr/sbin/getpubkey",
    "rmpubkey": "/usr/sbin/rmpubkey",
    "chpinpw": "/usr/bin/chpinpw",
    "ukey": "/usr/bin/ukey",
}
ENVIRONMENT = {"PATH": os.environ["PATH"], "TERM": "xterm", "LANG": "C.UTF-8", "HOME": "/root"}


class Commands:
    """Runs commands: on a terminal of their own, or with pipes."""

    def __init__(self) -> None:
        self._open: list[pexpect.spawn[str]] = []
        #: how the terminal of :meth:`in_a_shell` was before the command
        self.shell_modes: list[object] = []

    def path(self, name: str) -> str:
        return COMMANDS[name]

    def on_terminal(
        self, name: str, *arguments: str, width: int = 80, **environment: str
    ) -> pexpect.spawn[str]:
        child = pexpect.spawn(
            self.path(name),
            list(arguments),
            env={**ENVIRONMENT, **environment},
            encoding="utf-8",
            codec_errors="replace",
            timeout=15,
            dimensions=(24, width),
        )
        child.delaybeforesend = None
        self._open.append(child)
        return child

    def piped(
        self,
        name: str,
        *arguments: str,
        text: str | bytes = b"",
        user: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [self.path(name), *arguments],
            input=text.encode() if isinstance(text, str) else text,
            capture_output=True,
            timeout=30,
            env={**ENVIRONMENT, **(environment or {})},
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            check=False,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )

    def in_a_shell(self, script: str) -> pexpect.spawn[str]:
        """A terminal that outlives the command: how the command left it can be looked at."""
        child = pexpect.spawn(
            "/bin/bash",
            ["--norc", "-c", f"read go; {script}; read end"],
            env=ENVIRONMENT,
            encoding="utf-8",
            timeout=15,
        )
        child.delaybeforesend = None
        self._open.append(child)
        self.shell_modes = termios.tcgetattr(child.child_fd)
        child.sendline("go")
        child.expect_exact("go\r\n")
        return child

    @staticmethod
    def signal_child_of(shell: pexpect.spawn[str], number: signal.Signals) -> None:
        children = Path(f"/proc/{shell.pid}/task/{shell.pid}/children").read_text().split()
        (pid,) = map(int, children)
        os.kill(pid, number)

    @staticmethod
    def typed_ahead(child: pexpect.spawn[str]) -> int:
        """How many bytes wait in the terminal for the command to read them."""
        terminal = os.open(f"/proc/{child.pid}/fd/0", os.O_RDWR | os.O_NOCTTY)
        try:
            count = fcntl.ioctl(terminal, termios.FIONREAD, bytes(4))
            return int.from_bytes(count, sys.byteorder)
        finally:
            os.close(terminal)

    @staticmethod
    def memory_holds(pid: int, needle: bytes) -> bool:
        """Whether `needle` is anywhere in the writable memory of a process."""
        with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
            for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
                span, rights = line.split()[:2]
                if "w" not in rights:
                    continue
                start, end = (int(part, 16) for part in span.split("-"))
                memory.seek(start)
                try:
                    content = memory.read(end - start)
                except OSError:
                    continue
                if needle in content:
                    return True
        return False

    def shell(self, script: str, text: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", "-c", script],
            input=text,
            text=True,
            capture_output=True,
            timeout=30,
            env=ENVIRONMENT,
            check=False,
        )

    def false_keyservice(self, path: str, uid: int) -> subprocess.Popen[str]:
        """A listener of `uid` on a socket that is not its own to have."""
        folder = Path(path).parent
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)
        listener = subprocess.Popen(
            [
                "/usr/bin/python3",
                "-c",
                "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]);"
                "s.listen(); print('ready', flush=True); s.accept()[0].recv(9)",
                path,
            ],
            user=uid,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert listener.stdout is not None
        assert listener.stdout.readline() == "ready\n"
        folder.chmod(0o755)
        return listener

    def close(self) -> None:
        for child in self._open:
            child.close(force=True)


def only_json(text: str) -> dict[str, object]:
    """The one JSON object that is the whole of `text`."""
    (line,) = text.splitlines()
    document = json.loads(line)
    assert isinstance(document, dict)
    return document
