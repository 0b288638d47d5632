# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Random mistakes of an administrator around ``ukey pam enable``: lines taken out, moved, doubled
and written wrong, modules that are missing, runs that are killed. It refuses, or the real libpam
with this host's real modules lets in who has both, and nobody else."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.pamcheck.hosts import Host
from tests.pamcheck.test_by_chance import RIGHT, USER, WRONG, Logins, logins, real
from tests.pamcheck.test_by_chance import UID as CALLER
from tests.pamedit import debian as base
from tests.pamedit.test_killed import killed_at, undone, whole_run
from tools.pamcheck.reading import Unreadable
from tools.pamedit.block import Already, NotUnderstood, disabled

__all__ = ["logins"]

SEEDS, SEEDS_SOAK = 100, 1000
#: Services by which the hosts' keyservice lets people in.
SERVICES = ("login", "su", "sshd", "sudo", "plain")
#: Lines that are understood, and that open a stack or shut it where they stand.
_GRAVE = (
    "auth sufficient pam_rootok.so",
    "auth sufficient pam_shells.so",
    "auth [success=done default=ignore] pam_shells.so",
    "auth required pam_limits.so",
    "auth requisite pam_wheel.so group=nobodys",
    "auth required pam_securetty.so",
)
_LINES = (
    *_GRAVE,
    *_GRAVE,
    "auth sufficient pam_permit.so",
    "auth required pam_deny.so",
    "auth required pam_permit.so",
    "auth [success=1 default=ignore] pam_unix.so",
    "auth [success=2 default=ignore] pam_nologin.so",
    "auth sufficient pam_unix.so nullok",
    "auth required pam_ukey.so",
    "auth sufficient pam_ukey.so",
    "auth [success=ok default=die] pam_ukey.so",
    "auth optional pam_nothere.so",
    "auth required pam_nothere.so",
    "auth include common-account",
    "@include common-auth",
    "@include nothing",
    "auth required",
    "garbage",
    "# a comment \\",
)
_WORDS = ("required", "requisite", "sufficient", "optional", "[default=die]", "[success=done]")


@dataclass
class Mistaken:
    host: Host
    dice: random.Random

    def make(self, *services: str) -> None:
        """Some mistakes, mostly one, in the stacks that enable reads."""
        for _turn in range(self.dice.choice((0, 1, 1, 1, 2, 3))):
            name = self.dice.choice(("common-auth", *services, *services))
            path = self.host.pam_d / name
            lines = path.read_text().splitlines()
            kinds = (self._out, self._in, self._in, self._moved, self._control, self._module)
            self.dice.choice(kinds)(lines)
            ending = "\r\n" if self.dice.random() < 0.03 else "\n"
            path.write_bytes("".join(f"{line}{ending}" for line in lines).encode())

    def _at(self, lines: list[str]) -> int:
        return self.dice.randrange(len(lines)) if lines else 0

    def _out(self, lines: list[str]) -> None:
        del lines[self._at(lines) : self._at(lines) + 1]

    def _in(self, lines: list[str]) -> None:
        lines.insert(self._at(lines), self.dice.choice(_LINES))

    def _moved(self, lines: list[str]) -> None:
        if lines:
            lines.insert(self._at(lines), lines.pop(self._at(lines)))

    def _control(self, lines: list[str]) -> None:
        at = self._at(lines)
        words = lines[at].split() if lines else []
        if len(words) > 2 and words[0] == "auth":
            lines[at] = " ".join([words[0], self.dice.choice(_WORDS), *words[2:]])

    def _module(self, lines: list[str]) -> None:
        at = self._at(lines)
        if lines:
            names = ("pam_unix.so", "pam_permit.so", "pam_nothere.so", "pam_rootok.so")
            old = next((word for word in lines[at].split() if word.endswith(".so")), None)
            lines[at] = lines[at].replace(old, self.dice.choice(names)) if old else lines[at]


