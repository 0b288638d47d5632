# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""All ways together: a way that is not looked at is told, and no environment, file or delay of
others decides how programs run."""

from __future__ import annotations

import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.pamcheck.around.conftest import Planted, bad, kinds
from tests.support import CHECKOUT
from tests.support.process import run
from tools.pamcheck import around
from tools.pamcheck.around.system import NotLooked, System
from tools.pamcheck.finding import Finding, Severity

NOBODY = 65534


def test_each_file_is_a_way_or_helps_one() -> None:
    registered = {look.__module__.rpartition(".")[2] for _name, look in around.WAYS}
    files = {path.stem for path in Path(around.__file__).parent.glob("*.py")}
    assert files - registered == {
        "__init__",
        "commands",
        "system",
        "sshd_config",
        "sshd_match",
        "units",
    }


def test_a_host_with_nothing_says_what_was_not_looked_at(image: Planted) -> None:
    assert kinds(around.ways(image.root)) == [
        ("not-there", "/etc/ssh/sshd_config"),
        ("not-there", "/etc/sudoers"),
    ]


def test_a_plain_debian_with_the_shipped_sshd_is_shut(here: Planted) -> None:
    Path("/run/sshd").mkdir(exist_ok=True)
    example = CHECKOUT / "pam.d-examples/sshd_config.d/10-ukey.conf"
    here.write("/etc/ssh/sshd_config.d/10-ukey.conf", example.read_text())
    found = around.ways()
    assert bad(found) == []
    assert "not-looked-at" not in {finding.kind for finding in found}


def test_whoever_may_not_read_a_file_is_told_so(here: Planted) -> None:
    script = "from tools.pamcheck.around import ways\nfor f in ways(): print(f.kind, f.place)"
    environment = {**os.environ, "PYTHONPATH": "/usr/lib/ukey", "LANG": "C.UTF-8"}
    who = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    done = run([*who, "/usr/bin/python3", "-c", script], env=environment)
    assert done.returncode == 0, done.stderr
    told = {line.split()[1] for line in done.stdout.splitlines() if "not-looked-at" in line}
    assert {"/usr/sbin/sshd", "/etc/sudoers", "/etc/shadow"} <= told


def test_programs_get_nothing_of_the_callers_environment() -> None:
    os.environ["PLANTED"] = "yes"
    try:
        ran = System().run("/usr/bin/env")
    finally:
        del os.environ["PLANTED"]
    assert sorted(line.partition("=")[0] for line in ran.out.split()) == ["LC_ALL", "PATH"]


def test_a_program_that_does_not_end_is_ended() -> None:
    begun = time.monotonic()
    with pytest.raises(NotLooked, match="it did not end within 0 s"):
        System().run("/bin/sleep", "60", seconds=0.2)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("owner", ["the image", "the program"])
def test_root_runs_no_program_of_somebody_elses(owner: str) -> None:
    """chroot(2) holds no root back: whatever an image's program does, it does to this host."""
    with TemporaryDirectory(dir="/var/lib") as name:  # pytest's own folders are under root's
        root = Path(name)
        program = root / "usr/sbin/sshd"
        program.parent.mkdir(parents=True)
        program.write_text("")
        program.chmod(0o755)
        assert System(root).run("/usr/sbin/sshd").status != 0  # tried: there is no loader
        os.chown(root if owner == "the image" else program, NOBODY, NOBODY)
        with pytest.raises(NotLooked, match="root runs no program of somebody else's"):
            System(root).run("/usr/sbin/sshd")


def test_a_pipe_in_place_of_a_file_holds_nobody_up(image: Planted) -> None:
    (image.root / "etc").mkdir()
    os.mkfifo(image.root / "etc/doas.conf")
    assert image.found("doas") == []


def test_a_file_without_end_is_told(image: Planted) -> None:
    image.write("/etc/doas.conf", "#" * (1 << 22) + "\n")
    assert kinds(image.found("doas")) == [("not-looked-at", "/etc/doas.conf")]


def test_what_was_found_before_a_failure_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Finding("x", Severity.NOTE, "x", "x", "x")

    def look(_system: System) -> object:
        yield found
        raise PermissionError(13, "Permission denied", "/etc/x")

    monkeypatch.setattr(around, "WAYS", (("x", look),))
    first, second = around.ways()
    assert first is found
    assert second.text == "Not looked at: x (Permission denied)."
    assert second.place == "/etc/x"
