# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The units: what systemd says of them, and the keyservice at work in what they leave it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from keyservice.contract.pam import PamCode
from tests.support import CHECKOUT
from tests.support.host import Host
from tests.support.people import User
from tests.support.process import Daemon, must, run, wait_until, wake_ups
from tests.support.ukeys import Softkey
from tests.units.probe import PROGRAM
from tests.units.unitfile import INSTALLED, SERVICE, installed

UNITS = (SERVICE, "ukey-keyservice.socket", "ukey-keyservice-user.socket")
STACK = (CHECKOUT / "pam.d-examples/debian/helpful/su").read_text()
#: Seconds; the unit's own are too long to wait for.
WATCHDOG = 3


def test_systemd_finds_nothing_wrong() -> None:
    done = run(["systemd-analyze", "verify", "--man=no", *(INSTALLED / name for name in UNITS)])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_manual_pages_that_they_name_are_there() -> None:
    for name in UNITS:
        for page in installed(name).words("Documentation"):
            title, section = re.fullmatch(r"man:(\S+)\((\d)\)", page).groups()  # type: ignore[union-attr]
            assert Path(f"/usr/share/man/man{section}/{title}.{section}").exists(), page


def test_the_exposure_is_what_the_documents_say() -> None:
    documents = (CHECKOUT / "docs/security.md").read_text()
    [figure] = re.findall(r"`systemd-analyze security` gives it ([\d.]+)", documents)
    command = [
        "systemd-analyze",
        "security",
        "--offline=true",
        "--no-pager",
        str(INSTALLED / SERVICE),
    ]
    told = must(command)
    assert f"Overall exposure level for {SERVICE}: {figure} " in told


def test_every_restriction_has_its_reason_beside_it() -> None:
    """A comment stands above each group of settings, and none above nothing."""
    service = (CHECKOUT / "data/systemd" / SERVICE).read_text().partition("# -- memory")[2]
    groups = [group.splitlines() for group in service.partition("[Install]")[0].split("\n\n")]
    for group in groups[1:]:
        if group:
            assert group[0].startswith("# -- "), group
            assert not group[-1].startswith("#"), group


# -- at work


@dataclass
class Served:
    host: Host
    manager: Daemon
    user: User
    ukey: Softkey

    def log_in(self, pin: str | None = None, service: str = "held") -> PamCode:
        assert self.ukey.pin is not None
        answers = [self.user.password, pin or self.ukey.pin.decode()]
        return self.host.pam.converse(service, self.user.name, answers).code

    @property
    def service(self) -> int:
        """The pid of the keyservice that runs now."""
        return child_of(self.manager)

    def told(self, text: str) -> int:
        """How often the manager has said so."""
        return self.manager.log.read_text().splitlines().count(text)


def child_of(manager: Daemon) -> int:
    [pid] = Path(f"/proc/{manager.pid}/task/{manager.pid}/children").read_text().split()
    return int(pid)


@pytest.fixture
def served(host: Host) -> Iterator[Served]:
    """By a manager that follows the units."""
    for folder in ("/etc/usbkey", "/var/lib/ukey"):
        Path(folder).mkdir(mode=0o700, exist_ok=True)
    host.pcscd()
    host.bus()
    program = [sys.executable, "-m", "tests.units.manager", str(WATCHDOG)]
    manager = host.keyservice(
        "[services.impatient]\nwait_for_ukey = 0\n",
        program=program,
        env={"PYTHONPATH": os.fspath(CHECKOUT)},
    )
    user, ukey = host.user(), host.softkey()
    host.bind(user, ukey)
    for service in ("held", "impatient"):
        host.pam.stack(service, STACK.replace("auth sufficient", "# auth sufficient"))
    yield Served(host, manager, user, ukey)


