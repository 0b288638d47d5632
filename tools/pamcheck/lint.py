# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Faults of a stack's files and lines, no matter who gets in by them."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import replace

from ..language import _
from . import onhost
from .controls import Wrong, actions, jumps, uncountable
from .finding import Finding, Severity
from .lines import Fault, Line
from .modules import exec_words, is_gate, is_interpreter, is_password, is_ukey, meant, ukey_options
from .places import Places
from .programs import SETUID
from .stack import GiveUp, Group, Lost, Module, Part, Stack, counted, walk

#: Files that such programs' stacks include.
_INCLUDED = ("common-auth", "system-auth")


def findings(stack: Stack, places: Places, *, installed: bool) -> list[Finding]:
    """The faults that can be seen without running it. `installed`: it is in use on this host."""
    found = [*_broken(stack), *_words(stack), *_interpreters(stack, places)]
    found += [*_jumps(stack), *_split(stack), *_gates(stack), *_nullok(stack)]
    found += onhost.missing(stack, places if installed else None)
    found += onhost.changeable(stack, places, installed=installed)
    return found


# -- lines that libpam does not understand


def _broken(stack: Stack) -> Iterator[Finding]:
    for part in (*walk(stack.parts), *walk(stack.other)):
        if isinstance(part, Group) and part.lost is not None:
            yield _lost(part, part.lost)
        elif isinstance(part, GiveUp):
            yield _given_up(part.line)
    for line in stack.lines:
        if line.includes:
            continue
        if line.fault in (Fault.TYPE, Fault.CONTROL_MISSING, Fault.MODULE_MISSING):
            texts = {
                Fault.TYPE: _(
                    "'{word}' is no type: libpam refuses everybody who comes to this line"
                ),
                Fault.CONTROL_MISSING: _("the line has no control: libpam refuses here"),
                Fault.MODULE_MISSING: _("the line names no module: libpam refuses here"),
            }
            yield Finding(
                line.fault.value,
                Severity.SHUT,
                line.place,
                texts[line.fault].format(word=line.type),
                _("write the line as TYPE CONTROL MODULE, or take it out"),
            )


def _lost(group: Group, lost: Lost) -> Finding:
    texts = {
        Lost.MISSING: _("the file that is included, {file}, does not exist: libpam refuses here"),
        Lost.UNREADABLE: _("the file that is included, {file}, cannot be read"),
        Lost.LOOP: _(
            "the file that is included, {file}, includes this one again: nothing is known about "
            "who gets in"
        ),
        Lost.DEEP: _("the file that is included, {file}, is nested too deep for libpam"),
        Lost.NAMELESS: _("the line names no file to include: libpam crashes on it"),
    }
    text = texts[lost].format(file=group.line.module)
    remedy = _("name a file that is there, or take the line out")
    return Finding(lost.value, Severity.SHUT, group.line.place, text, remedy)


def _given_up(line: Line) -> Finding:
    texts = {
        Fault.TOO_LONG: _("a line of over 1023 bytes, which libpam cuts in two"),
        Fault.CONTINUED: _("the last line ends with a backslash: libpam gives the file up"),
        Fault.MODULE_MISSING: _("a module without a name: libpam gives the file up"),
    }
    fault = line.fault if line.fault in texts else Fault.MODULE_MISSING
    remedy = _("mend the line, or take it out")
    return Finding(fault.value, Severity.SHUT, line.place, texts[fault], remedy)


def _words(stack: Stack) -> Iterator[Finding]:
    for line in stack.lines:
        if line.includes or line.fault is not None:
            continue
        try:
            actions(line.control)
        except Wrong as wrong:
            text = _("'{word}' is no control that libpam knows: it takes all for a failure")
            yield Finding(
                "unknown-control",
                Severity.SHUT,
                line.place,
                text.format(word=wrong),
                _("use required, requisite, sufficient, optional or [code=action ...]"),
            )
        if line.type == "auth" and uncountable(line.control):
            text = _("a jump by more than libpam can count: nothing is known about who gets in")
            yield Finding(
                "jump-too-far", Severity.OPEN, line.place, text, _("use one of pam.d-examples")
            )
        if is_ukey(line):
            yield from _options(line)


def _options(line: Line) -> Iterator[Finding]:
    options = ukey_options(line)
    for word in options:
        if not meant(word):
            text = _("pam_ukey does not know the option '{word}', and lets nobody in")
            remedy = _(
                "options: nouserok, uniform, decoy, timeout=SECONDS, change_pin, silent, debug,"
                " take_ssh_key (alone)"
            )
            yield _option(line, text.format(word=word), remedy)
    if "nouserok" in options and {"uniform", "decoy"} & set(options):
        text = _("uniform hides who is enrolled and nouserok shows it: pam_ukey lets nobody in")
        yield _option(line, text, _("leave one of the two out"))


