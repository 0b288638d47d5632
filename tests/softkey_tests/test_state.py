# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The state file: what lasts, what a killed process leaves, what is refused."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.softkey import state
from tests.softkey.card import Card
from tests.softkey.state import StateError, StateFile
from tests.softkey.traits import Traits

from .terminal import ADMIN_PIN, PIN, Terminal

NEW_PIN = b"new-pin-1"


def test_all_of_it_comes_back(tmp_path: Path) -> None:
    made = state.new(
        serial="SN-7",
        label="印章",
        tries=6,
        admin_tries=3,
        application="应用",
        containers=("a", "b"),
        empty_containers=("c",),
        traits=Traits(byte_order="big", name_length=48),
    )
    made.device.left = 4
    made.applications[0].user.left = 2
    file = StateFile(tmp_path / "ukey")
    file.create(made)
    back = StateFile(tmp_path / "ukey").load()
    for loaded, before in zip(back.pins(), made.pins(), strict=True):
        assert loaded == before
    assert [c.name for c in back.applications[0].containers] == ["a", "b", "c"]
    for one, other in zip(
        back.applications[0].containers, made.applications[0].containers, strict=True
    ):
        assert (one.key and one.key.point) == (other.key and other.key.point)
    assert (back.serial, back.label, back.traits) == (made.serial, made.label, made.traits)


def test_the_file_is_private_and_holds_no_pin(file: StateFile) -> None:
    assert file.path.stat().st_mode & 0o777 == 0o600
    content = file.path.read_bytes()
    assert b"SK0001" in content
    for pin in (PIN, ADMIN_PIN):
        assert pin not in content
        assert pin.hex().encode() not in content
    assert list(file.path.parent.iterdir()) == [file.path]


def test_a_ukey_is_not_overwritten(file: StateFile) -> None:
    before = file.path.read_bytes()
    with pytest.raises(StateError, match="not overwritten"):
        file.create(state.new())
    assert file.path.read_bytes() == before


def drop(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda document: document.pop(key)


@pytest.mark.parametrize(
    "damage",
    [
        drop("serial"),
        drop("tries_left"),
        lambda document: document.update(softkey=2),
        lambda document: document.update(tries_left=[10, 10]),
        lambda document: document.update(tries_left=[10, 10, 10, 10]),
        lambda document: document.update(tries_left=[10, 11, 10]),
        lambda document: document.update(tries_left=[10, "1", 10]),
        lambda document: document["device"].update(key="00"),
        lambda document: document["traits"].update(byte_order="middle"),
        lambda document: document["traits"].update(colour="red"),
        lambda document: document["applications"][0]["containers"][0].update(key="no key"),
        lambda document: document["applications"].append(7),
    ],
)
def test_a_damaged_file_is_refused(
    file: StateFile, damage: Callable[[dict[str, Any]], None]
) -> None:
    document = json.loads(file.path.read_bytes())
    damage(document)
    file.path.write_text(json.dumps(document))
    with pytest.raises(StateError, match="ukey"):
        file.load()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b"\xff\xfe"])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "other").write_bytes(content)
    with pytest.raises(StateError, match="other"):
        StateFile(tmp_path / "other").load()


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="softkey init"):
        StateFile(tmp_path / "none").load()
    with pytest.raises(StateError, match="cannot be made"):
        StateFile(tmp_path / "no" / "directory").create(state.new())


@pytest.mark.parametrize(
    "wrong",
    [
        {"pin": b"12345"},
        {"admin_pin": b"1" * 17},
        {"tries": 0},
        {"tries": 16},
        {"serial": "x" * 33},
        {"label": ""},
        {"application": "x" * 33},
        {"containers": ("x\0y",)},
    ],
)
def test_a_ukey_that_cannot_be_is_not_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(StateError):
        state.new(**wrong)


