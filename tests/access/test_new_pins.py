# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Setting a PIN: which new ones are refused or warned of, and which change with a password."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keyservice.access.conversation import Request
from keyservice.access.settings import Rules
from keyservice.contract import operations
from keyservice.contract.names import Code, ErrorName, Flag
from keyservice.contract.steps import Error, Info
from tests.store.credentials import of_ssh
from tests.support.ukeys import Softkey

from .rig import ADMIN_PIN, NEW, PIN, ROOT, SU, WRONG, Service, run


def change(**fields: Any) -> Request:
    return Request(operations.CHANGE_PIN, **fields)


def unblock() -> Request:
    return Request(operations.UNBLOCK_PIN, serial="SN0")


@pytest.mark.parametrize(
    ("new", "told"),
    [
        (b"111111", "one character more than 3 times in a row. Nothing was changed."),
        (b"8aaaa153", "one character more than 3 times in a row."),
        (b"123456", "more than 3 of its characters in a row count up or down."),
        (b"987654", "count up or down"),
        (b"70abcd91", "count up or down"),
        ("密密密密".encode(), "one character more than 3 times in a row."),
        ("ééééa1".encode(), "one character more than 3 times in a row."),
        ("密密密码".encode(), ""),
        ("ééé1ab".encode(), ""),
        (b"111222", ""),
        (b"123890", ""),
        (b"890124", ""),
        (b"+,-./:", ""),  # signs count nothing
        (b"89:;<=", ""),
    ],
)
@pytest.mark.parametrize("unblocks", [False, True], ids=["change", "unblock"])
def test_a_new_pin_that_many_would_guess_is_refused(
    tmp_path: Path, ukey: Softkey, new: bytes, told: str, unblocks: bool
) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        request, first = (unblock(), ADMIN_PIN) if unblocks else (change(user="alice"), PIN)
        if not told:
            held = await service.hold(request, first, new, new, caller=ROOT)
            assert held.code is Code.SUCCESS
            return
        held = await service.hold(request, first, new, NEW, NEW, caller=ROOT)
        (said,) = [step.text for step in held.steps if isinstance(step, Error)]
        assert told in said and held.code is Code.SUCCESS
        held = await service.hold(request, ADMIN_PIN if unblocks else NEW, *[new] * 3, caller=ROOT)
        assert held.verdict.error is ErrorName.PIN_REFUSED
        assert new.decode() not in held.text
        assert (await service.login(NEW)).code is Code.SUCCESS

    run(tmp_path, scene)


def test_how_much_of_that_is_allowed_is_configured(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        for old, new in ((PIN, b"123456"), (b"123456", b"99999999")):
            held = await service.hold(change(user="alice"), old, new, new, caller=ROOT)
            assert held.code is Code.SUCCESS
        assert not held.prompts[3:]

    run(tmp_path, scene, Rules(allow_virtual_readers=True, wait_for_ukey=0, pin_same=16, pin_run=6))


def test_a_pin_of_another_script_is_warned_of_where_it_is_set(
    tmp_path: Path, ukey: Softkey
) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        new = "密码八七".encode()
        held = await service.hold(change(user="alice"), PIN, new, new, caller=ROOT)
        assert held.code is Code.SUCCESS
        (said,) = [step.text for step in held.steps if isinstance(step, Info)]
        assert said.startswith("The new PIN has characters that not every keyboard types.")
        assert held.kinds == ["Prompt", "Prompt", "Info", "Prompt", "Verdict"]
        held = await service.hold(change(user="alice"), new, NEW, NEW, caller=ROOT)
        assert (held.code, "Info" in held.kinds) == (Code.SUCCESS, False)

    run(tmp_path, scene)


class TestWithAPassword:
    """The request of passwd and its like, with a PIN that is asked or not."""

    PASSWD = replace(SU, logind_session=None)  #: setuid, begun by alice

    @staticmethod
    def asked(user: str = "alice", nouserok: bool = False) -> Request:
        flags = Flag.PASSWORD | (Flag.NOUSEROK if nouserok else Flag(0))
        return change(user=user, service="passwd", flags=flags)

    def test_a_person_s_own_passwd_asks(self, tmp_path: Path, ukey: Softkey) -> None:
        async def scene(service: Service) -> None:
            service.bind(ukey)
            for nouserok in (False, True):
                request = self.asked(nouserok=nouserok)
                held = await service.hold(request, WRONG, NEW, NEW, caller=self.PASSWD)
                assert held.verdict.error is ErrorName.PIN_WRONG

        run(tmp_path, scene)

    @pytest.mark.parametrize("ruid", [0, None], ids=["root", "not known"])
    def test_what_root_runs_asks_nobody(
        self, tmp_path: Path, ukey: Softkey, ruid: int | None
    ) -> None:
        async def scene(service: Service) -> None:
            service.bind(ukey)
            caller = replace(ROOT, ruid=ruid)
            for user in ("alice", "bob", "root"):
                held = await service.hold(self.asked(user), caller=caller)
                assert (held.code, held.prompts) == (Code.IGNORE, [])
            held = await service.hold(self.asked("mallory"), caller=caller)
            assert held.code is Code.USER_UNKNOWN
            # chpinpw is not passwd
            held = await service.hold(change(user="alice"), PIN, NEW, NEW, caller=caller)
            assert held.code is Code.SUCCESS

        run(tmp_path, scene)

    def test_people_without_a_ukey_pass_by_nouserok(self, tmp_path: Path, ukey: Softkey) -> None:
        async def scene(service: Service) -> None:
            service.bind(ukey)
            bobs = replace(self.PASSWD, ruid=1001)
            held = await service.hold(self.asked("bob"), caller=bobs)
            assert held.verdict.error is ErrorName.NOT_ENROLLED
            held = await service.hold(self.asked("bob", nouserok=True), caller=bobs)
            assert held.code is Code.IGNORE

        run(tmp_path, scene)

    def test_so_do_people_with_an_ssh_key_who_never_had_a_ukey(
        self, tmp_path: Path, ukey: Softkey
    ) -> None:
        async def scene(service: Service) -> None:
            service.bindings.add(of_ssh())
            held = await service.hold(self.asked(), caller=self.PASSWD)
            assert held.verdict.error is ErrorName.NOT_ENROLLED
            asked = self.asked(nouserok=True)
            held = await service.hold(asked, caller=self.PASSWD)
            assert (held.code, held.prompts) == (Code.IGNORE, [])
            bound = service.bind(ukey)
            held = await service.hold(asked, WRONG, NEW, NEW, caller=self.PASSWD)
            assert held.verdict.error is ErrorName.PIN_WRONG
            service.bindings.remove(bound)
            held = await service.hold(asked, caller=self.PASSWD)
            assert held.verdict.error is ErrorName.NOT_ENROLLED

        run(tmp_path, scene)
