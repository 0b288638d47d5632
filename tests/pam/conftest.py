# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What the PAM tests stand on: the modules built from this checkout, people, and the log."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pam.modules import Module
from tests.pam.scripted_bus import bus_daemon
from tests.pam.stacks import CHECKOUT

SOURCES = Path(__file__).parent
PASSWORD = "right password"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder, open to everybody, with pam_ukey.so, pam_row.so and the driver."""
    folder = tmp_path_factory.mktemp("pam")
    for parent in (folder, folder.parent, folder.parent.parent):
        parent.chmod(0o755)
    make = ["make", "--quiet", "-C", str(CHECKOUT / "pam_ukey/native"), f"O={folder}"]
    subprocess.run(make, check=True, timeout=120)
    compile_ = ["cc", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror"]
    for output, source, more in (
        ("driver", "driver.c", ()),
        ("pam_row.so", "pam_row.c", ("-fPIC", "-shared")),
    ):
        command = [*compile_, *more, "-o", str(folder / output), str(SOURCES / source), "-lpam"]
        subprocess.run(command, check=True, timeout=120)
    return folder


@pytest.fixture(scope="session")
def installed() -> None:
    """The files at the places that the stacks and the Python module name."""
    library = Path("/usr/lib/ukey")
    library.mkdir(exist_ok=True)
    for package in ("keyservice", "pam_ukey"):
        if not (library / package).exists():
            (library / package).symlink_to(CHECKOUT / package)
    gate = Path("/usr/libexec/ukey/breakglass")
    if not gate.exists():
        gate.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / "data/libexec/breakglass", gate)
        gate.chmod(0o755)


@pytest.fixture(scope="session")
def people() -> None:
    """alice, and rescue, who is in ukey-breakglass; both with PASSWORD."""
    subprocess.run(["groupadd", "-f", "ukey-breakglass"], check=True, timeout=20)
    for name, groups in (("alice", ""), ("rescue", "ukey-breakglass")):
        subprocess.run(["userdel", "-f", name], check=False, capture_output=True, timeout=20)
        subprocess.run(["useradd", "-M", "-G", groups, name], check=True, timeout=20)
        subprocess.run(
            ["chpasswd"], input=f"{name}:{PASSWORD}\n", text=True, check=True, timeout=20
        )


class Log:
    """Everything that is sent to syslog, from now on."""

    def __init__(self) -> None:
        Path("/dev/log").unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("/dev/log")
        Path("/dev/log").chmod(0o666)
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self) -> None:
        while (line := self._socket.recv(8192)) != b"end":
            self._lines.append(line.decode(errors="replace"))

    def close(self) -> str:
        """All lines; a datagram is there when its sender goes on."""
        if self._thread.is_alive():
            with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sender:
                sender.sendto(b"end", "/dev/log")
            self._thread.join(10)
            self._socket.close()
            Path("/dev/log").unlink(missing_ok=True)
        return "\n".join(self._lines)


@pytest.fixture
def log() -> Iterator[Log]:
    collected = Log()
    yield collected
    collected.close()


@pytest.fixture(scope="session")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A bus at the system bus's address."""
    with bus_daemon(tmp_path_factory.mktemp("bus")):
        yield


@pytest.fixture
def native(built: Path, tmp_path: Path) -> Module:
    """pam_ukey.so."""
    return Module("native", built, tmp_path)


@pytest.fixture
def python(built: Path, installed: None, bus: None, tmp_path: Path) -> Module:
    """The module for pam_python."""
    return Module("python", built, tmp_path)


@pytest.fixture(params=["native", "python"])
def module(request: pytest.FixtureRequest, built: Path, installed: None, tmp_path: Path) -> Module:
    """Each module in turn."""
    if request.param == "python":
        request.getfixturevalue("bus")
    return Module(request.param, built, tmp_path)
