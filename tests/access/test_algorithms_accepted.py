# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``policy.algorithms``: a key of another algorithm is not bound and lets nobody in. That is told
before a PIN is asked, and such a person never counts as one who has no ukey."""

from __future__ import annotations

from pathlib import Path

from keyservice.access.administration import Administration
from keyservice.access.conversation import Request
from keyservice.access.settings import Rules
from keyservice.contract import operations
from keyservice.contract.names import Code, ErrorName, Flag
from keyservice.core.errors import AlgorithmRefused
from tests.inprocess.pcscd import Pcscd
from tests.inprocess.pivcards import PivcardHere
from tests.support.ukeys import Softkey

from .rig import ADMIN_PIN, IN_READERS, LOCKER, PIN, ROOT, SU, Service, refused, run

NO_SM2 = Rules(
    allow_virtual_readers=True, wait_for_ukey=0, algorithms=frozenset({"p384", "ed25519"})
)
WHY = "AlgorithmRefused: The configuration does not allow the algorithm of the key"


def test_a_key_of_another_algorithm_is_not_bound(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        for flags in (Flag(0), Flag.GENERATE):
            container = "new" if flags else ""
            request = Request(operations.BIND, "alice", container=container, flags=flags)
            held = await service.hold(request, caller=ROOT)
            refused(held, Code.PERM_DENIED, ErrorName.ALGORITHM_REFUSED, asked=False)
            assert "is of the algorithm sm2, which this host does not accept" in held.verdict.text
        assert service.bindings.all() == ([], [])
        assert [each.name for each in ukey.file.load().applications[0].containers] == ["login"]

    run(tmp_path, scene, NO_SM2)


def test_a_piv_card_is_not_asked_for_a_pair_that_is_then_refused(
    tmp_path: Path, readers: Pcscd
) -> None:
    """It makes P-256 pairs, unless a quirk says otherwise."""
    card = PivcardHere(readers, tmp_path / "card", 0, inserted=True, pin=PIN, admin_pin=ADMIN_PIN)
    IN_READERS.append(card)

    async def scene(service: Service) -> None:
        request = Request(operations.BIND, "alice", container="9D", flags=Flag.GENERATE)
        held = await service.hold(request, caller=ROOT)
        refused(held, Code.PERM_DENIED, ErrorName.ALGORITHM_REFUSED, asked=False)
        assert "p256" in held.verdict.text

    try:
        run(tmp_path, scene, NO_SM2)
    finally:
        IN_READERS.pop().close()


def test_a_bound_ukey_is_refused_before_its_pin_is_asked(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        ukey.control.reset_apdus()
        for flags in (Flag(0), Flag.NOUSEROK):
            held = await service.login(flags=flags)
            refused(held, Code.PERM_DENIED, ErrorName.ALGORITHM_REFUSED, asked=False)
            assert "of an algorithm that this host does not accept (sm2)" in held.verdict.text
            (line,) = service.lines()
            assert "user=alice" in line
            assert "verdict=PERM_DENIED" in line
            assert WHY in line
        chinese = await service.login(lang="zh_CN.UTF-8", tty="pts/1", caller=SU)
        assert "本机不接受的算法（sm2）" in chinese.verdict.text
        held = await service.login(PIN, flags=Flag.UNIFORM)
        assert (held.code, held.verdict.text) == (Code.AUTH_ERR, "Authentication failed.")
        assert WHY in service.lines()[-1]
        assert ukey.control.apdus() == []

    run(tmp_path, scene, NO_SM2)


def test_lists_mark_what_the_policy_refuses(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        binding = service.bind(ukey)
        service.bind(ukey, "bob", serial="X", public_key="ab" * 64, algorithm="sm2")
        ask = Administration(service.services, service.sessions, "1")
        for caller, count in ((LOCKER, 1), (ROOT, 2)):
            rows = await ask.list_bindings(caller)
            assert [row["algorithm_refused"] for row in rows] == [True] * count
        (row,) = [row for row in await ask.list_ukeys(ROOT) if "user" in row]
        assert row["algorithm_refused"] is True
        assert (await ask.status(ROOT))["refused_bindings"] == 2
        assert "refused_bindings" not in await ask.status(LOCKER)
        try:
            await ask.verify_challenge(ROOT, "alice", bytes(32), bytes(64))
        except AlgorithmRefused as error:
            assert error.facts == {"algorithm": binding.algorithm, "serial": "SN0"}
        else:
            raise AssertionError("it was verified")

    run(tmp_path, scene, NO_SM2)
