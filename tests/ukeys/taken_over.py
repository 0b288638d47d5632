# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A device worker or the watcher that an attacker has taken over: the real child, started as the
service starts it. Once it is confined, it runs the attacker's code in place of its own.

``taken_over HOW VICTIM PART PARENT FD [READER]``. It sends a line for each attempt to its parent:
name, outcome; an outcome is "done" or the name of an error. HOW is "sealed", the product as it is;
"open", with the last step of the confinement left out, which shows what that step is for;
"unconfined", on a host without what it needs for that; or one of the ways out of 64 bits. VICTIM is
the pid of a process of root's.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import errno
import mmap
import os
import resource
import select
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from smartcard import scard  # as the worker does, while files can be opened

from keyservice.core import seccomp
from keyservice.ukeys import device, worker
from keyservice.ukeys.confine import Confinement
from keyservice.ukeys.pcsc import watcher

SCRATCH = "/tmp/taken-over"  #: a file of root's, which the test makes and looks at
PTRACE_SEIZE = 0x4206
PR_SET_DUMPABLE, PR_SET_PDEATHSIG = 4, 1
CLONE_NEWUSER = 0x10000000

#: All that a worker may ask of the kernel, so that a further name in the product is noticed.
MAY = {
    *("read", "write", "writev", "recvfrom", "sendto", "close"),
    *("poll", "ppoll", "select", "pselect6"),
    *("brk", "mmap", "mprotect", "munmap", "mremap", "madvise"),
    *("clock_gettime", "gettimeofday", "time", "nanosleep", "clock_nanosleep", "sched_yield"),
    *("futex", "getrandom", "getpid"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "restart_syscall", "exit", "exit_group"),
}
#: Number above all that Linux has.
LAST_CALL = 600
#: No filter sees them: they belong to probes that root set, and end any other process that makes
#: one.
PROBES = {"x86_64": frozenset({335, 336})}.get(os.uname().machine, frozenset())

LIBC = ctypes.CDLL(None, use_errno=True)
SECCOMP = ctypes.CDLL("libseccomp.so.2")
LIBC.syscall.restype = ctypes.c_long
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
PAGE = mmap.mmap(-1, mmap.PAGESIZE)
ADDRESS = ctypes.addressof(ctypes.c_char.from_buffer(PAGE))
HOW, VICTIM = sys.argv.pop(1), int(sys.argv.pop(1))
#: The watcher waits for readers, and so sees which files there are.
WAITS = sys.argv[1] == "watcher"
if WAITS:
    MAY |= {"newfstatat", "stat", "statx"}


def number(name: str) -> int:
    return int(SECCOMP.seccomp_syscall_resolve_name(name.encode()))


def call(name: str, *arguments: object) -> int:
    """A system call past the C library. Raises OSError."""
    values = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = int(LIBC.syscall(ctypes.c_long(number(name)), *values))
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


def libc(function: str, *arguments: object) -> None:
    if getattr(LIBC, function)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), function)


def connect(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)


def make_pair() -> None:
    for each in socket.socketpair():
        each.close()


def make_pipe() -> None:
    for each in os.pipe():
        os.close(each)


def make_socket(family: int, kind: int) -> None:
    socket.socket(family, kind).close()


def fork(name: str = "fork") -> None:
    child = call(name)
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def use_pidfd(then: Callable[[int], object]) -> None:
    descriptor = os.pidfd_open(VICTIM)
    then(descriptor)
    os.close(descriptor)


def memory_of_victim(name: str) -> None:
    """Read its memory, as far as a process without capabilities may: its own is not refused."""
    vector = (ctypes.c_size_t * 2)(ADDRESS, 1)
    call(name, os.getpid(), vector, 1, vector, 1, 0)


def map_code() -> None:
    if LIBC.mmap(None, mmap.PAGESIZE, mmap.PROT_EXEC, 0x22, -1, 0) == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "mmap")


