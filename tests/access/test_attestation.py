# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A ukey's maker vouches for the key that is bound, or nobody does: what the record says then, and
what a host refuses that demands it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from keyservice.access.conversation import Request
from keyservice.access.settings import Rules
from keyservice.contract import operations
from keyservice.contract.names import Code, ErrorName, Flag
from keyservice.contract.steps import Info
from tests.inprocess.pcscd import Pcscd
from tests.inprocess.pivcards import PivcardHere
from tests.support.makers import Maker, maker
from tests.support.ukeys import Softkey

from .rig import ADMIN_PIN, IN_READERS, PIN, ROOT, Held, Service, login, run, uniform

MAKER, ANOTHER = maker(), maker("Another")
STRICT = Rules(allow_virtual_readers=True, wait_for_ukey=0, attested=True)
Insert = Callable[..., PivcardHere]


@pytest.fixture
def insert(readers: Pcscd, tmp_path: Path) -> Iterator[Insert]:
    def insert(by: Maker | None = MAKER, lies: dict[str, Any] | None = None, **make: Any) -> Any:
        attester = None if by is None else by.attester(**(lies or {}))
        given = {"pin": PIN, "admin_pin": ADMIN_PIN, "pairs": {"9A": "p256"}, "attester": attester}
        card = PivcardHere(readers, tmp_path / "card", 0, inserted=True, **{**given, **make})
        IN_READERS.append(card)
        return card

    yield insert
    while IN_READERS:
        IN_READERS.pop().close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    MAKER.put(tmp_path / "makers")
    return tmp_path / "makers"


def bind(**fields: Any) -> Request:
    return Request(operations.BIND, "alice", **fields)


def told(held: Held) -> str:
    return "\n".join(step.text for step in held.steps if isinstance(step, Info))


def refused(held: Held, why: str, prompts: int = 0) -> None:
    assert (held.code, held.verdict.error) == (Code.PERM_DENIED, ErrorName.NOT_ATTESTED)
    assert len(held.prompts) == prompts
    assert why in held.verdict.text


@pytest.mark.parametrize("rules", [None, STRICT], ids=["asked", "demanded"])
@pytest.mark.parametrize("algorithm", ["p256", "rsa2048"])
def test_a_key_that_its_maker_vouches_for_is_bound_and_logs_in(
    tmp_path: Path, folder: Path, insert: Insert, algorithm: str, rules: Rules | None
) -> None:
    insert(pairs={"9A": algorithm})

    async def scene(service: Service) -> None:
        held = await service.hold(bind(), PIN, caller=ROOT)
        assert held.code is Code.SUCCESS, held.text
        assert held.verdict.detail["attested"] is True
        assert held.verdict.text.endswith("is now bound to alice; its maker vouches for the key.")
        assert "vouch" not in told(held)
        (binding,), _ = service.bindings.all()
        assert binding.attested
        assert (await service.login(PIN)).code is Code.SUCCESS

    run(tmp_path, scene, rules)


def test_a_pair_that_is_made_here_is_vouched_for(
    tmp_path: Path, folder: Path, insert: Insert
) -> None:
    insert(pairs={})

    async def scene(service: Service) -> None:
        make = bind(flags=Flag.GENERATE, container="9A")
        held = await service.hold(make, PIN, b"default", caller=ROOT)
        assert held.code is Code.SUCCESS, held.text
        assert service.bindings.all()[0][0].attested

    run(tmp_path, scene, STRICT)


NOBODY: dict[str, tuple[dict[str, Any], str]] = {
    "no certificate": ({"by": None}, "it has no certificate of its maker's"),
    "another maker": ({"by": ANOTHER}, "no maker whose certificate this host has"),
    "imported": ({"origin": 2}, "as for one that was not made on it"),
    "not yet valid": (
        {"lies": {"since": datetime(2051, 1, 1)}},
        "a certificate is not valid today",
    ),
    "no CA": ({"lies": {"ca": False}}, "its own certificate may not sign others"),
    "plain": ({"vendor": False, "by": None}, "it has no certificate of its maker's"),
    "sm2": ({"pairs": {"9A": "sm2"}}, "as for one that was not made on it"),
}


@pytest.mark.parametrize("case", NOBODY)
def test_where_nobody_vouches_the_record_says_so_and_root_is_told_why(
    tmp_path: Path, folder: Path, insert: Insert, case: str
) -> None:
    make, why = NOBODY[case]
    card = insert(**make)

    async def scene(service: Service) -> None:
        held = await service.hold(bind(), PIN, caller=ROOT)
        assert held.code is Code.SUCCESS, held.text
        assert f"No maker vouches for the key of ukey {card.serial}: " in told(held)
        assert why in told(held)
        assert held.verdict.detail["attested"] is False
        assert not service.bindings.all()[0][0].attested
        assert (await service.login(PIN)).code is Code.SUCCESS

    run(tmp_path, scene)


