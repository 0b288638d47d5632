# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The commands as real processes, a scripted keyservice on the real sockets, a real terminal."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from scripted import Keyservice

CHECKOUT = Path(__file__).resolve().parents[2]
COMMANDS = {
    "getpubkey": "tools.getpubkey",
    "rmpubkey": "tools.rmpubkey",
    "chpinpw": "tools.chpinpw",
    "ukey": "tools.ukey",
}
ENVIRONMENT = {"PATH": os.environ["PATH"], "TERM": "xterm", "LANG": "C.UTF-8", "HOME": "/root"}


@pytest.fixture(scope="session")
def launchers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands as an installation has them: an isolated interpreter, nothing of ours."""
    folder = tmp_path_factory.mktemp("bin")
    folder.parent.chmod(0o755)
    folder.parent.parent.chmod(0o755)
    folder.chmod(0o755)
    for name, module in COMMANDS.items():
        path = folder / name
        path.write_text(
            "#!/usr/bin/python3 -I\n"
            f"import sys\nsys.path.insert(0, {str(CHECKOUT)!r})\n"
            f"from {module} import main\nmain()\n"
        )
        path.chmod(0o755)
    return folder


@pytest.fixture
def service() -> Iterator[Keyservice]:
    """The scripted keyservice on root's socket."""
    keyservice = Keyservice("/run/ukey/root.sock")
    yield keyservice
    keyservice.close()


class Commands:
    """Runs commands: on a terminal of their own, or with pipes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: list[pexpect.spawn[str]] = []

    def path(self, name: str) -> str:
        return str(self._folder / name)

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
        **environment: str,
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [self.path(name), *arguments],
            input=text.encode() if isinstance(text, str) else text,
            capture_output=True,
            timeout=30,
            env={**ENVIRONMENT, **environment},
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            check=False,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )

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
        return listener

    def close(self) -> None:
        for child in self._open:
            child.close(force=True)


@pytest.fixture
def commands(launchers: Path) -> Iterator[Commands]:
    running = Commands(launchers)
    yield running
    running.close()


def only_json(text: str) -> dict[str, object]:
    """The one JSON object that is the whole of `text`."""
    (line,) = text.splitlines()
    document = json.loads(line)
    assert isinstance(document, dict)
    return document