def test_a_failed_write_leaves_the_card_as_it_was(
    file: StateFile, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.verify()
    point = terminal.point()
    before = file.path.read_bytes()

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.write", full)
    generate = terminal.app + terminal.container + (256).to_bytes(4, "little")
    assert terminal.sw("80700000", generate, 64) == 0x6581
    assert terminal.sw("80400000", terminal.app + b"second", 2) == 0x6581
    assert terminal.sw("80020000", b"label") == 0x6581
    assert file.path.read_bytes() == before
    monkeypatch.undo()
    assert terminal.point() == point
    assert terminal.send("80460000", terminal.app)[0] == b"login\0empty\0\0"
    assert terminal.change(PIN, NEW_PIN) == 0x9000


def test_a_pin_that_cannot_be_written_is_not_changed(
    file: StateFile, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.verify()
    write, sizes = os.write, []

    def full_at_the_second(handle: int, content: bytes) -> int:
        sizes.append(len(content))
        if len(sizes) == 2:
            raise OSError(28, "No space left on device")
        return write(handle, content)

    monkeypatch.setattr("os.write", full_at_the_second)
    assert terminal.change(PIN, NEW_PIN) == 0x6581
    assert terminal.verify() == 0x9000
    assert terminal.tries() == (10, 10, 0)


def test_a_ukey_that_cannot_be_written_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.write", lambda *_: 1)
    with pytest.raises(StateError, match="short write"):
        StateFile(tmp_path / "ukey").create(state.new())
    assert not (tmp_path / "ukey").exists()


@pytest.mark.parametrize("sync", [False, True])
def test_each_write_waits_for_the_disk_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: bool
) -> None:
    synced: list[int] = []
    monkeypatch.setattr("os.fsync", synced.append)
    StateFile(tmp_path / "ukey", sync=sync).create(state.new())
    assert bool(synced) is sync


# -- killed


def change_pin(terminal: Terminal) -> None:
    terminal.open()
    assert terminal.verify() == 0x9000
    assert terminal.change(PIN, NEW_PIN) == 0x9000
    assert terminal.verify(NEW_PIN) == 0x9000


def killed(path: Path, step: int, run: Callable[[StateFile, int], None]) -> bool:
    """Run in a child that dies at a step; whether it did."""
    child = os.fork()
    if not child:
        try:
            run(StateFile(path), step)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def old_or_new(path: Path) -> str:
    """Which PIN the ukey has; it works, and no more than a try is missing."""
    loaded = StateFile(path).load()
    assert loaded.applications[0].user.left >= 9
    terminal = Terminal(Card(StateFile(path)).transmit)
    terminal.open()
    found = "new" if terminal.verify(NEW_PIN) == 0x9000 else "old"
    assert terminal.verify(NEW_PIN if found == "new" else PIN) == 0x9000
    assert terminal.tries() == (10, 10, 0)
    return found


def every_death(
    file: StateFile, tmp_path: Path, run: Callable[[StateFile, int], None]
) -> list[str]:
    """Kill `run` at its 1st, 2nd, … step until it survives; what each death left."""
    found: list[str] = []
    while True:
        path = tmp_path / f"copy-{len(found)}"
        path.write_bytes(file.path.read_bytes())
        dead = killed(path, len(found) + 1, run)
        found.append(old_or_new(path))
        if not dead:
            assert found == sorted(found, reverse=True)  # old, then new for good
            assert found[0] == "old"
            assert found[-1] == "new"
            return found


def test_killed_after_every_apdu_of_a_pin_change(file: StateFile, tmp_path: Path) -> None:
    def run(file: StateFile, last: int) -> None:
        card, count = Card(file), 0

        def transmit(apdu: bytes) -> bytes:
            nonlocal count
            answer = card.transmit(apdu)
            count += 1
            if count == last:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        change_pin(Terminal(transmit))

    found = every_death(file, tmp_path, run)
    print(f"killed after {len(found) - 1} APDUs: {found}")
    assert len(found) == 9


def test_killed_at_every_system_call_of_a_pin_change(file: StateFile, tmp_path: Path) -> None:
    def run(file: StateFile, last: int) -> None:
        count = 0

        def dying(call: Callable[..., Any]) -> Callable[..., Any]:
            def run(*arguments: Any, **more: Any) -> Any:
                nonlocal count
                count += 1
                if count == last:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*arguments, **more)

            return run

        card = Card(file)
        for name in ("open", "write", "close", "replace"):
            setattr(os, name, dying(getattr(os, name)))
        change_pin(Terminal(card.transmit))

    found = every_death(file, tmp_path, run)
    print(f"killed at {len(found) - 1} system calls: {found}")
    assert len(found) > 20
