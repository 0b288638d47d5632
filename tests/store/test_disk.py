# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The store on a disk that is full, and in the order in which it reaches the disk."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from keyservice.core.errors import StoreFailed
from keyservice.core.username import Person
from keyservice.store.files import PrivateDirectory
from keyservice.store.revocations import FILE, Revocation
from keyservice.store.state import State
from keyservice.store.throttle import Failures, PinName, ThrottleFile

from .conftest import HOST, binding, started

ALICE, BOB = Person("alice", 1000), Person("bob", 1001)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[PrivateDirectory]:
    """A folder on a disk of its own, of 64 KiB; its histories lie elsewhere."""
    disk = tmp_path / "disk"
    disk.mkdir(0o700)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "small", disk], check=True, timeout=10
    )
    try:
        yield PrivateDirectory(disk)
    finally:
        subprocess.run(["umount", disk], check=True, timeout=10)


def fill(folder: PrivateDirectory) -> Path:
    path = folder.path / ".filler"
    with pytest.raises(OSError, match="No space"), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(512))
    return path


def test_binding_on_a_full_disk_loses_nothing(small: PrivateDirectory) -> None:
    bindings = started(small).bindings
    bindings.add(binding())
    filler = fill(small)
    before = sorted(path.name for path in small.path.iterdir())
    with pytest.raises(StoreFailed, match="No space"):
        bindings.add(binding("bob", 1001, "SN2", 2))
    assert sorted(path.name for path in small.path.iterdir()) == before
    assert bindings.of(ALICE) == (binding(),)
    filler.unlink()
    assert bindings.of(BOB) == ()
    bindings.add(binding("bob", 1001, "SN2", 2))


def test_unbinding_works_on_a_full_disk(small: PrivateDirectory) -> None:
    bindings = started(small).bindings
    bindings.add(binding())
    fill(small)
    bindings.remove(binding())
    assert bindings.of(ALICE) == ()


def test_what_cannot_be_remembered_is_not_unbound(small: PrivateDirectory, tmp_path: Path) -> None:
    state = State(PrivateDirectory(tmp_path / "records"), small, HOST)
    assert state.start() == []
    state.bindings.add(binding())
    filler = fill(small)
    with pytest.raises(StoreFailed, match="No space"):
        state.bindings.remove(binding())
    assert state.bindings.of(ALICE) == (binding(),)
    filler.unlink()
    state.bindings.remove(binding())
    assert state.people.had(ALICE) is not None
    fill(small)
    with pytest.raises(StoreFailed, match="No space"):
        state.bindings.add(binding())
    assert state.bindings.of(ALICE) == (), "nobody would miss it"


def test_a_revocation_that_does_not_fit_leaves_no_half(
    small: PrivateDirectory, tmp_path: Path
) -> None:
    state = State(PrivateDirectory(tmp_path / "records"), small, HOST)
    assert state.start() == []
    revocations = state.revocations
    revocations.append(event(0))
    count = 1
    while (small.path / FILE).stat().st_size < 4096 - 400:  # up to the end of a page
        revocations.append(event(count))
        count += 1
    filler = fill(small)
    with pytest.raises(StoreFailed, match="No space"):
        for number in range(100):
            revocations.append(event(count + number))
    assert (small.path / FILE).read_bytes().endswith(b"\n")
    assert revocations.find(event(0).key) == event(0)
    filler.unlink()
    revocations.append(event(count + 200))


def event(number: int) -> Revocation:
    return Revocation(f"{number:064x}", True, "2026-01-02T03:04:05Z", 0, "alice", "SN1")


def test_the_throttle_file_is_the_old_one_on_a_full_disk(small: PrivateDirectory) -> None:
    file = ThrottleFile(small)
    pin = PinName("SN1", "ukey")
    file.save("boot", {pin: Failures(3, 60.0)})
    fill(small)
    with pytest.raises(StoreFailed, match="No space"):
        file.save("boot", {replace(pin, serial=f"SN{n}"): Failures(3, 60.0) for n in range(200)})
    assert file.load() == ("boot", {pin: Failures(3, 60.0)})


_STRACE = ("strace", "-e", "trace=write,fsync,linkat,renameat,unlinkat", "--")
_WRITE = """
import sys
from pathlib import Path
from keyservice.store.files import PrivateDirectory
folder = PrivateDirectory(Path(sys.argv[1]))
getattr(folder, sys.argv[2])(*[a.encode() if n else a for n, a in enumerate(sys.argv[3:])])
"""


@pytest.mark.parametrize(
    ("how", "order"),
    [
        ("create", ["write", "fsync", "linkat", "unlinkat", "fsync"]),
        ("replace", ["write", "fsync", "renameat", "fsync"]),
        ("remove", ["unlinkat", "fsync"]),
    ],
)
def test_the_content_is_on_the_disk_before_the_name(
    folder: PrivateDirectory, how: str, order: list[str]
) -> None:
    if how == "remove":
        folder.create("name", b"content")
    arguments = ["name"] if how == "remove" else ["name", "content"]
    done = subprocess.run(
        [*_STRACE, sys.executable, "-c", _WRITE, folder.path, how, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    calls = [line.partition("(")[0] for line in done.stderr.splitlines() if "(" in line]
    assert calls == order


def test_what_a_killed_writer_left_is_cleaned_at_the_next_start(folder: PrivateDirectory) -> None:
    folder.create("alice", b"whole")
    (folder.path / ".unfinished-0123456789abcdef").write_bytes(b"ha")
    (folder.path / ".keep").write_bytes(b"an editor's")
    assert folder.prepare() == [".unfinished-0123456789abcdef"]
    assert sorted(path.name for path in folder.path.iterdir()) == [".keep", "alice"]
