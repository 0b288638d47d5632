# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What the packages' scripts do on hosts with SELinux's policy, with another one, and without."""

from __future__ import annotations

import bz2
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.selinux.link import compile_test, part
from tests.support.process import must, run

pytestmark = pytest.mark.timeout(600)

LOADER = "/usr/libexec/ukey/selinux-module"
MODULE = Path("/usr/share/selinux/packages/ukey.pp.bz2")
CONFIG, STORE = Path("/etc/selinux/config"), Path("/var/lib/selinux")


@pytest.fixture
def config() -> Iterator[Path]:
    """SELinux's, which the tools' own package brings; afterwards it is as it was."""
    before = CONFIG.read_bytes()
    yield CONFIG
    CONFIG.write_bytes(before)


@pytest.fixture
def with_policy(config: Path, tmp_path: Path) -> Iterator[None]:
    """This sandbox as a host with Debian's policy, SELinux switched off.

    It is a part of the policy: hosts differ in what they have of it, and the script asks no more
    than whether it is linked.
    """
    STORE.mkdir(exist_ok=True)
    before, module = set(STORE.iterdir()), MODULE.read_bytes()
    made = part(tmp_path / "policy", "pcscd")
    shutil.copytree(made / "var/lib/selinux/default", STORE / "default")
    shutil.copytree(made / "etc/selinux/default", CONFIG.parent / "default")
    config.write_text("SELINUX=disabled\nSELINUXTYPE=default\n")
    try:
        yield
    finally:
        shutil.rmtree(CONFIG.parent / "default")
        for made in set(STORE.iterdir()) - before:
            shutil.rmtree(made)
        MODULE.write_bytes(module)


def loader(task: str) -> subprocess.CompletedProcess[str]:
    return run([LOADER, task], seconds=120)


def modules() -> str:
    return must(["semodule", "--list=full"])


def policy() -> Path:
    """What the kernel would load: a new file each time that it is linked."""
    [found] = (CONFIG.parent / "default/policy").glob("policy.*")
    return found


@pytest.mark.slow
def test_it_is_loaded_again_and_taken_out(with_policy: None) -> None:
    for task in ("load", "load"):
        done = loader(task)
        assert done.returncode == 0, done.stderr
        assert [each.split()[:2] for each in modules().splitlines() if "ukey" in each] == [
            ["200", "ukey"]
        ]
    linked = policy().stat().st_ino
    assert loader("load").returncode == 0
    assert policy().stat().st_ino == linked  # what is there is not linked once more
    MODULE.write_bytes(
        bz2.compress(bz2.decompress(MODULE.read_bytes()).replace(b"1.0.0", b"1.0.1"))
    )
    assert loader("load").returncode == 0
    assert policy().stat().st_ino != linked
    for task in ("unload", "unload"):
        assert loader(task).returncode == 0
        assert "ukey" not in modules()


@pytest.mark.slow
def test_what_an_administrator_loaded_stays(with_policy: None, tmp_path: Path) -> None:
    ours = tmp_path / "ukey.pp"
    ours.write_bytes(bz2.decompress(MODULE.read_bytes()))
    must(["semodule", "--priority=400", f"--install={ours}"], seconds=120)
    done = loader("unload")
    assert (done.returncode, done.stdout) == (0, "")
    assert "semodule" not in done.stderr  # it did not try
    assert "400 ukey" in modules()


@pytest.mark.slow
def test_a_policy_that_does_not_take_it_is_no_failure(with_policy: None, tmp_path: Path) -> None:
    """A package that failed here would be no more confined, and half installed."""
    foreign = compile_test("foreign", tmp_path / "foreign")
    MODULE.write_bytes(bz2.compress(foreign.read_bytes()))
    done = loader("load")
    assert done.returncode == 0
    assert "is not confined" in done.stderr
    assert "make -C /usr/share/doc/pam-ukey/selinux" in done.stderr


@pytest.mark.parametrize("configured", [True, False])
def test_a_host_without_selinux_stays_as_it_is(config: Path, configured: bool) -> None:
    """The tools may be there; the policy is not."""
    if not configured:
        config.unlink()
    for task in ("load", "unload"):
        done = loader(task)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_sources_that_it_names_are_there(tmp_path: Path) -> None:
    must(["make", "-C", "/usr/share/doc/pam-ukey/selinux", f"O={tmp_path}/made"], seconds=120)
    assert (tmp_path / "made/ukey.pp").read_bytes() == bz2.decompress(MODULE.read_bytes())
