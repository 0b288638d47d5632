# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What enable and disable share: which files would change and how, the question, the change."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tools import output
from tools.command import Failure, guard
from tools.exits import Exit
from tools.language import N_, _, reason
from tools.output import Colour, Value
from tools.pamcheck.finding import Finding
from tools.pamcheck.places import Places
from tools.pamcheck.reading import Unreadable
from tools.terminal import confirmed

from . import files, whole
from .block import Already, NotUnderstood
from .files import Change

#: Where it is written what to do by hand.
PAGE = N_("docs/turn-on.md says how to do it by hand; 'ukey pam check' says who gets in.")

Edit = Callable[[str, Path, bytes], bytes]

KEYS = (
    ("services", N_("the services whose stacks are changed, or would be")),
    ("files", N_("the files that are")),
    ("diff", N_("the change, as diff -u has it; empty where there is none")),
    ("changed", N_("whether it was made; false with --dry-run")),
    ("backup", N_("the folder with the files as they were, or null")),
    ("undo", N_("the command that puts them back, in any shell; or null")),
    ("findings", N_("why it is refused: of each service, kind, place and text")),
    ("warnings", N_("what lets people in without PAM, as a public key alone by sshd")),
)


@dataclass(frozen=True)
class Wanted:
    """What the command line says."""

    enable: bool
    all: bool
    services: tuple[str, ...]
    dry_run: bool
    yes: bool
    json: bool


