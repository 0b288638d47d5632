# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Which line to change, and how to write it.

No line is proposed that was not tried: libpam runs the stack with it. People who got in with both
still do, the way in that it is about is shut, and no other one is open.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from dataclasses import replace

from ..language import _
from . import edits
from .controls import action, jumps
from .evaluation import evaluate
from .finding import Finding
from .libpam import LibpamFailed, Ran
from .lines import Line
from .modules import asks_for_ukey, is_authfail, is_decoy, is_password, is_ukey, only_refuses
from .stack import Stack
from .table import Flips, Key, Table, Verdict
from .world import Password, Ukey

#: The control that lets in only people who have the factor of the line.
STRICT = "[success=ok default=die]"

#: A way in: a cell of the table, and what is out of the ordinary.
Way = tuple[Key, Flips]
#: What to do, and the line to write; an empty line: what to do says it all.
Cure = tuple[str, str]

_BOTH = (Password.RIGHT, Ukey.VERIFIED)


def blame(table: Table, ran: Ran, password: Password, shut: Collection[Way]) -> tuple[Line, Cure]:
    """The line to change where `ran` let in somebody who should stay out, so that the ways of
    `shut` are shut."""
    modules = {module.index: module for module in table.stack.modules()}
    trace = [modules[index] for index in ran.trace if index in modules]
    wanted = is_password if password is Password.WRONG else asks_for_ukey
    asked = [module for module in trace if wanted(module.line)]
    if asked:
        # It was asked, and its failure was passed over; or else the line that let in is in the way.
        line, last = asked[-1].line, trace[-1].line
        strict = _strict(table, line, shut)
        if strict == _example() and not is_password(last) and not is_ukey(last):
            other = cure(table, last, shut)
            return (line, strict) if other == strict else (last, other)
        return line, strict
    ahead = [module for module in modules.values() if wanted(module.line)]
    first = ahead[0].index if ahead else 1 + max(modules, default=0)
    before = [module for module in trace if module.index < first] or trace
    if not before:
        return table.stack.modules()[0].line, _example()
    decoys = [module.line for module in before if is_decoy(module.line)]
    last = decoys[-1] if decoys and not ahead else before[-1].line
    if not ahead and (is_password(last) or is_ukey(last)):
        return last, _example()
    if ahead and jumps(last.control) and action(last.control, "success") != "done":
        text = _("count again: no jump may go over {place}")
        return last, (text.format(place=ahead[0].line.place), "")
    return last, cure(table, last, shut)


def cure(table: Table, line: Line, shut: Collection[Way]) -> Cure:
    """What to do with a line that ends the stack too early."""
    if is_password(line) or is_ukey(line) or only_refuses(line):
        return _strict(table, line, shut)
    if not line.loadable:
        return mended(line)
    return _taken_out(table, line, shut)


def written(
    table: Table,
    line: Line,
    texts: Sequence[str],
    shut: Collection[Way] = (),
    *,
    may: Collection[Key] = (),
) -> Table | None:
    """The table with `texts` in place of `line`, if that can be proposed. `may`: cells that may
    open."""
    return tried(table, edits.changed(table.stack, [(line, texts)]), shut, may=may)


def tried(
    table: Table, stack: Stack, shut: Collection[Way] = (), *, may: Collection[Key] = ()
) -> Table | None:
    """The table of `stack`, which is that of `table` changed, where that is better."""
    if not table.complete:
        return None
    try:
        after = evaluate(stack, table.places, table.place)
    except LibpamFailed:
        return None
    if not after.complete:
        return None
    shut_out = not table.admitted <= after.admitted or after.cells[_BOTH].verdict is Verdict.OUT
    opened = after.root_passes > table.root_passes or any(
        not any(old <= flips for old in table.cells[key].ways)
        for key, cell in after.cells.items()
        if key != _BOTH and key not in may
        for flips in cell.ways
    )
    still = any(way <= flips for key, flips in shut for way in after.cells[key].ways)
    return None if shut_out or opened or still else after


def proven(table: Table, finding: Finding) -> Finding:
    """A finding of the lines alone, without the line to add to its file if that harms."""
    if finding.kind != "jump-leaves-file":
        return finding
    lines = [module.line for module in table.stack.modules()]
    file = next(line.file for line in lines if line.place == finding.place)
    last = [line for line in lines if line.file == file][-1]
    if written(table, last, [str(last), finding.line]):
        return finding
    remedy, line = _example()
    return replace(finding, remedy=remedy, line=line)


def mended(line: Line) -> Cure:
    """What to do with a name that no module can have."""
    if "\r" in line.module:
        text = _("end the lines of the file as this system does:")
        return text, f"sed -i 's/\\r$//' {shlex.quote(str(line.file))}"
    if "." in line.name:
        return _("mend the name: a module's ends with .so"), ""
    return _("write:"), str(_with_suffix(line))


def _with_suffix(line: Line) -> Line:
    return line if line.loadable else replace(line, module=f"{line.module.rstrip()}.so")


def _strict(table: Table, line: Line, shut: Collection[Way]) -> Cure:
    """Write it strict; or let it jump to the ukey's line, over the lines that refuse everybody
    else."""
    line = _with_suffix(line)
    controls = [STRICT]
    if action(line.control, "success") == "done":
        ahead = [module.line for module in table.stack.modules() if asks_for_ukey(module.line)]
        distance = edits.to_ukey(table.stack, line, ahead)
        controls += [f"[success={distance} default=ignore]"] if distance else []
    for control in controls:
        text = line.with_control(control)
        if written(table, line, [text], shut):
            return _("write:"), text
    return _example()


def _taken_out(table: Table, line: Line, shut: Collection[Way]) -> Cure:
    """Take it out, and make the jumps shorter that go over it."""
    jumping = edits.over(table.stack, line)
    changes = [(line, []), *((each, [text]) for each, text in jumping)]
    if not tried(table, edits.changed(table.stack, changes), shut):
        return _example()
    if not jumping:
        return _("take the line out"), ""
    if len(jumping) == 1:
        text = _("take the line out, and in place of {place}, which jumps over it, write:")
        return text.format(place=jumping[0][0].place), jumping[0][1]
    places = ", ".join(each.place for each, _text in jumping)
    text = _("take the line out, and make the jumps over it one line shorter: {places}")
    return text.format(places=places), ""


def _example() -> Cure:
    return _("use one of pam.d-examples"), ""


def refuses_all(line: Line) -> bool:
    """Whether nobody gets past it, as is meant of the last line, of a decoy, and of faillock's
    count."""
    codes = ["auth_err"] if line.name == "pam_deny" or is_decoy(line) else []
    if is_authfail(line):
        codes = ["ignore", "auth_err"]
    return bool(codes) and all(action(line.control, code) in ("bad", "die") for code in codes)


def without(line: Line, word: str) -> str:
    """`line` under a strict control, and without an option."""
    words = line.with_control(STRICT).split(" ")
    return " ".join(each for each in words if each != word)
