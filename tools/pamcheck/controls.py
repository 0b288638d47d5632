# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a line's control does with each code, as ``_pam_parse_control`` of libpam 1.5.2 reads it.

Verdicts are libpam's own. This is to name lines, and to see which codes a line tells apart.
"""

from __future__ import annotations

import re
from functools import cache

#: The codes that a control can name, in libpam's order (libpam/pam_tokens.h).
CODES = (
    "success",
    "open_err",
    "symbol_err",
    "service_err",
    "system_err",
    "buf_err",
    "perm_denied",
    "auth_err",
    "cred_insufficient",
    "authinfo_unavail",
    "user_unknown",
    "maxtries",
    "new_authtok_reqd",
    "acct_expired",
    "session_err",
    "cred_unavail",
    "cred_expired",
    "cred_err",
    "no_module_data",
    "conv_err",
    "authtok_err",
    "authtok_recover_err",
    "authtok_lock_busy",
    "authtok_disable_aging",
    "try_again",
    "ignore",
    "abort",
    "authtok_expired",
    "module_unknown",
    "bad_item",
    "conv_again",
    "incomplete",
)
_ACTIONS = ("ignore", "ok", "done", "bad", "die", "reset")
#: A jump beyond this many lines is one beyond the end, whatever its number.
_FAR = 100_000

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
        action: Action = pair["word"] if number is None else min(int(number[:9]), _FAR)
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
    """What is done with `code`, None for a module that is missing; "bad" where it is not clear."""
    try:
        return actions(control)["module_unknown" if code is None else code]
    except Wrong:
        return "bad"


def jumps(control: str) -> list[int]:
    """How many lines each jump of `control` goes over."""
    try:
        return [act for act in set(actions(control).values()) if isinstance(act, int)]
    except Wrong:
        return []


def doubled(control: str) -> str:
    """`control` with each jump over twice as many lines."""
    if control.lower() in _WORDS:
        return control

    def twice(found: re.Match[str]) -> str:
        return f"{found[1]}{2 * min(int(found[2][:9]), _FAR)}"

    return _JUMP.sub(twice, control)
