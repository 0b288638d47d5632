# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey pam check`` on files that are no stacks, and on things that are no files."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.pamcheck.hosts import STRICT_STACK as STRICT
from tests.pamcheck.hosts import Host, services
from tests.support.process import must
from tests.tools.running import Commands
from tools.exits import Exit
from tools.pamcheck.finding import Severity

GARBAGE: dict[str, bytes] = {
    "empty": b"",
    "binary": bytes(range(256)) * 100,
    "zeros": bytes(5000),
    "random": bytes((n * n * 7919 >> 3) & 255 for n in range(20000)),
    "no-newline": b"auth required pam_unix.so",
    "brackets": b"auth [[[[[ pam_unix.so\nauth [] x\nauth ]]] [x] [y\n[auth] [required] [x]\n",
    "braces": b"auth [success=ok default={die}] {folder}\nauth required {0}\n",
    "percent": b"auth required pam_echo.so %s %n %u\n",
    "huge-number": b"auth [success=99999999999999999999 default=die] pam_unix.so\n",
    "backslashes": b"auth required pam_unix.so \\\n" * 3000,
    "comments": b"#" * 5000 + b"\n" + b"# x\n" * 10000,
    "crlf": b"auth required pam_unix.so\r\nauth required pam_ukey.so\r\n",
    "include-of-etc": b"@include /etc\nauth include ../../etc/shadow\nauth substack /dev/zero\n",
    "include-of-a-device": b"auth include /dev/stdin\nauth include /proc/kmsg\n",
    "nameless": b"odd required ?\n",
    "nameless-after-a-bracket": b"auth [x] /\n",
    "include-nul": b"@include a\0b\n",
    "bytes": "auth required pam_ünix.so \u202e\x1b[2J\n".encode() + b"\xff\xfe auth\n",
    "many": b"auth required pam_permit.so\n" * 10000,
    "wide": b"auth optional pam_unix.so " + b"x " * 480 + b"\n",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    host = Host(tmp_path_factory.mktemp("garbage"))
    host.write(GARBAGE)
    return [str(host.pam_d / name) for name in GARBAGE]


@pytest.fixture(scope="module")
def judged(files: list[str]) -> dict[str, dict[str, Any]]:
    """The report of one command on all of it, by name."""
    commands = Commands()
    done = commands.piped("ukey", "pam", "check", "--json", *files)
    commands.close()
    assert done.returncode == Exit.STACK, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return {Path(each["file"]).name: each for each in services(done.stdout)}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_judged_like_anything(judged: dict[str, dict[str, Any]], name: str) -> None:
    """There is something to mend, and libpam had its say."""
    findings = judged[name]["findings"]
    assert any(each["severity"] != Severity.NOTE for each in findings), findings
    assert "not-evaluated" not in [each["kind"] for each in findings], findings


def test_nothing_of_garbage_reaches_the_terminal(commands: Commands, files: list[str]) -> None:
    done = commands.piped("ukey", "pam", "check", *files)
    assert done.returncode == Exit.STACK, done.stdout + done.stderr
    assert all(f"({file})" in done.stdout for file in files)
    assert "bug" not in done.stderr
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stdout and "\u202e" not in done.stdout


def test_includes_without_end(commands: Commands, place: Host) -> None:
    place.write({"a": "@include b\n", "b": "@include a\n", "c": "auth include c\n" + STRICT})
    place.write({f"n{n}": f"auth substack n{n + 1}\n" for n in range(40)})
    place.write({"n40": STRICT})
    place.write({f"wide{n}": f"@include wide{n + 1}\n" * 8 for n in range(10)})
    place.write({"wide10": STRICT})
    root = ("--root", str(place.root), "--json", "--stacks-only")
    for service, kind in (
        ("a", "include-loop"),
        ("c", "include-loop"),
        ("n0", "include-too-deep"),
        ("wide0", "too-long"),
    ):
        done = commands.piped("ukey", "pam", "check", *root, service)
        assert done.returncode == Exit.STACK
        [found] = services(done.stdout)
        assert kind in [finding["kind"] for finding in found["findings"]]
        assert found["who"] in (None, "nobody")


def test_what_is_no_file(commands: Commands, place: Host) -> None:
    fifo = place.pam_d / "fifo"
    must(["mkfifo", str(fifo)])
    (place.pam_d / "link").symlink_to("link")
    for path in (fifo, place.pam_d, place.pam_d / "link", Path("/dev/zero"), Path("/dev/null")):
        done = commands.piped("ukey", "pam", "check", f"{path}")
        assert done.returncode == Exit.NOT_ALLOWED, path
        assert "cannot be read" in done.stdout + done.stderr


def test_only_files_are_opened(commands: Commands, place: Host) -> None:
    """A stack of somebody's may name a device, which acts when it is opened, as a watchdog does."""
    fifo = place.root / "fifo"
    must(["mkfifo", str(fifo)])
    (place.root / "mine").write_text(f"@include {fifo}\nauth include {fifo}\n")
    with subprocess.Popen(["sh", "-c", f"echo opened >{fifo}"]) as writer:
        done = commands.piped("ukey", "pam", "check", f"{place.root}/mine", "--json")
        [found] = services(done.stdout)
        assert [each["kind"] for each in found["findings"]].count("include-unreadable") == 1
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(0.5)
        writer.kill()


def test_no_file_of_the_kernels_is_read(commands: Commands, place: Host) -> None:
    """Some give their content to one reader only, and the content of others is their owner's
    affair."""
    for file in ("/proc/kmsg", "/proc/self/environ"):
        place.write({"login": f"auth include {file}\n{STRICT}"})
        done = commands.piped("ukey", "pam", "check", f"{place.pam_d}/login", "--json")
        [found] = services(done.stdout)
        kinds = {finding["kind"] for finding in found["findings"]}
        assert "include-unreadable" in kinds
