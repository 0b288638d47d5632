# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Both watchers report what they are there for, so that their silence says something.

What opens a user's files as root is, here, an interpreter that a stack loads into su and sudo, and
a module that was written to do wrong. The files are inert (bait.py).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.process import must, run, wait_until

from . import traced
from .conditions import CONDITIONS, Condition
from .scene import PROGRAMS, Scene

PYTHON = "pam_python.so /usr/lib/ukey/pam_ukey/pam_python_entry.py"
SOURCE = Path(__file__).with_name("pam_opens.c")
#: A module's line, in place of pam_ukey.so's
STACK = """\
auth [success=ok default=die] pam_unix.so nodelay
auth [success=ok default=die] {module}
account required pam_permit.so
session required pam_permit.so
"""
SERVICE_ERR = "Error in service module"


def put_in(scene: Scene, module: str) -> None:
    for service in PROGRAMS:
        scene.host.pam.stack(service, STACK.format(module=module))


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_python_module_refuses_in_a_setuid_program(scene: Scene, program: str) -> None:
    put_in(scene, PYTHON)
    attempt = scene.attempt(program, Condition(), scene.right(program))
    assert not attempt.entered
    assert SERVICE_ERR in attempt.output
    scene.wait_log(f"^{program}: pam_ukey: not in a setuid program")


def test_an_interpreter_in_su_is_reported(scene: Scene) -> None:
    """What it did before any line of ours ran."""
    put_in(scene, PYTHON)
    attempt = scene.attempt("su", CONDITIONS["PATH"], scene.right("su"))
    reported = scene.watcher.by_root(scene.folder)
    assert reported
    assert {each.program for each in reported} == {"su"}
    assert all(attempt.pid in each.ancestors for each in reported)
    assert SERVICE_ERR in attempt.output


def test_a_module_that_opens_a_file_of_the_users_is_reported(scene: Scene, tmp_path: Path) -> None:
    module = tmp_path / "pam_opens.so"
    must(["cc", "-shared", "-fPIC", "-o", module, SOURCE])
    put_in(scene, str(module))
    scene.attempt("su", Condition({"HOME": "{u}"}), scene.right("su"))
    (reported,) = scene.watcher.by_root(scene.folder)
    assert (reported.path, reported.program) == (str(scene.folder / "text"), "su")


def test_root_in_another_mount_namespace_is_reported_and_the_user_is_not(scene: Scene) -> None:
    elsewhere = f"mount --bind {scene.folder} /mnt && cat /mnt/text"
    must(["unshare", "--mount", "sh", "-c", elsewhere])
    must([*scene.as_alice(), "cat", str(scene.folder / "bin" / "id")])
    (reported,) = scene.watcher.by_root(scene.folder)
    assert (reported.path, reported.program) == ("/mnt/text", "cat")
    assert (str(scene.folder / "bin" / "id"), scene.alice.uid) in [
        (each.path, each.euid) for each in scene.watcher.openings()
    ]


def test_a_core_file_is_found(scene: Scene) -> None:
    """Where the kernel leaves one at all. Those of setuid programs: ``check_nothing_is_left``."""
    if Path("/proc/sys/kernel/core_pattern").read_text().startswith(("|", "/")):
        pytest.skip("core files go elsewhere on this machine")
    script = 'cd "$0/state" && ulimit -c unlimited && kill -s SEGV $$'
    run([*scene.as_alice(), "sh", "-c", script, scene.folder])
    (core,) = scene.core_files()
    core.unlink()


def test_the_users_own_bus_says_yes_to_whoever_asks(scene: Scene) -> None:
    name = "org.ukey.KeyService1"
    words = ["dbus-send", f"--bus={scene.bus.address}", "--print-reply", f"--dest={name}"]
    words += ["/org/ukey/KeyService1", f"{name}.BeginAuthentication", "string:demo"]
    assert "SUCCESS" in must([*scene.as_alice(), *words])
    expected = {str(scene.alice.uid), "BeginAuthentication"}
    wait_until(lambda: set(scene.bus.heard()) == expected, "heard")


# -- by strace


def lookups_by_root(
    scene: Scene, folder: Path, program: str, condition: Condition
) -> list[traced.Lookup]:
    """What root named below the user's folder, or by a relative path, while `program` ran."""
    hers = traced.command(folder, scene.alice.name)
    attempt = scene.attempt(program, condition, scene.right(program), as_alice=hers)
    found = list(traced.lookups(folder, scene.alice.uid))
    assert any(each.path == "/etc/shadow" and each.euid == 0 for each in found), attempt
    return [
        each
        for each in found
        if each.euid == 0
        and (not each.path.startswith("/") or Path(each.path).is_relative_to(scene.folder))
    ]


@pytest.mark.parametrize("kind", ("helpful", "uniform"))
@pytest.mark.parametrize("program", PROGRAMS)
def test_root_does_not_even_look(scene: Scene, tmp_path: Path, program: str, kind: str) -> None:
    """Every variable points there, and the working directory is full of names to be found."""
    scene.stacks(kind)
    condition = Condition(CONDITIONS["all of them"].env, shell="cd all")
    assert not lookups_by_root(scene, tmp_path, program, condition)


def test_an_interpreter_is_seen_to_look(scene: Scene, tmp_path: Path) -> None:
    put_in(scene, PYTHON)
    assert lookups_by_root(scene, tmp_path, "su", CONDITIONS["PATH"])