@pytest.mark.parametrize("case", NOBODY)
def test_where_it_is_demanded_nobody_is_asked_for_a_pin(
    tmp_path: Path, folder: Path, insert: Insert, case: str
) -> None:
    make, why = NOBODY[case]
    insert(**make)

    async def scene(service: Service) -> None:
        refused(await service.hold(bind(), caller=ROOT), why)
        assert service.bindings.all() == ([], [])

    run(tmp_path, scene, STRICT)


def test_where_it_is_demanded_no_pair_is_made_that_nobody_will_vouch_for(
    tmp_path: Path, folder: Path, insert: Insert
) -> None:
    card = insert(by=ANOTHER, pairs={})

    async def scene(service: Service) -> None:
        make = bind(flags=Flag.GENERATE, container="9A")
        refused(await service.hold(make, caller=ROOT), "no maker whose certificate")

    run(tmp_path, scene, STRICT)
    assert 0x9A not in card.card.load().slots


FOLDERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "none": (lambda folder: folder.rename(folder.with_name("away")), "holds no maker's"),
    "empty": (lambda folder: (folder / "maker.pem").unlink(), "holds no maker's"),
    "writable": (lambda folder: folder.chmod(0o777), "cannot be trusted"),
    "file writable": (lambda folder: (folder / "maker.pem").chmod(0o666), "holds no maker's"),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_a_folder_that_does_not_count_vouches_for_nobody(
    tmp_path: Path, folder: Path, insert: Insert, case: str
) -> None:
    spoil, why = FOLDERS[case]
    spoil(folder)
    insert()

    async def demanded(service: Service) -> None:
        refused(await service.hold(bind(), caller=ROOT), why)

    async def asked(service: Service) -> None:
        held = await service.hold(bind(), PIN, caller=ROOT)
        assert held.code is Code.SUCCESS
        assert ("cannot be trusted" in told(held)) is (case == "writable")
        assert not service.bindings.all()[0][0].attested

    run(tmp_path, demanded, STRICT)
    run(tmp_path, asked)


def test_a_maker_counts_from_the_next_binding_on(
    tmp_path: Path, folder: Path, insert: Insert
) -> None:
    (folder / "maker.pem").unlink()
    insert()

    async def scene(service: Service) -> None:
        assert (await service.hold(bind(), caller=ROOT)).code is Code.PERM_DENIED
        MAKER.put(folder)
        assert (await service.hold(bind(), PIN, caller=ROOT)).code is Code.SUCCESS

    run(tmp_path, scene, STRICT)


def test_a_kind_that_cannot_vouch_is_told_only_where_it_is_demanded(
    tmp_path: Path, folder: Path, ukey: Softkey
) -> None:
    async def demanded(service: Service) -> None:
        refused(await service.hold(bind(), caller=ROOT), "this kind of ukey cannot vouch")

    async def asked(service: Service) -> None:
        held = await service.hold(bind(), PIN, caller=ROOT)
        assert held.code is Code.SUCCESS
        assert "vouch" not in held.text

    run(tmp_path, demanded, STRICT)
    run(tmp_path, asked)


def test_a_login_with_a_key_that_nobody_vouched_for_is_refused(
    tmp_path: Path, insert: Insert
) -> None:
    """Before anything is asked, even if somebody would vouch for it today; in the log and in words,
    but for uniform's one text."""
    card = insert()

    async def asked(service: Service) -> None:
        assert (await service.hold(bind(), PIN, caller=ROOT)).code is Code.SUCCESS

    async def demanded(service: Service) -> None:
        service.lines()
        refused(await service.login(), "when it was bound, nobody vouched for its key")
        (line,) = await service.next_lines()
        assert "NotAttested" in line and "nobody vouched" in line
        held = await service.hold(uniform(), PIN)
        assert (held.code, held.verdict.text) == (Code.AUTH_ERR, "Authentication failed.")
        own = await service.hold(Request(operations.VERIFY_PIN, "alice"), PIN, caller=ROOT)
        assert own.code is Code.SUCCESS  # their PIN is theirs all the same
        nouserok = await service.hold(login(flags=Flag.NOUSEROK))
        refused(nouserok, "nobody vouched")

    run(tmp_path, asked)
    MAKER.put(tmp_path / "makers")
    run(tmp_path, demanded, STRICT)
    assert card.tries_left() == 3


def test_the_ukeys_word_is_checked_against_the_key_that_signs(
    tmp_path: Path, folder: Path, insert: Insert
) -> None:
    """A clone that shows another key than its maker signed for."""
    card = insert()
    card.control.misbehave(other_key=True)

    async def scene(service: Service) -> None:
        refused(await service.hold(bind(), caller=ROOT), "what it says is of another key")

    run(tmp_path, scene, STRICT)
