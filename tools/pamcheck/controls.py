# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a line's control does with each code, as ``_pam_parse_control`` of libpam 1.5.2 reads it.

Verdicts are libpam's own. This module serves to name lines, and to see which codes a line tells
apart.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import cache

from keyservice.contract.pam import PamCode

_SPELLED = {PamCode.AUTHTOK_RECOVERY_ERR: "authtok_recover_err"}
#: The codes that a control can name, in libpam's order (libpam/pam_tokens.h).
CODES = tuple(_SPELLED.get(code, code.name.lower()) for code in PamCode)
#: Those that tell a module's outcomes apart in most controls.
_USUAL = ("success", "auth_err", "ignore")
#: The codes with which modules fail, the likeliest first.
_FAILURES = ("user_unknown", "service_err", "system_err", "buf_err", "auth_err", "perm_denied")
#: The last has the program call again, and the other stands for a module that is missing.
_NOT_RETURNED = ("module_unknown", "incomplete")
_ACTIONS = ("ignore", "ok", "done", "bad", "die", "reset")
#: A jump beyond this many lines is one beyond the end, whatever its number.
_FAR = 100_000
#: A C int.
_LARGEST = 2**31 - 1

#: An action: one of the words, or how many lines are jumped over.
Action = str | int

_WORDS: dict[str, dict[str, Action]] = {
    "required": {"success": "ok", "new_authtok_reqd": "ok", "ignore": "ignore", "default": "bad"},
    "requisite": {"success": "ok", "new_authtok_reqd": "ok", "ignore": "ignore", "default": "die"},
    "optional": {"success": "ok", "new_authtok_reqd": "ok", "default": "ignore"},
    "sufficient": {"success": "done", "new_authtok_reqd": "done", "default": "ignore"},
}
_PAIR = re.compile(
    r"[ \t\n\v\f\r]*(?P<code>[a-z_]+?)[ \t\n\v\f\r]*=[ \t\n\v\f\r]*"
    rf"(?:(?P<word>{'|'.join(_ACTIONS)})|(?P<number>[0-9]+))"
)
_BLANK = " \t\n\v\f\r"
_JUMP = re.compile(rf"(=[{_BLANK}]*)([0-9]+)")


class Wrong(ValueError):
    """A control that libpam does not understand: it takes every code for a failure."""


@cache
def actions(control: str) -> dict[str, Action]:
    """What `control`, without its brackets, does with each code. Raises :class:`Wrong`."""
    word = _WORDS.get(control.lower())
    if word is not None:
        return _filled(dict(word))
    found: dict[str, Action] = {}
    at = 0
    while control[at:].strip(_BLANK):
        pair = _PAIR.match(control, at)
        if pair is None:
            raise Wrong(control[at:].strip(_BLANK))
        code, number = pair["code"], pair["number"]
        if code not in CODES and code != "default":
            raise Wrong(code)
        action: Action = pair["word"] if number is None else min(int(number), _FAR)
        if action == 0:
            raise Wrong(pair[0].strip(_BLANK))
        if code == "default":
            found = _filled({**found, "default": action})
        else:
            found[code] = action
        at = pair.end()
    return _filled({**found, "default": "bad"})


def _filled(found: dict[str, Action]) -> dict[str, Action]:
    """All codes that are not in `found` get its default."""
    default = found.pop("default")
    return {code: found.get(code, default) for code in CODES}


def action(control: str, code: str | None) -> Action:
    """The action for `code`, None for a module that is missing; "bad" where it is not clear."""
    try:
        return actions(control)["module_unknown" if code is None else code]
    except Wrong:
        return "bad"


def alike(control: str, code: str | None) -> object:
    """A value that is the same for codes that the control treats alike: whether somebody gets in is
    then the same, too."""
    return action(control, code), code in ("success", "ignore") and code


def classes(control: str) -> list[str]:
    """A code for everything that `control` tells apart, the usual ones first."""
    found: dict[object, str] = {}
    for code in (*_USUAL, *CODES):
        if code not in _NOT_RETURNED and not _adds_nothing(control, code):
            found.setdefault(alike(control, code), code)
    return list(found.values())


def _adds_nothing(control: str, code: str) -> bool:
    """A failure that is taken for a success ends as that failure, unless another line forgets it.
    If somebody gets in by it, they also get in by a code that is noted, or passed over."""
    if code in _USUAL or action(control, code) not in ("ok", "done"):
        return False
    return any(action(control, usual) in ("bad", "ignore") for usual in _USUAL)


def named(control: str) -> list[str]:
    """The codes that a control in brackets names, but for what every control passes over."""
    if control.lower() in _WORDS:
        return []
    try:
        made = actions(control)
    except Wrong:
        return []
    found = [pair["code"] for pair in _PAIR.finditer(control)]
    codes = [code for code in dict.fromkeys(found) if code in CODES and code not in _NOT_RETURNED]
    return [code for code in codes if (code, made[code]) != ("ignore", "ignore")]


def unnamed(control: str, besides: Collection[str]) -> list[str]:
    """A code that falls to the default of a control in brackets, none of `besides`; none where one
    of those does."""
    if control.lower() in _WORDS:
        return []
    try:
        made = actions(control)
    except Wrong:
        return []
    names = {pair["code"] for pair in _PAIR.finditer(control)}
    left = [code for code in (*_FAILURES, *CODES) if code not in {*names, *_NOT_RETURNED}]
    if not left or set(left) & set(besides):
        return []
    fresh = [code for code in left if code not in ("success", "ignore")]
    reached = {made[code] for code in besides}
    return [code for code in fresh[:1] if made[code] not in {*reached, "ok", "done"}]


def passed_over(control: str, codes: Sequence[str]) -> str:
    """The code of `codes`, of which the first is a success, by which a module has no say."""
    strong = action(control, "success") not in ("ok", "ignore")
    found = [code for code in codes[1:] if action(control, code) == "ignore"]
    return found[0] if found and (strong or found[0] != "ignore") else codes[0]


def jumps(control: str) -> list[int]:
    """How many lines each jump of `control` goes over."""
    try:
        return [act for act in set(actions(control).values()) if isinstance(act, int)]
    except Wrong:
        return []


def uncountable(control: str) -> bool:
    """Whether a number of `control` is larger than libpam's: what it makes of that may be any
    action, such as "done" of 4294967294."""
    if control.lower() in _WORDS:
        return False
    return any(int(found[2]) > _LARGEST for found in _JUMP.finditer(control))


def doubled(control: str) -> str:
    """`control` with each jump over twice as many lines."""
    if control.lower() in _WORDS:
        return control

    def twice(found: re.Match[str]) -> str:
        return f"{found[1]}{2 * min(int(found[2]), _FAR)}"

    return _JUMP.sub(twice, control)
