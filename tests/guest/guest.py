# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A booted guest: its console, root's commands over ssh, and the ukey at its USB port."""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

from keyservice.contract.names import BUS_NAME, INTERFACE, OBJECT_PATH
from tests.softkey import state
from tests.softkey.control import Control
from tests.support import CHECKOUT
from tests.support.process import Daemon, must, wait_until

from .console import GETTY, PATIENCE, Console
from .machine import Machine

#: the ukey's, other than the factory's, with which none is bound
SERIAL = "SK0123456789"
PIN = "24682468"
#: in the environment: BASE:DISK:PACKAGE:LOGS, as scripts/vm-test says
GIVEN = "UKEY_GUEST"
UNIT = "ukey-keyservice.service"
_BOOT_SECONDS = 900
_DENIAL = "type=(USER_)?AVC .*context=[^ ]*:(ukey_[a-z_]*|pcscd_t)[: ]"
_LOGS = {"journal.txt": "journalctl -b --no-pager", "audit.log": "cat /var/log/audit/audit.log"}


class Ukey:
    """The emulated ukey, a USB device for the guest. `control` steers it."""

    def __init__(self, path: Path, serial: str) -> None:
        self.serial = serial
        self.port = free_port()
        file = state.StateFile(path)
        file.create(state.new(serial=serial, pin=PIN.encode(), admin_pin=b"13571357"))
        self.control = Control(path)
        command = [sys.executable, "-m", "tests.softkey", "run", str(path), "--usbip"]
        self._daemon = Daemon(
            [*command, "--port", str(self.port)],
            path.with_suffix(".log"),
            cwd=CHECKOUT,
            env={"PYTHONPATH": os.fspath(CHECKOUT)},
        )
        self._daemon.wait_ready(self.control.answers)

    def tries_left(self) -> int:
        left = self.control.status()["applications"][0]["user"]["left"]
        assert isinstance(left, int)
        return left

    def close(self) -> None:
        self._daemon.stop()


