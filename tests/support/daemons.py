# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The host's daemons: pcscd with its virtual readers, the system bus, the keyservice, sshd."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from keyservice.contract import names

from .process import Daemon, must
from .ukeys import SLOTS, VPCD_PORT, reader_name

PCSCD_SOCKET = "/run/pcscd/pcscd.comm"
KEYSERVICE = "/usr/libexec/ukey/keyservice"
BUS_SOCKET = "/run/dbus/system_bus_socket"
SSH_PORT = 22

_READER = """\
FRIENDLYNAME "{name}"
DEVICENAME /dev/null:{port:#x}
LIBPATH {driver}
CHANNELID {port:#x}
"""
_DRIVER = Path("/usr/lib/pcsc/drivers/serial/libifdvpcd.so")

_SSHD = """\
Port {port}
HostKey {folder}/ssh_host_ed25519_key
PidFile none
UsePAM yes
PasswordAuthentication no
KbdInteractiveAuthentication yes
AuthenticationMethods keyboard-interactive
PrintMotd no
PrintLastLog no
"""


def answers(address: str | tuple[str, int]) -> bool:
    """Somebody accepts connections there."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as attempt:
        attempt.settimeout(1)
        return attempt.connect_ex(address) == 0


def listens(port: int) -> bool:
    """The TCP port is listened on. Does not connect: vpcd takes any connection for a ukey."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for row in Path(table).read_text().splitlines():
            _, local, _, state, *_ = row.split()
            if state == "0A" and int(local.split(":")[1], 16) == port:
                return True
    return False


def start_pcscd(folder: Path, slots: int = SLOTS) -> Daemon:
    """pcscd with `slots` places for ukeys. A virtual reader has two; more readers make more."""
    readers = folder / "readers"
    readers.mkdir(exist_ok=True)
    for number in range((slots + SLOTS - 1) // SLOTS):
        # pcscd opens a driver once: each reader has a copy.
        driver = folder / f"libifdvpcd{number}.so"
        if not driver.exists():
            driver.write_bytes(_DRIVER.read_bytes())
        port = VPCD_PORT + SLOTS * number
        text = _READER.format(name=reader_name(number), port=port, driver=driver)
        (readers / f"vpcd{number}.conf").write_text(text)
    Path(PCSCD_SOCKET).unlink(missing_ok=True)
    daemon = Daemon(["pcscd", "--foreground", "--config", str(readers)], folder / "pcscd.log")
    daemon.wait_ready(lambda: listens(VPCD_PORT + slots - 1) and answers(PCSCD_SOCKET))
    return daemon


def start_bus(folder: Path) -> Daemon:
    """dbus-daemon as the system bus, with the policies and activations that are installed."""
    Path(BUS_SOCKET).parent.mkdir(exist_ok=True)
    Path(BUS_SOCKET).unlink(missing_ok=True)
    daemon = Daemon(["dbus-daemon", "--system", "--nofork", "--nopidfile"], folder / "bus.log")
    daemon.wait_ready(lambda: answers(BUS_SOCKET))
    return daemon


def bus_owned(name: str) -> bool:
    """Somebody owns the bus name."""
    command = ["dbus-send", "--system", "--print-reply", "--dest=org.freedesktop.DBus"]
    command += ["/", "org.freedesktop.DBus.NameHasOwner", f"string:{name}"]
    return "true" in must(command)


def start_keyservice(
    folder: Path, command: Sequence[str], *, on_bus: bool, env: Mapping[str, str]
) -> Daemon:
    """The keyservice. Ready when it serves its sockets, and its name if `on_bus`."""
    daemon = Daemon(command, folder / "keyservice.log", env=env)
    daemon.wait_ready(lambda: all(map(answers, (names.ROOT_SOCKET, names.USER_SOCKET))))
    if on_bus:
        daemon.wait_ready(lambda: bus_owned(names.BUS_NAME))
    return daemon


def start_sshd(folder: Path, settings: str = "") -> Daemon:
    """sshd on every address. `settings`: lines of sshd_config; sshd takes the first of each."""
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    key = folder / "ssh_host_ed25519_key"
    if not key.exists():
        must(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key])
    config = folder / "sshd_config"
    config.write_text(settings + "\n" + _SSHD.format(port=SSH_PORT, folder=folder))
    daemon = Daemon(["/usr/sbin/sshd", "-D", "-f", config], folder / "sshd.log")
    daemon.wait_ready(lambda: listens(SSH_PORT))
    return daemon
