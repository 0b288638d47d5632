# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What the event loop does not do itself: a disk, or a name service, may hang."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from keyservice.access.administration import Administration
from keyservice.access.conversation import Caller, Request
from keyservice.access.settings import Rules, ServiceRule
from keyservice.contract import i18n, operations
from keyservice.contract.names import Code, Flag
from keyservice.core import threads
from keyservice.core.errors import UkeyError
from keyservice.core.processes import stat_of
from tests.support.ukeys import Softkey

from .conftest import Make
from .disk import Disk
from .rig import ADMIN_PIN, GETTY, LOCKER, NEW, PIN, ROOT, WRONG, Service, login, run, seen


def test_a_login_makes_five_calls_in_other_threads(
    tmp_path: Path, ukey: Softkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/decisions.md says why not fewer; a sixth is one more that may hang."""
    made = list[str]()
    do = threads._pool.do

    def noted(call: Any) -> None:
        made.append(call.function.func.__name__)
        do(call)

    async def scene(service: Service) -> None:
        service.bind(ukey)
        monkeypatch.setattr(threads._pool, "do", noted)
        assert (await service.login(PIN)).code is Code.SUCCESS
        assert made == ["resolve", "enrolled", "_write", "_write", "still"]

    run(tmp_path, scene)


class Watch:
    """What the event loop's thread opens and changes on disks, by Python's audit events."""

    #: the kernel's own, and what is in memory only
    HARMLESS = ("/proc/", "/sys/", "/dev/", "/run/")
    EVENTS = frozenset(
        {"open", "os.listdir", "os.scandir", "os.rename", "os.remove", "os.link", "os.mkdir"}
    )

    def __init__(self) -> None:
        self.on, self.seen = False, list[str]()
        sys.addaudithook(self._hook)  # which cannot be taken back

    def _hook(self, event: str, given: tuple[Any, ...]) -> None:
        if self.on and event in self.EVENTS:
            path = str(given[0])
            by_loop = threading.current_thread() is threading.main_thread()
            if by_loop and not path.startswith(self.HARMLESS):
                self.seen.append(f"{event} {path}")


async def everything(service: Service, ukey: Softkey) -> None:
    """Each operation once, with what follows from it on the disk."""
    asked = Administration(service.services, service.sessions, "1.2.3")
    sshd = Caller(0, os.getpid(), 0, None, None, "root.sock", started=stat_of(os.getpid()).started)

    async def held(request: Request, *answers: bytes, caller: Caller = ROOT) -> Code:
        return (await service.hold(request, *answers, caller=caller)).code

    assert await held(Request(operations.BIND, "alice", serial="SN0"), PIN) is Code.SUCCESS
    assert await held(login(), WRONG, caller=GETTY) is Code.AUTH_ERR
    assert await held(login(), PIN, caller=GETTY) is Code.SUCCESS
    remote = login(service="sshd", rhost="192.0.2.1", tty="ssh", lang="zh_CN.UTF-8")
    assert await held(remote, PIN, caller=sshd) is Code.SUCCESS
    assert await held(login("dave", flags=Flag.NOUSEROK), caller=GETTY) is Code.IGNORE
    assert await held(Request(operations.VERIFY_PIN), PIN, caller=LOCKER) is Code.SUCCESS
    assert await held(Request(operations.CHANGE_PIN), PIN, NEW, NEW, caller=LOCKER) is Code.SUCCESS
    unblock = Request(operations.UNBLOCK_PIN, serial="SN0")
    assert await held(unblock, ADMIN_PIN, PIN, PIN) is Code.SUCCESS
    with suppress(UkeyError):
        await asked.verify_challenge(ROOT, "alice", b"?" * 32, b"!" * 64)
    (row,) = await asked.list_bindings(ROOT)
    await asked.list_ukeys(ROOT)
    await asked.status(ROOT)
    await asked.reset_throttle(ROOT, "SN0")
    assert await held(Request(operations.UNBIND, "alice", flags=Flag.FORCE)) is Code.SUCCESS
    assert await asked.list_revocations(ROOT) != []
    await asked.unrevoke(ROOT, str(row["key"]))
    await asked.forget(ROOT, "alice")
    await asked.accept_state(ROOT)


def test_the_event_loop_touches_no_disk(tmp_path: Path, make: Make, disk: Disk) -> None:
    rules = Rules(
        allow_virtual_readers=True,
        wait_for_ukey=0,
        services={"sshd": ServiceRule(factors_from_afar=("ukey",))},
    )
    watch = Watch()
    i18n.catalogue.cache_clear()  # as in a service that has just started

    async def scene(service: Service) -> None:
        ukey = make(0)
        await seen(service.ukeys)
        disk.by_main.clear()
        watch.on = True
        try:
            await everything(service, ukey)
        finally:
            watch.on = False
        assert (watch.seen, disk.by_main) == ([], [])
        service.bindings.all()  # this is what it would look like
        assert disk.by_main != []

    run(tmp_path, scene, rules)