class Flow:
    """One change, from the plan to the end; ``facts`` are what ``--json`` prints."""

    def __init__(self, wanted: Wanted, places: Places) -> None:
        self._wanted, self._places = wanted, places
        self.changes: list[Change] = []
        self.facts: dict[str, Value] = {
            "services": list(wanted.services),
            "files": [],
            "diff": "",
            "changed": False,
            "backup": None,
            "undo": None,
            "findings": [],
            "warnings": [],
        }

    def plan(self, edit: Edit) -> bool:
        """Fill ``changes``; False where all is as it is wanted. Raises :class:`Failure`."""
        try:
            if self._wanted.all:
                with suppress(Already):
                    self.changes = whole.plan(enable=self._wanted.enable)
            else:
                for service in self._wanted.services:
                    self._one(service, edit)
        except whole.NotThere as why:
            text = _("All services at once cannot be done here: {reason}.").format(reason=why)
            raise self._failure(text, Exit.FAILED, hint=_(PAGE)) from None
        except NotUnderstood as why:
            text = _("Nothing was changed: {reason}.").format(reason=why)
            raise self._failure(text, Exit.STACK, hint=_(PAGE)) from None
        except OSError as error:
            text = _("Nothing was changed: {reason}.").format(reason=reason(error))
            raise self._failure(text, Exit.FAILED) from None
        self.facts["files"] = [str(change.file) for change in self.changes]
        self.facts["diff"] = "\n".join(change.diff() for change in self.changes)
        return bool(self.changes)

    def _one(self, service: str, edit: Edit) -> None:
        file = self._places.folders[0] / service
        try:
            before = files.look(file)
            with suppress(Already):
                self.changes.append(Change(file, before, edit(service, file, before)))
        except NotUnderstood as why:
            text = _("{file} is not changed: {reason}.").format(file=file, reason=why)
            raise self._failure(text, Exit.STACK, hint=_(PAGE)) from None
        except FileNotFoundError:
            text = _("There is no file {file}.").format(file=file)
            raise self._failure(text, Exit.USAGE) from None
        except (OSError, Unreadable) as error:
            number = error.number if isinstance(error, Unreadable) else error.errno
            if number in (errno.ELOOP, errno.EMLINK):
                text = _(
                    "{file} is not changed: it is a link, or has another name too, by which others "
                    "would be changed. Make it a file of its own: cp --remove-destination"
                )
                raise self._failure(text.format(file=file), Exit.STACK, hint=_(PAGE)) from None
            told = reason(error.number if isinstance(error, Unreadable) else error)
            text = _("{file} is not changed: {reason}.").format(file=file, reason=told)
            raise self._failure(text, Exit.STACK, hint=_(PAGE)) from None

    def forbid(self, found: Sequence[tuple[str, Finding]]) -> None:
        """Raises :class:`Failure` where there is anything."""
        if not found:
            return
        self.facts["findings"] = [
            {"service": service, "kind": each.kind, "place": each.place, "text": each.text}
            for service, each in found
        ]
        lines = []
        for service, each in found:
            lines.append(f"{service}  {each.severity}  {each.place}: {each.text}")
            lines += [f"  → {each.remedy} {each.line}".rstrip()] if each.remedy else []
        raise self._failure(
            _("Nothing was changed: with it, a login would be open, or shut for everybody."),
            Exit.STACK,
            hint="\n".join(lines),
        )

    def warn(self, found: Sequence[Finding]) -> None:
        """Of ways in that stay beside PAM, before the question."""
        self.facts["warnings"] = [f"{each.place}: {each.text}" for each in found]
        for each in found:
            output.say(f"{each.text} → {each.remedy}", Colour.WARNING)

    def show(self) -> None:
        if not self._wanted.json:
            diff = str(self.facts["diff"]).expandtabs()
            print(output.printable(diff, lines=True), end="", flush=True)

    def nothing(self, text: str) -> Exit:
        """An end without a change."""
        if self._wanted.json:
            output.emit({**self.facts, "ok": True})
        else:
            output.say(text)
        return Exit.OK

    def carry_out(self, question: str) -> Exit:
        """Ask, keep what there is, change it. Raises :class:`Failure`."""
        if not self._wanted.yes and not confirmed(question):
            raise self._failure(
                _("Nothing was changed."),
                Exit.CANCELLED,
                hint=_("Answer y, or say --yes on the command line."),
            )
        folder = self._places.folders[0]
        guard.defer(lambda: None)  # Ctrl-C waits for the end: of many files all are changed
        try:
            with files.locked(files.BACKUPS):
                names = [change.file for change in self.changes]
                now = datetime.now().astimezone()
                backup = files.keep(names, files.BACKUPS, now)
                undo = files.undo(backup, folder)
                if self._wanted.all:  # what pam-auth-update remembers of it
                    state = files.keep(whole.state(), files.BACKUPS, now, "var-lib-pam")
                    undo += f" && {files.undo(state, whole.STATE)}"
                self.facts |= {"backup": str(backup), "undo": undo}
                text = _(
                    "To undo it, in any root shell, also of a rescue system after chroot to this "
                    "host's disk: {command}"
                )
                output.say(text.format(command=undo), Colour.BOLD)
                self._write()
        except BlockingIOError:
            text = _("Nothing was changed: another 'ukey pam' is at work.")
            raise self._failure(text, Exit.TOO_LATE) from None
        except files.Changed as file:
            text = _("{file} was changed by somebody else meanwhile.").format(file=file)
            raise self._failure(text, Exit.FAILED, hint=self._state()) from None
        except OSError as error:
            text = _("It could not be written: {reason}.").format(reason=reason(error))
            raise self._failure(text, Exit.FAILED, hint=self._state()) from None
        self.facts["changed"] = True
        if self._wanted.json:
            output.emit({**self.facts, "ok": True})
        else:
            done = _("Changed: {files}.").format(files=", ".join(map(str, names)))
            print(output.paint(output.printable(done), Colour.GOOD))
        return Exit.OK

    def _write(self) -> None:
        if self._wanted.all:
            whole.carry_out(self.changes, enable=self._wanted.enable)
            return
        for change in self.changes:
            files.replace(change)

    def _state(self) -> str:
        """Which files are the new ones, after a failure."""
        new = []
        for change in self.changes:
            with suppress(OSError):
                new += [str(change.file)] if files.look(change.file) == change.after else []
        if not new:
            return _("Nothing was changed.")
        return _("Changed already: {files}. The command above undoes it.").format(
            files=", ".join(new)
        )

    def _failure(self, text: str, exit_: Exit, *, hint: str = "") -> Failure:
        return Failure(text, exit_, hint=hint, facts=self.facts)