def pass_descriptor(channel: socket.socket) -> None:
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0]))
    channel.sendmsg([b"a descriptor\tsent"], [rights])


def take_descriptor(channel: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        channel.recvmsg(1, socket.CMSG_SPACE(4), socket.MSG_DONTWAIT)


def another_context() -> None:
    code, _ = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
    if code != scard.SCARD_S_SUCCESS:
        raise OSError(errno.ENOSYS, "SCardEstablishContext")


def attempts(channel: socket.socket) -> dict[str, Callable[[], object]]:
    """What an attacker wants of a process of root's."""
    return {
        "ask root.sock": lambda: connect("/run/ukey/root.sock"),
        "ask user.sock": lambda: connect("/run/ukey/user.sock"),
        "ask the system bus": lambda: connect("/run/dbus/system_bus_socket"),
        "connect to pcscd": lambda: connect("/run/pcscd/pcscd.comm"),
        "another context of PC/SC": another_context,
        "a socket of TCP": lambda: make_socket(socket.AF_INET, socket.SOCK_STREAM),
        "a socket of IPv6": lambda: make_socket(socket.AF_INET6, socket.SOCK_DGRAM),
        "a socket of the kernel's": lambda: make_socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "a pair of sockets": make_pair,
        "a pipe": make_pipe,
        "send to an address": lambda: channel.sendto(b"an address\tsent to", b"/run/nowhere"),
        "pass a descriptor": lambda: pass_descriptor(channel),
        "take a descriptor": lambda: take_descriptor(channel),
        "double a descriptor": lambda: os.close(os.dup(0)),
        "signal a process": lambda: os.kill(VICTIM, signal.SIGCONT),
        "signal its group": lambda: os.killpg(VICTIM, signal.SIGCONT),
        "signal by pidfd": lambda: use_pidfd(lambda fd: signal.pidfd_send_signal(fd, 0)),
        "signal itself": lambda: os.kill(os.getpid(), 0),
        "hold a process": lambda: use_pidfd(lambda fd: None),
        "trace a process": lambda: libc("ptrace", PTRACE_SEIZE, VICTIM, None, None),
        "read memory": lambda: memory_of_victim("process_vm_readv"),
        "write memory": lambda: memory_of_victim("process_vm_writev"),
        "open a process's memory": lambda: os.open(f"/proc/{VICTIM}/mem", os.O_RDWR),
        "take a process's priority": lambda: os.setpriority(os.PRIO_PROCESS, VICTIM, 1),
        "take a process's limits": lambda: resource.prlimit(VICTIM, resource.RLIMIT_CORE),
        "take a process's processors": lambda: os.sched_setaffinity(VICTIM, {0}),
        "fork": fork,
        "fork by vfork's number": lambda: call("clone3", ADDRESS, 0),
        "run a program": lambda: os.execv("/bin/true", ["true"]),
        "run what is open": lambda: os.execve(0, ["null"], {}),
        "a file of memory": lambda: os.close(os.memfd_create("program", 0)),
        "map memory as code": map_code,
        "make memory code": lambda: libc("mprotect", ctypes.c_void_p(ADDRESS), 4096, 5),
        "read a file": lambda: os.open(SCRATCH, os.O_RDONLY),
        "write a file": lambda: os.open(SCRATCH, os.O_WRONLY),
        **({} if WAITS else LOOKS),
        "change a file's mode": lambda: Path(SCRATCH).chmod(0o666),
        "change a file's time": lambda: os.utime(SCRATCH, (0, 0)),
        "mark a file": lambda: os.setxattr(SCRATCH, "user.taken", b"over"),
        "remove a file": Path(SCRATCH).unlink,
        "go elsewhere": lambda: os.chdir("/etc"),
        "watch a file": lambda: libc("inotify_init1", 0),
        "use a device": lambda: call("ioctl", 2, 0x541B, ADDRESS),
        "change a descriptor": lambda: call("fcntl", 0, 1, 0),
        "be dumped": lambda: libc("prctl", PR_SET_DUMPABLE, 1, 0, 0, 0),
        "outlive the service": lambda: libc("prctl", PR_SET_PDEATHSIG, 0, 0, 0, 0),
        "a namespace of its own": lambda: libc("unshare", CLONE_NEWUSER),
        "enter a namespace": lambda: libc("setns", 0, 0),
        "mount": lambda: libc("mount", b"none", b"/mnt", b"tmpfs", 0, None),
        "be somebody": lambda: os.setuid(65534),
        "be in a session": os.setsid,
        "keep a key": lambda: call("keyctl", 0, -3, 1),
        "program the kernel": lambda: call("bpf", 0, ADDRESS, 4),
        "ring the kernel": lambda: call("io_uring_setup", 1, ADDRESS),
        "measure": lambda: call("perf_event_open", ADDRESS, 0, -1, -1, 0),
        "handle faults": lambda: call("userfaultfd", 0),
        "share memory": lambda: call("shmget", 0x75, 4096, 0o1600),
        "wait for many": lambda: select.epoll().close(),
        "filter calls": lambda: call("seccomp", 2, 0, 4),
        "lock memory up": lambda: call("munlockall"),
        "name the host": lambda: socket.sethostname(socket.gethostname()),
    }


LOOKS: dict[str, Callable[[], object]] = {
    "look at a file": Path(SCRATCH).stat,
    "look at a record": Path("/etc/usbkey").stat,
}


def outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "done"


def not_refused() -> list[str]:
    """The calls beside :data:`MAY` that the filter lets by, by number."""
    may, found = {number(name) for name in MAY}, []
    for each in sorted(set(range(LAST_CALL)) - may - PROBES):
        ctypes.set_errno(0)
        if LIBC.syscall(*[ctypes.c_long(value) for value in (each, 0, 0, 0, 0, 0, 0)]) != -1:
            found.append(str(each))
        elif ctypes.get_errno() != errno.ENOSYS:
            found.append(f"{each} ({errno.errorcode.get(ctypes.get_errno())})")
    return found


def flood() -> str:
    """Logged refusals would fill the kernel's audit queue, and then all programs would wait."""
    getppid = ctypes.c_long(number("getppid"))
    for _ in range(100_000):
        LIBC.syscall(getppid)
    return errno.errorcode[ctypes.get_errno()]


def call_as_32_bits() -> Callable[[], object]:
    """getpid, by the interrupt of 32-bit programs. Made while memory can become code."""
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(bytes.fromhex("b814000000 cd80 c3"))
    return ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))


WAYS_OUT: dict[str, Callable[[], object]] = {
    "x32": lambda: LIBC.syscall(ctypes.c_long(0x40000000 | number("getpid"))),
}
if HOW == "i386":
    WAYS_OUT["i386"] = call_as_32_bits()


def attack(channel: socket.socket, _: object) -> None:
    def tell(name: str, told: str) -> None:
        channel.send(f"{name}\t{told}".encode())

    if HOW in WAYS_OUT:
        tell(HOW, f"done: {WAYS_OUT[HOW]()}")
        return
    done = False
    for name, attempt in attempts(channel).items():
        told = outcome(attempt)
        done = done or told == "done"
        tell(name, told)
    if HOW == "sealed" and not done:  # otherwise the host would not survive all of Linux's calls
        tell("any other call", " ".join(not_refused()) or "ENOSYS")
        tell("flood whoever notes refusals", flood())


if __name__ == "__main__":
    worker.serve = watcher.watch = attack  # type: ignore[assignment]
    if HOW == "open":
        Confinement.seal = lambda self: None  # type: ignore[method-assign]
    if HOW == "unconfined":
        seccomp._LIBRARY = "libmissing.so.2"
    device.main()
