# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Binding and unbinding: what is asked, what is refused, and that a refusal stores nothing."""

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
from keyservice.core.errors import NotAllowed
from keyservice.crypto.algorithms import fingerprint
from keyservice.crypto.key import PublicKey
from keyservice.store.revocations import Revocation
from tests.softkey.state import FACTORY_PIN
from tests.support.ukeys import Softkey

from .conftest import Make
from .rig import GETTY, LOCKER, PIN, ROOT, WRONG, Held, Service, run


def bind(user: str = "alice", **fields: Any) -> Request:
    return Request(operations.BIND, user, **fields)


def unbind(user: str = "alice", flags: Flag = Flag(0)) -> Request:  # noqa: B008
    return Request(operations.UNBIND, user, flags=flags)


async def nothing_stored(
    service: Service, request: Request, *answers: Any, error: ErrorName, caller: Any = ROOT
) -> Held:
    """The request is refused for `error`, and the records are as they were."""
    before = {path: path.read_bytes() for path in service.records.path.iterdir()}
    held = await service.hold(request, *answers, caller=caller)
    assert held.verdict.error is error
    assert held.code not in (Code.SUCCESS, Code.IGNORE)
    assert held.verdict.text
    assert {path: path.read_bytes() for path in service.records.path.iterdir()} == before
    return held


def key_of(softkey: Softkey, container: int = 0) -> PublicKey:
    key = softkey.file.load().applications[0].containers[container].key
    assert key is not None
    return PublicKey("sm2", key.point)


