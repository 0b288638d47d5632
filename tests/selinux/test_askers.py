# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""systemd's generator and udev ask users-may, and login glass-console, in their own domains: what
these open and run there, seen with strace, the policy lets them open and run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.selinux.reach import Policy
from tests.support.host import Host
from tests.support.process import must

pytestmark = pytest.mark.timeout(600)

Files = set[tuple[str, str]]  #: of path and right
GENERATOR = "/usr/lib/systemd/system-generators/ukey-generator"
GLASS_CONSOLE = "/usr/libexec/ukey/glass-console"
USERS_MAY = "/usr/libexec/ukey/users-may"
_CALL = re.compile(r'(openat|execve)\((?:AT_FDCWD, )?"([^"]+)"(.*)\) = \d+$', re.MULTILINE)

_LIBRARY = re.compile(r"\.so[.\d]*$")


def touched(folder: Path, *command: str | Path) -> Files:
    """The files that it opens, and the programs that it runs, all its children included: of each
    process, strace writes a file into `folder`, so that no call is told in two pieces."""
    told = folder / "touched"
    must(["strace", "-ff", "-qq", "-o", told, "-e", "trace=openat,execve", *command], env={})
    found: Files = set()
    calls = "".join(each.read_text() for each in folder.glob("touched.*"))
    assert "unfinished" not in calls
    for call, path, rest in _CALL.findall(calls):
        if not path.startswith(("/dev/", "/proc/", "/sys/", "/tmp/")):
            found |= {(str(Path(path).resolve()), right) for right in _rights(call, path, rest)}
        if call == "execve" and (script := Path(path).read_bytes()).startswith(b"#!"):
            interpreter = Path(script.split()[0][2:].decode()).resolve()
            found.add((str(interpreter), "execute_no_trans"))
    return found


def _rights(call: str, path: str, rest: str) -> tuple[str, ...]:
    if call == "execve":
        return ("execute_no_trans",)
    if Path(path).is_dir():
        return ("list",)
    if "O_WRONLY" in rest or "O_RDWR" in rest:
        return ("write",)
    return ("read", "execute", "map") if _LIBRARY.search(path) else ("read",)


def types(store: Path, paths: set[str]) -> dict[str, str]:
    """path → its type."""
    contexts = store / "etc/selinux/default/contexts/files/file_contexts"
    told = must(["matchpathcon", "-f", contexts, *sorted(paths)])
    found = (line.split() for line in told.splitlines())
    return {path: context.split(":")[2] for path, context in found}


def refused(policy: Policy, store: Path, domain: str, files: Files) -> list[str]:
    """What of that the domain may not."""
    labels = types(store, {path for path, _ in files})
    asked = {(labels[path], right) for path, right in files}
    lacking = {(label, right) for label, right in asked if domain not in who(policy, label, right)}
    return [
        f"{right} {path} ({labels[path]})"
        for path, right in sorted(files)
        if (labels[path], right) in lacking
    ]


def who(policy: Policy, label: str, right: str) -> set[str]:
    return policy.who(label, *(("dir", "read") if right == "list" else ("file", right)))


@pytest.fixture
def shared(host: Host) -> None:
    host.configure("shared_pcsc = true\n")


@pytest.mark.usefixtures("shared")
def test_a_generator_may(policy: Policy, store: Path, tmp_path: Path) -> None:
    files = touched(tmp_path, GENERATOR, tmp_path, tmp_path, tmp_path)
    assert ("/etc/ukey/keyservice.toml", "read") in files
    assert any(path.startswith("/usr/bin/python3") for path, _ in files)
    files.remove((GENERATOR, "execute_no_trans"))  # that is systemd's doing
    assert refused(policy, store, "systemd_generator_t", files) == []
    for tclass, permission in (("dir", "create"), ("dir", "add_name"), ("lnk_file", "create")):
        assert "systemd_generator_t" in policy.who("init_runtime_t", tclass, permission)


@pytest.mark.usefixtures("shared")
def test_udev_may(policy: Policy, store: Path, tmp_path: Path) -> None:
    files = touched(tmp_path, USERS_MAY, "usb", "163c:0417")
    assert ("/etc/ukey/keyservice.toml", "read") in files
    assert refused(policy, store, "udev_t", files) == []


def test_login_may(policy: Policy, store: Path, host: Host, tmp_path: Path) -> None:
    host.configure("")
    files = touched(tmp_path, GLASS_CONSOLE, "ttyS0")
    assert ("/etc/ukey/keyservice.toml", "read") in files
    assert refused(policy, store, "local_login_t", files) == []


@pytest.mark.parametrize("domain", ["local_login_t", "ukey_keyservice_t"])
def test_the_kernels_consoles_may_be_read(policy: Policy, domain: str) -> None:
    for tclass, right in (("dir", "search"), ("lnk_file", "read"), ("file", "open")):
        assert domain in policy.who("sysfs_t", tclass, right)


def test_the_check_sees_what_is_missing(policy: Policy, store: Path) -> None:
    files = {("/etc/shadow", "read"), ("/usr/bin/env", "execute_no_trans")}
    assert refused(policy, store, "systemd_generator_t", files) == ["read /etc/shadow (shadow_t)"]