class Guest:
    """Running from the start; `folder` gets its logs and what it writes to its disk."""

    def __init__(self, base: Path, disk: Path, folder: Path) -> None:
        self.folder = folder
        self.ukey = Ukey(folder / "guest.ukey", SERIAL)
        self.machine = Machine(base, disk, free_port(), self.ukey.port)
        self._overlay = folder / "disk.qcow2"
        must([*self.machine.create_overlay(), str(self._overlay)])
        self.bound_to: str | None = None
        self.told_denials = 0  #: how many of :meth:`denials` a test has answered for
        self.traces: dict[str, str] = {}  #: of tests, as they were last
        self.power_on()

    def power_on(self, *, selinux: bool = True, kept: bool = True) -> None:
        """`selinux`: whether it is a host with SELinux. `kept`: whether its disk keeps what is
        written now; without SELinux nothing is, since it would have no labels."""
        self.selinux = selinux
        self.ukey.control.plug()  # which it does as it boots
        self.plugged = True
        address = self.folder / "console.sock"
        address.unlink(missing_ok=True)
        log = self.folder / "console.log"
        socket_options = f"path={address},server=on,wait=on,logfile={log},logappend=on"
        options = ["-chardev", f"socket,id=console,{socket_options}", "-serial", "chardev:console"]
        self.started = time.monotonic()
        with (self.folder / "qemu.log").open("ab") as output:
            self._qemu = subprocess.Popen(
                self.machine.command(
                    options, selinux=selinux, overlay=self._overlay, kept=kept and selinux
                ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.console = Console(address)

    def wait_prompt(self) -> float:
        """Seconds from power-on to getty's prompt."""
        self.console.expect(GETTY, seconds=_BOOT_SECONDS)
        return time.monotonic() - self.started

    def wait_ready(self) -> None:
        """All that boots has, and root's commands are taken."""
        wait_until(self._answers, "sshd answers", seconds=_BOOT_SECONDS)
        self.root("systemctl is-system-running --wait", seconds=_BOOT_SECONDS, check=False)

    def _answers(self) -> bool:
        try:
            return self.root("true", seconds=30, check=False).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def root(
        self, command: str, *, seconds: float = PATIENCE, check: bool = True, input: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """A command of root's own shell, which is unconfined_t."""
        done = subprocess.run(
            [*self.ssh("root"), command],
            input=input,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{command}: {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def wait(self, condition: str) -> None:
        """Until that command of root's succeeds. It is asked again in there: each question over the
        connection would take the emulated processor longer."""
        loop = f"until {condition}; do sleep 0.5; done"
        self.root(f"timeout {PATIENCE} sh -c {shlex.quote(loop)}", seconds=PATIENCE + 30)

    def ssh(self, name: str, *options: str) -> list[str]:
        """The command that logs in; root's go over one connection."""
        command = ["ssh", "-p", str(self.machine.ssh_port), "-o", "StrictHostKeyChecking=no"]
        command += ["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
        patience = 10 if name == "root" else PATIENCE  # root is asked until it answers
        command += ["-o", f"ConnectTimeout={patience}", *options]
        if name == "root":
            command += ["-i", str(self.machine.key), "-o", "BatchMode=yes"]
            command += ["-o", "ControlMaster=auto", "-o", "ControlPersist=yes"]
            command += ["-o", f"ControlPath={self.folder}/ssh"]
        return [*command, f"{name}@127.0.0.1"]

    def hang_up(self) -> None:
        """Nobody is left at the console."""
        self.root("systemctl restart serial-getty@ttyS0.service")
        self.console.expect(GETTY)

    def put(self, content: str | bytes, path: str, mode: str = "644") -> None:
        data = content.encode() if isinstance(content, str) else content
        place = shlex.quote(path)
        subprocess.run(
            [*self.ssh("root"), f"mkdir -p $(dirname {place}); cat >{place}; chmod {mode} {place}"],
            input=data,
            timeout=PATIENCE,
            check=True,
        )

    # -- the ukey

    def wait_ukey(self) -> None:
        """Until the keyservice sees it. Asked without Python, whose start takes seconds there."""
        asked = f"busctl call {BUS_NAME} {OBJECT_PATH} {INTERFACE} ListUkeys 2>/dev/null"
        self.wait(f"{asked} | grep -q {self.ukey.serial}")

    def unplug(self) -> None:
        self.ukey.control.unplug()
        self.plugged = False

    def plug(self) -> None:
        self.ukey.control.reset_apdus()
        self.ukey.control.plug()
        self.plugged = True
        self.root("systemctl restart attach-ukey.service")
        deadline = time.monotonic() + PATIENCE
        while not self.ukey.control.apdus() and time.monotonic() < deadline:
            time.sleep(0.1)  # the keyservice cannot have seen it before; not to ask costs nothing
        self.wait_ukey()

    def bind(self, name: str) -> None:
        self.root(f"getpubkey {name}", input=f"{PIN}\n")
        self.bound_to = name

    def unbind(self, name: str) -> None:
        self.root(f"rmpubkey {name}", input=f"{PIN}\n")
        self.bound_to = None

    # -- what was denied

    def denials(self) -> list[str]:
        """All so far, of our domains and pcscd's, and of anybody towards them: AVC, USER_AVC."""
        return self.audited(_DENIAL)

    def audited(self, pattern: str) -> list[str]:
        """Lines of the audit log, oldest first; that there is one is checked."""
        command = f"ls -r /var/log/audit/audit.log* | xargs cat | grep -E '{pattern}'"
        done = self.root(f"systemctl is-active --quiet auditd && {{ {command}; }}", check=False)
        assert done.returncode in (0, 1) and not done.stderr, done
        return done.stdout.splitlines()

    # -- the keyservice

    def service(self, prop: str) -> str:
        """A property of its unit, as systemd has it."""
        return self.root(f"systemctl show --property={prop} --value {UNIT}").stdout.strip()

    # -- the end

    def collect(self) -> None:
        """Its logs, for whoever looks into a failure."""
        for name, command in _LOGS.items():
            with contextlib.suppress(subprocess.TimeoutExpired):
                told = self.root(command, check=False).stdout
                (self.folder / name).write_text(told)

    def power_off(self) -> None:
        subprocess.run(
            [*self.ssh("root", "-O", "exit")], capture_output=True, timeout=10, check=False
        )
        self.console.close()
        self._qemu.kill()
        self._qemu.wait(10)

    def shut_down(self) -> None:
        """The power goes, after all was written to the disk."""
        self.root("sync; echo u >/proc/sysrq-trigger")
        self.power_off()

    def power_cut(self, *, selinux: bool = True) -> None:
        """The power goes and comes back; what was written to the disk is there."""
        self.shut_down()
        self.power_on(selinux=selinux)

    def close(self) -> None:
        self.power_off()
        self.ukey.close()


def given() -> tuple[Path, Path, Path, Path]:
    """What guests start from, their disk, the package on it, and a folder for logs."""
    base, disk, package, logs = map(Path, os.environ[GIVEN].split(":"))
    return base, disk, package, logs


def free_port() -> int:
    """Of this machine's loopback; nobody else is in the sandbox to take it meanwhile."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
