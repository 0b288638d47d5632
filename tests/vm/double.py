#!/usr/bin/python3 -I
# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A program of ours that somebody else has taken over: in the guest, with the label of the real
one, it tries what its domain must not be able to do, and the little that it must.

``double KEYSERVICE-PID [PROGRAM]`` prints a line for each: domain, name, outcome; an outcome is
"done" or the name of an error. `PROGRAM`, the next double, is run at the end.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from jeepney import DBusAddress, Message, MessageType, Parser, new_method_call
from jeepney.io.blocking import open_dbus_connection, prep_socket

SECONDS = 20  #: no attempt waits longer
HOME = Path("/home") / "alice"
NEW = f"double-{os.getpid()}"
PTRACE_SEIZE = 0x4206


def run(*command: str) -> None:
    _pid, status = os.waitpid(os.posix_spawn(command[0], command, {}), 0)
    if os.waitstatus_to_exitcode(status):
        raise OSError(errno.ECHILD, "")


def run_from_memory() -> None:
    program = os.memfd_create("program", 0)
    os.write(program, Path("/usr/bin/true").read_bytes())
    run(f"/proc/self/fd/{program}")


def create(folder: str) -> None:
    path = Path(folder, NEW)
    path.touch(exist_ok=False)
    path.unlink()


def append(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_APPEND))


def read(path: str) -> None:
    with Path(path).open("rb") as file:
        file.read(1)


def connect(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)


def replace_socket() -> None:
    """Its name is put back at once, where it can be changed at all."""
    Path("/run/ukey/root.sock").rename(f"/run/ukey/{NEW}")
    Path(f"/run/ukey/{NEW}").rename("/run/ukey/root.sock")


def network(family: int, kind: int, address: tuple[str | int, int] | None) -> None:
    with socket.socket(family, kind) as sock:
        sock.settimeout(5)
        if address is not None:
            sock.connect(address)


def libc(function: str, *arguments: object) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, function)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "")