#: Password, what pam_ukey returns (empty: it is missing), and whether they get in.
CASES = (
    (RIGHT, "success", True),
    (RIGHT, "auth_err", False),
    (RIGHT, "authinfo_unavail", False),
    (RIGHT, "user_unknown", False),
    (RIGHT, "ignore", False),
    (RIGHT, "", False),
    (WRONG, "success", False),
    (WRONG, "auth_err", False),
)


def asked(host: Host, service: str, folder: Path) -> Iterator[str]:
    """A line for the real libpam for each of ``CASES``."""
    for number, (password, code, _inside) in enumerate(CASES):
        copy = folder / str(number)
        copy.mkdir(parents=True, exist_ok=True)
        for path in host.pam_d.iterdir():
            if not path.name.startswith("."):
                texts = path.read_bytes().decode(errors="replace").splitlines()
                made = real({path.name: tuple(texts)}, code)[path.name]
                (copy / path.name).write_text("\n".join(made) + "\n")
        caller = CALLER if service in ("su", "sudo") else 0
        yield f"{copy} {service} {USER} {password} {caller}\n"


@pytest.mark.timeout(300)
def test_no_mistake_opens_a_host_or_shuts_it(
    tmp_path: Path, logins: Logins, soak: bool, *, seed: int = 1
) -> None:
    """Each seed: mistakes, enable for some services, killed at a step or not."""
    changed = refused = killed = 0
    lines: list[str] = []
    told: list[str] = []
    for number in range(SEEDS_SOAK if soak else SEEDS):
        dice = random.Random(seed * 10_000 + number)
        host = Host(tmp_path / f"host{number}")
        host.write(base.STACKS)
        for name in ("lib", "usr"):
            (host.root / name).symlink_to(f"/{name}")
        services = dice.sample(SERVICES, dice.choice((1, 1, 2)))
        Mistaken(host, dice).make(*services)
        before = {path.name: path.read_bytes() for path in host.pam_d.iterdir()}
        try:
            made = base.changes(host.places, *services)
            if base.forbidden(host.places, made):
                raise NotUnderstood("judged")
        except (NotUnderstood, Already, Unreadable):
            refused += 1
            assert {path.name: path.read_bytes() for path in host.pam_d.iterdir()} == before
            continue
        backups, step = host.root / "backups", dice.choice((0, dice.randrange(1, 60)))
        killed += killed_at(step, partial(whole_run, backups, made))
        for change in made:
            # One that is not changed yet is as it was: the password alone.
            new = change.file.read_bytes()
            assert new in (change.before, change.after), number
            if new == change.after:
                changed += 1
                service = change.file.name
                lines += asked(host, service, tmp_path / f"{number}-{service}")
                told += [f"seed {number}: {service}: {case}" for case in CASES]
                assert disabled(change.after) == change.before
        if backups.exists() and any(c.file.read_bytes() == c.after for c in made):
            copy = max(backups.iterdir())
            kept = {path.name: path.read_bytes() for path in copy.iterdir()}
            assert kept == {change.file.name: change.before for change in made}
    got_in = [code == 0 for code in logins(lines)]
    wanted = [inside for _word, _code, inside in CASES] * changed
    wrong = [
        f"{text}, got in: {inside}"
        for text, inside, right in zip(told, got_in, wanted, strict=True)
        if inside != right
    ]
    assert wrong == []
    print(f"{changed} stacks changed, {refused} runs refused, {killed} killed")
    assert changed > 20
    assert refused > 20
    assert killed > 5


def test_undo_after_mistakes(debian: Host, tmp_path: Path) -> None:
    """What was printed before the first file was changed holds, whatever was done to them since."""
    made = base.changes(debian.places, *SERVICES)
    before = {path.name: path.read_bytes() for path in debian.pam_d.iterdir()}
    whole_run(tmp_path / "backups", made)
    Mistaken(debian, random.Random(3)).make(*SERVICES)
    (debian.pam_d / "login").unlink()
    undone(debian.pam_d, next((tmp_path / "backups").iterdir()))
    common = {"common-auth", "common-account", "other", "su-l", "cron"}
    now = {path.name: path.read_bytes() for path in debian.pam_d.iterdir()}
    assert {name: now[name] for name in now if name not in common} == {
        name: before[name] for name in before if name not in common
    }