def _option(line: Line, text: str, remedy: str) -> Finding:
    return Finding("unknown-option", Severity.SHUT, line.place, text, remedy)


# -- interpreters


def _interpreters(stack: Stack, places: Places) -> Iterator[Finding]:
    asked = stack.service in SETUID or stack.service in _INCLUDED
    if not asked and not _is_setuid(stack.service, places):
        return
    for line in stack.lines:
        if is_interpreter(line):
            text = _("an interpreter in the stack of a setuid program: {module} in {service}")
            native = ""
            if is_ukey(line):
                control = f"[{line.control}]" if line.bracketed else line.control
                native = " ".join((line.type, control, "pam_ukey.so", *ukey_options(line)))
            yield Finding(
                "interpreter-in-setuid",
                Severity.OPEN,
                line.place,
                text.format(module=line.module, service=stack.service),
                _("write:") if native else _("take the line out"),
                native,
            )


def _is_setuid(service: str, places: Places) -> bool:
    """Whether a program of the service's name is setuid root."""
    for folder in ("usr/bin", "bin", "usr/sbin", "sbin"):
        try:
            found = (places.root / folder / service).stat()
        except (OSError, ValueError):
            continue
        return bool(found.st_mode & stat.S_ISUID) and found.st_uid == 0
    return False


# -- jumps, and what stands where


def _jumps(stack: Stack) -> Iterator[Finding]:
    yield from _jumps_of(stack.running, stack.running)


def _jumps_of(parts: tuple[Part, ...], level: tuple[Part, ...]) -> Iterator[Finding]:
    """`level`: the parts that libpam counts together, those of plain includes among them."""
    lines = list(counted(level))
    for part in parts:
        if isinstance(part, Group):
            yield from _jumps_of(part.parts, part.parts if part.substack else level)
        elif isinstance(part, Module) and part.line.fault is None:
            after = lines[lines.index(part) + 1 :]
            counts = () if uncountable(part.line.control) else jumps(part.line.control)
            for count in sorted(counts):
                yield from _jump(part, after, count)


def _jump(module: Module, after: list[Module | Group], count: int) -> Iterator[Finding]:
    line = module.line
    if count > len(after):
        text = _("a jump by {count} leads beyond the end, where libpam refuses")
        yield Finding(
            "jump-too-far",
            Severity.SHUT,
            line.place,
            text.format(count=count),
            _("count again: {left} lines follow").format(left=len(after)),
        )
        return
    target = after[count].line if count < len(after) else line
    if target.file != line.file:
        text = _("a jump by {count} leaves the file and lands at {place}")
        yield Finding(
            "jump-leaves-file",
            Severity.NOTE,
            line.place,
            text.format(count=count, place=target.place),
            _("let it land in its own file, whose last line may be:"),
            "auth required pam_permit.so",
        )


def _split(stack: Stack) -> Iterator[Finding]:
    lines = [module.line for module in stack.modules()]
    ukeys = [line for line in lines if is_ukey(line)]
    passwords = [line for line in lines if is_password(line)]
    files = {line.file for line in passwords}
    apart = [line for line in ukeys if passwords and line.file not in files]
    if apart:
        text = _("password and ukey stand in two files: a change of {file} can open this one")
        yield Finding(
            "split-files",
            Severity.NOTE,
            apart[0].place,
            text.format(file=passwords[-1].file),
            _("put both into one file, as pam.d-examples do"),
        )


def _gates(stack: Stack) -> Iterator[Finding]:
    for module in stack.modules():
        if is_gate(module.line) and "seteuid" not in exec_words(module.line)[0]:
            yield Finding(
                "gate-without-seteuid",
                Severity.OPEN,
                module.line.place,
                _("the break-glass gate runs as the caller, who can make it say yes"),
                _("write:"),
                str(replace(module.line, args=("seteuid", *module.line.args))),
            )


_NULLOK = {"nullok", "nullok_secure"}


def _nullok(stack: Stack) -> Iterator[Finding]:
    lines = [module.line for module in stack.modules()]
    if not any(is_ukey(line) for line in lines):
        return
    for line in lines:
        if is_password(line) and _NULLOK & set(line.args):
            strict = replace(line, args=tuple(w for w in line.args if w not in _NULLOK))
            yield Finding(
                "nullok",
                Severity.NOTE,
                line.place,
                _("an account without a password has one factor less here (nullok)"),
                _("write:"),
                str(strict),
            )