def write_selinux(path: str, value: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    os.write(descriptor, value)


def start_unit() -> Message:
    """Ask systemd, as whoever wants a program run outside its domain would. It runs already."""
    manager = DBusAddress(
        "/org/freedesktop/systemd1", "org.freedesktop.systemd1", "org.freedesktop.systemd1.Manager"
    )
    return new_method_call(manager, "StartUnit", "ss", ("multi-user.target", "replace"))


def must_be_no_error(answer: Message) -> None:
    if answer.header.message_type is MessageType.error:
        raise OSError(errno.EACCES, "")


def ask_systemd_over_the_bus() -> None:
    with open_dbus_connection("SYSTEM") as bus:
        must_be_no_error(bus.send_and_get_reply(start_unit(), timeout=SECONDS))


def ask_systemd_by_its_own_socket() -> None:
    """What came together with the end of the greeting, systemd reads when more comes."""
    parser = Parser()
    with prep_socket("/run/systemd/private", timeout=SECONDS) as sock:
        sock.sendall(start_unit().serialise(serial=1))
        sock.settimeout(1)
        while True:
            while (answer := parser.get_next_message()) is None:
                try:
                    more = sock.recv(4096)
                except TimeoutError:
                    sock.sendall(start_unit().serialise(serial=2))
                    continue
                if not more:
                    raise OSError(errno.ECONNRESET, "")
                parser.add_data(more)
            if answer.header.message_type is not MessageType.signal:
                break
    must_be_no_error(answer)


def first_usb_device() -> str:
    return str(next(Path("/dev/bus/usb").glob("*/*")))


#: name: what is tried. Each in a process of its own, which ends with it.
ATTEMPTS: dict[str, Callable[[], object]] = {
    "run a shell": lambda: run("/bin/sh", "-c", "true"),
    "run a program": lambda: run("/usr/bin/id"),
    "run Python again": lambda: run("/usr/bin/python3", "-c", "pass"),
    "run a tool of ours": lambda: run("/usr/bin/ukey", "--help"),
    "run a program from memory": run_from_memory,
    "make memory executable": lambda: mmap.mmap(
        -1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    ),
    "connect by TCP": lambda: network(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 22)),
    "connect by TCP over IPv6": lambda: network(socket.AF_INET6, socket.SOCK_STREAM, ("::1", 22)),
    "send by UDP": lambda: network(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 9)),
    "listen to the wire": lambda: network(socket.AF_PACKET, socket.SOCK_RAW, None),
    "ask for routes": lambda: network(socket.AF_NETLINK, socket.SOCK_RAW, (0, 0)),
    "read shadow": lambda: read("/etc/shadow"),
    "read sshd's key": lambda: read("/etc/ssh/ssh_host_ed25519_key"),
    "read the audit log": lambda: read("/var/log/audit/audit.log"),
    "read root's home": lambda: read("/root/.ssh/authorized_keys"),
    "list a home": lambda: list(HOME.iterdir()),
    "read in a home": lambda: read(f"{HOME}/.bashrc"),
    "read the disk": lambda: read("/dev/vda"),
    "open init's memory": lambda: os.close(os.open("/proc/1/mem", os.O_RDONLY)),
    "write in /tmp": lambda: create("/tmp"),
    "write in /var/tmp": lambda: create("/var/tmp"),
    "write in /dev/shm": lambda: create("/dev/shm"),
    "write in /run": lambda: create("/run"),
    "write in /run/ukey": lambda: create("/run/ukey"),
    "write in /etc": lambda: create("/etc"),
    "write in /etc/ukey": lambda: create("/etc/ukey"),
    "write in /etc/pam.d": lambda: create("/etc/pam.d"),
    "write in /usr/lib/ukey": lambda: create("/usr/lib/ukey"),
    "write in /usr/libexec/ukey": lambda: create("/usr/libexec/ukey"),
    "write in /var/lib": lambda: create("/var/lib"),
    "write in /var/log": lambda: create("/var/log"),
    "write in root's home": lambda: create("/root"),
    "write in a home": lambda: create(f"{HOME}"),
    "write the configuration": lambda: append("/etc/ukey/keyservice.toml"),
    "write the log": lambda: append("/var/log/audit/audit.log"),
    "write itself": lambda: append(sys.argv[0]),
    "replace root.sock": replace_socket,
    "trace the keyservice": lambda: libc("ptrace", PTRACE_SEIZE, int(sys.argv[1]), None, None),
    "signal init": lambda: os.kill(1, signal.SIGCONT),
    "become somebody": lambda: os.setuid(65534),
    "mount": lambda: libc("mount", b"none", b"/mnt", b"tmpfs", 0, None),
    "give the host a name": lambda: socket.sethostname(socket.gethostname()),
    "open a USB device": lambda: append(first_usb_device()),
    "loosen SELinux": lambda: write_selinux("/sys/fs/selinux/enforce", b"1"),
    "ask systemd over the bus": ask_systemd_over_the_bus,
    "ask systemd by its own socket": ask_systemd_by_its_own_socket,
    "read a record": lambda: read("/etc/usbkey/alice"),
    "list the records": lambda: list(Path("/etc/usbkey").iterdir()),
    "write in /etc/usbkey": lambda: create("/etc/usbkey"),
    "write in /var/lib/ukey": lambda: create("/var/lib/ukey"),
    "read the configuration": lambda: read("/etc/ukey/keyservice.toml"),
    "ask for a login": lambda: connect("/run/ukey/root.sock"),
    "connect to the bus": lambda: connect("/run/dbus/system_bus_socket"),
    "connect to pcscd": lambda: connect("/run/pcscd/pcscd.comm"),
}


def outcome(attempt: Callable[[], object]) -> str:
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)
        try:
            attempt()
        except OSError as error:
            os._exit(error.errno or errno.EIO)
        except BaseException:
            os._exit(255)
        os._exit(0)
    _pid, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return "done" if code == 0 else errno.errorcode.get(code, f"ended with {code}")


def main() -> None:
    domain = Path("/proc/self/attr/current").read_text().split(":")[2]
    for name, attempt in ATTEMPTS.items():
        print(domain, outcome(attempt), name, sep="\t", flush=True)
    if len(sys.argv) > 2:
        run(sys.argv[2], sys.argv[1])


if __name__ == "__main__":
    main()