def test_all_of_a_ukey_s_life_works_in_what_the_unit_leaves(served: Served) -> None:
    status = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{served.service}/status").read_text().splitlines()
    )
    assert (status["CapBnd"], status["CapEff"]) == ("0" * 16, "0" * 16)
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert served.log_in() == PamCode.SUCCESS
    assert served.log_in("000000") == PamCode.AUTH_ERR
    served.ukey.remove()
    assert served.log_in(service="impatient") == PamCode.AUTHINFO_UNAVAIL
    served.ukey.insert()
    assert served.log_in() == PamCode.SUCCESS
    assert "sm2_engine" in must(["ukey", "status", "--json"])
    typed = "528491\n739284\n739284\n"
    must(["chpinpw", "--serial", served.ukey.serial], input=typed)
    assert served.log_in("739284") == PamCode.SUCCESS
    must(["rmpubkey", "--force", "--yes", served.user.name])
    assert served.log_in("739284") == PamCode.USER_UNKNOWN
    log = served.host.authlog.text
    assert not re.search(r"^keyservice.*(not permitted|denied|swapped)", log, re.MULTILINE), log


#: What is the keyservice's own to do; all else that is tried there is not.
ITS_OWN = {"write a record", "write state", "run a program of /usr"}


def probe(host: Host, *how: str) -> dict[str, str]:
    home = host.user().home
    command = [sys.executable, "-m", "tests.units.probe", str(home), *how]
    told = must(command, cwd=CHECKOUT, env={**os.environ, "PYTHONPATH": os.fspath(CHECKOUT)})
    found: dict[str, str] = json.loads(told)
    return found


@pytest.mark.parametrize("how", [(), ("confined",)], ids=["without the unit", "with it"])
def test_what_the_unit_takes_is_out_of_reach(host: Host, how: tuple[str, ...]) -> None:
    for folder in ("/etc/usbkey", "/var/lib/ukey"):
        Path(folder).mkdir(mode=0o700, exist_ok=True)
    shutil.copy("/usr/bin/true", PROGRAM)
    try:
        found = probe(host, *how)
    finally:
        PROGRAM.unlink()
    assert len(found) > 2 * len(ITS_OWN)
    done = {name for name, outcome in found.items() if outcome == "done"}
    assert done == (ITS_OWN if how else set(found)), found


def test_a_login_that_comes_while_it_starts_again_waits_for_it(served: Served) -> None:
    os.kill(served.service, signal.SIGKILL)
    assert served.log_in() == PamCode.SUCCESS
    assert served.told("ended with -9") == 1
    assert served.told("READY=1") == 2


def test_one_that_hangs_is_brought_back(served: Served) -> None:
    assert served.told("hung") == 0
    os.kill(served.service, signal.SIGSTOP)
    assert served.log_in() == PamCode.SUCCESS
    assert served.told("hung") == 1


def test_it_says_that_it_stops(served: Served) -> None:
    served.manager.stop()
    assert served.told("STOPPING=1") == 1
    assert served.told("ended with 0") == 1
    # As systemd would have it, the sockets are the manager's.
    assert Path("/run/ukey/root.sock").is_socket()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_its_signs_of_life_do_not_keep_the_machine_awake(host: Host) -> None:
    """At the unit's own pace."""
    host.pcscd()
    host.bus()
    host.softkey()
    program, env = [sys.executable, "-m", "tests.units.manager"], {"PYTHONPATH": str(CHECKOUT)}
    manager = host.keyservice(program=program, env=env)
    wait_until(lambda: "READY=1" in manager.log.read_text(), "it is ready")
    pid = child_of(manager)
    interval = installed(SERVICE).seconds("WatchdogSec") / 2
    settled(pid)
    told = []
    for _ in range(3):  # where something else woke it once, it is looked at again
        woken, slept = until_its_next_sign(manager, pid, interval + 5)
        if slept > interval / 2 and woken <= 1:
            return
        told.append((woken, slept))
    pytest.fail(f"woken so often, in so many seconds: {told}")


def until_its_next_sign(manager: Daemon, pid: int, seconds: float) -> tuple[int, float]:
    """How often it is woken until then, and how long that takes."""

    def signs() -> int:
        return manager.log.read_text().count("WATCHDOG=1")

    before, since, seen = wake_ups(pid), time.monotonic(), signs()
    wait_until(lambda: signs() > seen, "it lives", seconds)
    return wake_ups(pid) - before, time.monotonic() - since


def settled(pid: int) -> None:
    """Return once it has slept through two seconds."""
    seen: list[tuple[float, int]] = []

    def asleep() -> bool:
        now, woken = time.monotonic(), wake_ups(pid)
        seen[:] = [each for each in seen if each[1] == woken] or [(now, woken)]
        return now - seen[0][0] > 2

    wait_until(asleep, "it sleeps")
