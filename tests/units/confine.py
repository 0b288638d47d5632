# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What systemd does to a process before it becomes the service, done by hand: namespaces, mounts,
limits, capabilities, no memory that is written and run, and a filter of system calls.

Left out is what needs systemd's cgroups, and what only takes away the kernel's settings.
"""

from __future__ import annotations

import ctypes
import os
import re
import resource
import socket
import struct
from pathlib import Path

from tests.support.process import must

from .unitfile import Unit

_CLONE_NEWNS, _CLONE_NEWNET = 0x20000, 0x40000000
_PR_CAPBSET_DROP, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _PR_SET_MDWE = 24, 22, 38, 65
_LAST_CAPABILITY = Path("/proc/sys/kernel/cap_last_cap")
_NUMBERS = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
_AUDIT_ARCH_X86_64 = 0xC000003E
#: struct seccomp_data: nr, arch, instruction pointer, args
_NR, _ARCH, _ARGUMENT = 0, 4, 16
#: linux/bpf_common.h: load a word at an offset; jump if equal; return
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_EPERM, _EAFNOSUPPORT = 1, 97


def confine(service: Unit) -> None:
    """This process becomes what `service` says, for good; it only has to exec the program."""
    numbers = _numbers()
    allowed = {numbers[name] for name in service.allowed_calls() if name in numbers}
    libc = ctypes.CDLL(None, use_errno=True)
    _must(libc.unshare(_CLONE_NEWNS | (_CLONE_NEWNET if service.yes("PrivateNetwork") else 0)))
    _mount(service)
    _limit(service)
    if service.given_empty("CapabilityBoundingSet"):
        for number in range(int(_LAST_CAPABILITY.read_text()) + 1):
            _must(_prctl(libc, _PR_CAPBSET_DROP, number))
    if service.yes("NoNewPrivileges"):
        _must(_prctl(libc, _PR_SET_NO_NEW_PRIVS, 1))
    if service.yes("MemoryDenyWriteExecute"):
        _prctl(libc, _PR_SET_MDWE, 1)  # Linux 6.3
    only_unix = service.words("RestrictAddressFamilies") == ["AF_UNIX"]
    program = _filter(allowed, numbers["socket"] if only_unix else None)
    code = ctypes.create_string_buffer(program)
    header = ctypes.create_string_buffer(
        struct.pack("=HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    )
    _must(_prctl(libc, _PR_SET_SECCOMP, 2, ctypes.addressof(header)))


def _mount(service: Unit) -> None:
    must(["mount", "-n", "--make-rprivate", "/"])
    written = [*service.paths("ReadWritePaths"), Path("/var/lib", service.text("StateDirectory"))]
    for path in (*written, *service.paths("ExecPaths")):
        must(["mount", "-n", "--bind", path, path])
    if service.yes("ProtectHome"):
        for home in ("/home", "/root"):
            must(["mount", "-n", "-t", "tmpfs", "-o", "ro,mode=000", "none", home])
    for path in service.paths("InaccessiblePaths"):
        if path.is_dir():
            must(["mount", "-n", "-t", "tmpfs", "-o", "ro,mode=000", "none", path])
        else:
            nothing = Path("/run/nothing")
            nothing.touch(0)
            must(["mount", "-n", "--bind", nothing, path])
    if service.yes("PrivateTmp"):
        must(["mount", "-n", "-t", "tmpfs", "-o", "mode=1777", "none", "/tmp"])
    assert service.text("ProtectSystem") == "strict"
    noexec = ",noexec" if service.words("NoExecPaths") == ["/"] else ""
    for top in ("/", "/run"):
        must(["mount", "-n", "-o", f"remount,bind,ro{noexec}", top])
    for path in written:
        must(["mount", "-n", "-o", f"remount,bind,rw{noexec}", path])
    for path in service.paths("ExecPaths"):
        must(["mount", "-n", "-o", "remount,bind,ro,exec", path])


def _limit(service: Unit) -> None:
    for key, limit in (
        ("LimitCORE", resource.RLIMIT_CORE),
        ("LimitMEMLOCK", resource.RLIMIT_MEMLOCK),
        ("LimitNOFILE", resource.RLIMIT_NOFILE),
    ):
        value = service.text(key)
        most = resource.RLIM_INFINITY if value == "infinity" else int(value)
        _, hard = resource.getrlimit(limit)
        if most == resource.RLIM_INFINITY or (hard != resource.RLIM_INFINITY and most > hard):
            most = hard  # a container's root may not raise it
        resource.setrlimit(limit, (most, most))
    os.umask(int(service.text("UMask"), 8))


def _numbers() -> dict[str, int]:
    """System call → its number."""
    found = re.findall(r"^#define __NR_(\w+) (\d+)$", _NUMBERS.read_text(), re.MULTILINE)
    return {name: int(number) for name, number in found}


def _filter(allowed: set[int], socket_call: int | None) -> bytes:
    """BPF: whatever is not `allowed` fails with EPERM; of sockets, all but AF_UNIX."""
    code = [(_LOAD, 0, 0, _ARCH), (_EQUAL, 1, 0, _AUDIT_ARCH_X86_64), (_RETURN, 0, 0, _ERRNO | 1)]
    code.append((_LOAD, 0, 0, _NR))
    if socket_call is not None:
        code += [
            (_EQUAL, 0, 4, socket_call),
            (_LOAD, 0, 0, _ARGUMENT),
            (_EQUAL, 1, 0, socket.AF_UNIX),
            (_RETURN, 0, 0, _ERRNO | _EAFNOSUPPORT),
            (_RETURN, 0, 0, _ALLOW),
        ]
    for number in sorted(allowed):
        code += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    code.append((_RETURN, 0, 0, _ERRNO | _EPERM))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def _prctl(libc: ctypes.CDLL, option: int, *values: int) -> int:
    arguments = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    return int(libc.prctl(option, *arguments))


def _must(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