@pytest.mark.smoke
def test_binding(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        held = await service.hold(bind(), PIN, caller=ROOT)
        assert held.kinds == ["Prompt", "Verdict"]
        assert held.code is Code.SUCCESS
        assert held.verdict.text == "Ukey SN0 is now bound to alice."
        assert held.verdict.detail == {
            "user": "alice",
            "serial": "SN0",
            "application": "ukey",
            "container": "login",
            "key": fingerprint(key_of(ukey)),
            "attested": False,
        }
        (binding,), _ = service.bindings.all()
        assert (binding.user, binding.uid, binding.serial) == ("alice", 1000, "SN0")
        assert binding.key == key_of(ukey)
        assert (binding.bound_by, binding.attested) == (1000, False)  # alice, by root
        (line,) = service.lines()
        assert "event=bind user=alice uid=1000" in line
        assert "verdict=SUCCESS" in line
        assert (await service.login(PIN)).code is Code.SUCCESS

    run(tmp_path, scene)


def test_binding_is_roots(tmp_path: Path) -> None:
    async def scene(service: Service) -> None:
        for request in (bind(), unbind(), Request(operations.UNBLOCK_PIN, serial="SN0")):
            with pytest.raises(NotAllowed):
                service.begin(request, LOCKER)
        assert all("verdict=PERM_DENIED" in line for line in service.lines())
        assert len(service.sessions) == 0

    run(tmp_path, scene)


def test_nothing_is_bound_twice(tmp_path: Path, make: Make) -> None:
    first = make()

    async def scene(service: Service) -> None:
        service.bind(first)
        held = await nothing_stored(service, bind(), error=ErrorName.ALREADY_BOUND)
        assert held.verdict.detail == {"user": "alice", "serial": "SN0"}
        await nothing_stored(service, bind("bob"), error=ErrorName.ALREADY_BOUND)
        await nothing_stored(service, bind("bob", serial="SN0"), error=ErrorName.ALREADY_BOUND)
        # the same key in another ukey
        await service.hold(unbind(), PIN, caller=ROOT)
        service.bind(first, serial="OTHER")
        await nothing_stored(service, bind("bob"), error=ErrorName.ALREADY_BOUND)
        # another uid's name
        await nothing_stored(service, bind("mallory"), error=ErrorName.UNKNOWN_USER)

    run(tmp_path, scene)


def test_a_revoked_key_is_not_bound_again(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        event = Revocation(fingerprint(key_of(ukey)), True, "", 0, "alice", "SN0")
        service.revocations.append(event)
        held = await nothing_stored(service, bind(), error=ErrorName.REVOKED)
        assert event.key in held.verdict.text

    run(tmp_path, scene)


def test_a_default_pin_is_refused_unless_allowed(tmp_path: Path, make: Make) -> None:
    make(pin=None)

    async def scene(service: Service) -> None:
        await nothing_stored(service, bind(), error=ErrorName.DEFAULT_PIN)
        request = bind(flags=Flag.ALLOW_DEFAULT_PIN)
        held = await service.hold(request, FACTORY_PIN, caller=ROOT)
        assert held.code is Code.SUCCESS

    run(tmp_path, scene)


def test_a_ukey_that_allows_too_many_tries_is_refused(tmp_path: Path, make: Make) -> None:
    make(tries=11)

    async def scene(service: Service) -> None:
        held = await nothing_stored(service, bind(), error=ErrorName.TRY_LIMIT)
        assert "11" in held.verdict.text

    run(tmp_path, scene)


def test_a_wrong_pin_and_the_last_try(tmp_path: Path, make: Make) -> None:
    ukey = make(tries=2)

    async def scene(service: Service) -> None:
        await nothing_stored(service, bind(), WRONG, error=ErrorName.PIN_WRONG)
        assert ukey.tries_left() == 1
        for caller in (ROOT, GETTY):  # it belongs to a login, whatever process began this
            await nothing_stored(service, bind(), error=ErrorName.TRY_WITHHELD, caller=caller)
        assert ukey.tries_left() == 1

    run(tmp_path, scene)


@pytest.mark.parametrize("kind", ["flipped", "zero", "out-of-range", "other-key"])
def test_a_trial_signature_that_is_wrong(tmp_path: Path, ukey: Softkey, kind: str) -> None:
    async def scene(service: Service) -> None:
        ukey.control.misbehave(signature=kind)
        await nothing_stored(service, bind(), PIN, error=ErrorName.SIGNATURE_WRONG)

    run(tmp_path, scene)


def test_several_ukeys_are_asked_about(tmp_path: Path, make: Make) -> None:
    make(label="one"), make(1, label="two")

    async def scene(service: Service) -> None:
        held = await service.hold(bind(), b"SN7", b" SN1\n", PIN, caller=ROOT)
        assert held.code is Code.SUCCESS
        assert held.kinds == ["Info", "Prompt", "Error", "Prompt", "Prompt", "Verdict"]
        assert "SN0  one\n  SN1  two" in held.text
        assert held.steps[1].echo  # type: ignore[union-attr]
        # of two ukeys, one is bound: the other is meant
        held = await service.hold(bind("bob"), PIN, caller=ROOT)
        assert held.verdict.detail["serial"] == "SN0"
        held = await service.hold(bind("carol"), caller=ROOT)
        assert held.verdict.error is ErrorName.ALREADY_BOUND

    run(tmp_path, scene)


def test_a_choice_that_is_none_of_them(tmp_path: Path, make: Make) -> None:
    make(), make(1)

    async def scene(service: Service) -> None:
        answers = [b"?", b"SN2", b"\xff\xfe"]
        held = await nothing_stored(service, bind(), *answers, error=ErrorName.BAD_REQUEST)
        assert sum(isinstance(step, Error) for step in held.steps) == 3
        await nothing_stored(service, bind(), b"?", b"", error=ErrorName.BAD_REQUEST)
        await nothing_stored(service, bind(), b"", error=ErrorName.CANCELLED)
        await nothing_stored(service, bind(serial="SN9"), error=ErrorName.UKEY_ABSENT)

    run(tmp_path, scene)


def test_several_containers_are_asked_about(tmp_path: Path, make: Make) -> None:
    ukey = make(containers=("login", "mail"), empty_containers=("spare",))

    async def scene(service: Service) -> None:
        held = await service.hold(bind(), b"2", PIN, caller=ROOT)
        assert held.code is Code.SUCCESS
        assert isinstance(held.steps[0], Info)
        assert "1  ukey / login\n  2  ukey / mail" in held.steps[0].text
        assert "spare" not in held.text
        (binding,), _ = service.bindings.all()
        assert (binding.container, binding.key) == ("mail", key_of(ukey, 1))
        await service.hold(unbind(), PIN, caller=ROOT)
        held = await service.hold(bind(container="login"), PIN, caller=ROOT)
        assert held.verdict.detail["container"] == "login"
        await nothing_stored(
            service, bind("bob", serial="SN0", container="spare"), error=ErrorName.ALREADY_BOUND
        )

    run(tmp_path, scene)


def test_without_a_pair_it_says_how_to_make_one(tmp_path: Path, make: Make) -> None:
    make(containers=(), empty_containers=("spare",))

    async def scene(service: Service) -> None:
        held = await nothing_stored(service, bind(), error=ErrorName.NO_KEY_PAIR)
        assert "--generate" in held.verdict.text
        held = await service.hold(bind(flags=Flag.GENERATE), PIN, caller=ROOT)
        assert held.code is Code.SUCCESS
        assert held.verdict.detail["container"] == "spare"
        assert (await service.login(PIN)).code is Code.SUCCESS

    run(tmp_path, scene)


def test_a_ukey_from_the_factory_that_holds_nothing(tmp_path: Path, make: Make) -> None:
    make(pin=None, containers=(), empty_containers=())

    async def scene(service: Service) -> None:
        generate = bind(flags=Flag.GENERATE)
        await nothing_stored(service, bind(), error=ErrorName.NO_KEY_PAIR)
        await nothing_stored(service, generate, error=ErrorName.DEFAULT_PIN)
        change = Request(operations.CHANGE_PIN)
        assert (await service.hold(change, FACTORY_PIN, PIN, PIN, caller=ROOT)).code is Code.SUCCESS
        held = await service.hold(generate, PIN, caller=ROOT)
        assert held.verdict.detail["container"] == "pam-ukey"
        assert (await service.login(PIN)).code is Code.SUCCESS

    run(tmp_path, scene)


def test_a_name_that_is_not_on_the_ukey(tmp_path: Path, make: Make) -> None:
    make(empty_containers=("spare",))

    async def scene(service: Service) -> None:
        for request in (
            bind(container="none"),
            bind(container="spare"),
            bind(application="none"),
            bind(application="none", flags=Flag.GENERATE),
        ):
            held = await nothing_stored(service, request, error=ErrorName.NO_KEY_PAIR)
            assert "no such application or container" in held.verdict.text

    run(tmp_path, scene)


def test_a_pair_is_never_overwritten(tmp_path: Path, make: Make) -> None:
    ukey = make()

    async def scene(service: Service) -> None:
        before = key_of(ukey)
        for request in (
            bind(flags=Flag.GENERATE),
            bind(flags=Flag.GENERATE, container="login"),
        ):
            await nothing_stored(service, request, error=ErrorName.BAD_REQUEST)
        assert key_of(ukey) == before
        request = bind(flags=Flag.GENERATE, container="second")
        held = await service.hold(request, PIN, caller=ROOT)
        assert held.code is Code.SUCCESS
        assert key_of(ukey) == before
        assert held.verdict.detail["container"] == "second"

    run(tmp_path, scene)


def test_what_is_there_instead_of_a_ukey(tmp_path: Path, make: Make) -> None:
    ukey = make(inserted=False)

    async def scene(service: Service) -> None:
        held = await nothing_stored(service, bind(), error=ErrorName.UKEY_ABSENT)
        assert held.verdict.text == "No ukey is inserted. Insert it and try again."
        ukey.control.misbehave(foreign=True)
        await service.put_in(ukey)
        await nothing_stored(service, bind(), error=ErrorName.UKEY_UNKNOWN)

    run(tmp_path, scene)


def test_an_emulated_ukey_is_refused_unless_allowed(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        await nothing_stored(service, bind(), error=ErrorName.READER_REFUSED)
        await nothing_stored(service, bind(serial="SN0"), error=ErrorName.READER_REFUSED)

    run(tmp_path, scene, Rules(wait_for_ukey=0))


def test_while_a_record_is_damaged_nothing_is_proven_free(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        (service.records.path / "carol").write_text("?")
        held = await nothing_stored(service, bind(), error=ErrorName.RECORD_DAMAGED)
        assert f"{service.records.path}/carol" in held.verdict.text

    run(tmp_path, scene)


# -- unbinding


def test_unbinding_needs_the_ukey_and_its_pin(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        await nothing_stored(service, unbind(), error=ErrorName.NOT_ENROLLED)
        service.bind(ukey)
        await nothing_stored(service, unbind(), WRONG, error=ErrorName.PIN_WRONG)
        ukey.control.misbehave(signature="other-key")
        await nothing_stored(service, unbind(), PIN, error=ErrorName.SIGNATURE_WRONG)
        ukey.control.behave()
        held = await service.hold(unbind(), PIN, caller=ROOT)
        assert held.verdict.text == "Ukey SN0 is no longer bound to alice."
        assert service.bindings.all() == ([], [])
        assert service.revocations.all() == []
        assert (await service.hold(bind("bob"), PIN, caller=ROOT)).code is Code.SUCCESS

    run(tmp_path, scene)


def test_unbinding_by_force_revokes_the_key(tmp_path: Path, make: Make) -> None:
    ukey = make(inserted=False)

    async def scene(service: Service) -> None:
        binding = service.bind(ukey)
        backup = (service.records.path / "alice").read_bytes()
        await nothing_stored(service, unbind(), error=ErrorName.UKEY_ABSENT)
        held = await service.hold(unbind(flags=Flag.FORCE), caller=ROOT)
        assert (held.kinds, held.code) == (["Verdict"], Code.SUCCESS)
        assert held.verdict.detail["key"] == binding.fingerprint
        assert service.bindings.all() == ([], [])
        assert service.lines()[-1].startswith("<84>")  # a warning
        (service.records.path / "alice").write_bytes(backup)
        (service.records.path / "alice").chmod(0o600)
        await service.put_in(ukey)
        assert (await service.login()).verdict.error is ErrorName.REVOKED

    run(tmp_path, scene)


def test_nothing_is_removed_that_could_not_be_revoked(tmp_path: Path, make: Make) -> None:
    ukey = make(inserted=False)

    async def scene(service: Service) -> None:
        service.bind(ukey)
        (service.state.path / "revoked").write_text("damaged\n")
        (service.state.path / "revoked").chmod(0o600)
        request = unbind(flags=Flag.FORCE)
        await nothing_stored(service, request, error=ErrorName.RECORD_DAMAGED)

    run(tmp_path, scene)


def test_who_is_gone_from_the_host_can_be_unbound(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        binding = service.bind(ukey)
        service.bindings.remove(binding)
        service.bindings.add(replace(binding, user="leaver", uid=4242))
        held = await service.hold(unbind("leaver"), PIN, caller=ROOT)
        assert held.code is Code.SUCCESS

    run(tmp_path, scene)


def test_a_damaged_record_goes_by_force_only(tmp_path: Path) -> None:
    async def scene(service: Service) -> None:
        (service.records.path / "alice").write_text("?")
        await nothing_stored(service, unbind(), error=ErrorName.RECORD_DAMAGED)
        held = await service.hold(unbind(flags=Flag.FORCE), caller=ROOT)
        assert held.code is Code.SUCCESS
        assert "none is revoked" in held.verdict.text
        assert service.bindings.all() == ([], [])

    run(tmp_path, scene)
