# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What the PAM tests need: the modules built from this checkout, a user, a bus, the log."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pam.modules import Module
from tests.pam.scripted_bus import bus_daemon
from tests.pam.stacks import EXAMPLES
from tests.support import CHECKOUT
from tests.support.authlog import Authlog
from tests.support.doors import open_to_others
from tests.support.host import Host
from tests.support.people import User
from tests.support.process import must

SOURCES = Path(__file__).parent
PASSWORD = "right password"
GLASS_PASSWORD = "a good password"  #: of who are at real programs


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder, open to everybody, with pam_ukey.so, pam_row.so, pam_forge.so, the
    driver and rows."""
    folder = tmp_path_factory.mktemp("pam")
    open_to_others(folder)
    make = ["make", "--quiet", "-C", str(CHECKOUT / "pam_ukey/native"), f"O={folder}"]
    must(make, seconds=120)
    compile_ = ["cc", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror"]
    for output, source, more in (
        # Resolved when it starts: a resolver saves registers to the stack, and with them answers.
        ("driver", "driver.c", ("-Wl,-z,now",)),
        ("pam_row.so", "pam_row.c", ("-fPIC", "-shared")),
        ("pam_forge.so", "pam_forge.c", ("-fPIC", "-shared")),
        ("rows", "rows.c", ()),
    ):
        command = [*compile_, *more, "-o", str(folder / output), str(SOURCES / source), "-lpam"]
        must(command, seconds=120)
    return folder


@pytest.fixture(scope="module")
def alice() -> Iterator[None]:
    """A user with PASSWORD."""
    must(["useradd", "-M", "alice"])
    must(["chpasswd"], input=f"alice:{PASSWORD}\n")
    yield
    must(["userdel", "alice"])


@pytest.fixture
def log() -> Iterator[Authlog]:
    """Everything that is sent to syslog during the test."""
    made = Authlog()
    yield made
    made.close()


def whole(log: Authlog) -> str:
    """All lines that were sent until now: datagrams arrive in order."""
    must(["logger", "-t", "tests", "up to here"])
    log.wait_for("up to here")
    return log.text


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A bus at the system bus's address."""
    with bus_daemon(tmp_path_factory.mktemp("bus")):
        yield


@pytest.fixture
def native(built: Path, tmp_path: Path) -> Module:
    """pam_ukey.so."""
    return Module("native", built, tmp_path)


@pytest.fixture
def python(built: Path, bus: None, tmp_path: Path) -> Module:
    """The module for pam_python."""
    return Module("python", built, tmp_path)


@pytest.fixture(params=["native", "python"])
def module(request: pytest.FixtureRequest) -> Module:
    """Each module in turn."""
    module: Module = request.getfixturevalue(request.param)
    return module


@pytest.fixture
def pam_d() -> Iterator[Path]:
    """/etc/pam.d, and pam-auth-update's memory, which are restored."""
    kept = [Path("/etc/pam.d"), Path("/var/lib/pam")]
    profile = Path("/usr/share/pam-configs/ukey")
    before = profile.exists()
    for path in kept:
        shutil.copytree(path, f"{path}.kept")
    shutil.copy(EXAMPLES / "debian/pam-auth-update/ukey", profile)
    yield kept[0]
    if not before:
        profile.unlink()
    for path in kept:
        shutil.rmtree(path)
        Path(f"{path}.kept").rename(path)


@pytest.fixture
def rescue(host: Host) -> User:
    """A member of ukey-breakglass, without a ukey."""
    return host.user("rescue", GLASS_PASSWORD, groups=["ukey-breakglass"])


@pytest.fixture
def clerk(host: Host) -> User:
    return host.user("clerk", GLASS_PASSWORD)


@pytest.fixture
def helpful(host: Host) -> None:
    """Debian's helpful examples are in /etc/pam.d, without their delays."""
    put(host, "helpful")


def put(host: Host, variant: str) -> None:
    for name in ("login", "su", "sshd"):
        text = (EXAMPLES / "debian" / variant / name).read_text()
        quick = text.replace("pam_unix.so", "pam_unix.so nodelay").replace("=3000000", "=0")
        host.pam.stack(name, quick)
