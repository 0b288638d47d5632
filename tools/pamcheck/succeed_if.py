# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""pam_succeed_if: what its conditions say of whom."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from ..language import _
from .behaviour import Behaviour, Code, always, by_caller, switch
from .controls import action
from .lines import Line
from .programs import CALLERS
from .world import PERSON, SYSTEM, Role

#: The group whose members break-glass is for, as a condition's key.
BREAKGLASS = "succeed_if user ingroup ukey-breakglass"

_FLAGS = {"quiet", "quiet_success", "quiet_fail", "debug", "audit", "use_uid"}
_TEXTS = ("user", "shell", "home", "ruser", "rhost", "tty", "service")
_NUMBERS = ("uid", "gid")
_COMPARED = ("lt", "<", "le", "<=", "gt", ">", "ge", ">=", "eq", "ne")
_NEGATIVE = {"!=": "=", "ne": "eq", "notin": "in", "notingroup": "ingroup", "!~": "=~"}
_NEGATIVE |= {"notinnetgr": "innetgr"}
_NUMBER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]+|[0-9]+)")
#: uids that stand for others: root, a system user, people.
_ROOT, _SYSTEM, _FIRST, _LAST = 0, 99, 1001, 60000
#: What is compared of whoever calls: root's, and of somebody whom no line names.
_CALLERS = {"uid": ("0", "1001"), "user": ("root", "\0")}
_OPPOSITE = {"success": "auth_err", "auth_err": "success"}


def behaviour(line: Line, service: str) -> Behaviour:
    words = _expression(line)
    if len(words) % 3:
        return always("service_err")
    uses_uid = "use_uid" in line.args
    left: list[tuple[str, Behaviour]] = []
    for at in range(0, len(words), 3):
        made = _condition(line, service, *words[at : at + 3], uses_uid=uses_uid)
        code = None if made.variables or _by_person(line) else made.code({})
        if code not in (None, "success"):
            return made
        if code is None:
            left.append((" ".join(words[at : at + 3]), made))
    if not left:
        return always("success")
    if len(left) == 1:
        return left[0][1]
    return _other(line, " ".join(key for key, _made in left), uses_uid=uses_uid)


def tells_system_users(line: Line) -> bool:
    """Whether it tells people from system users by their uid."""
    return line.name == "pam_succeed_if" and _by_person(line)


def _expression(line: Line) -> list[str]:
    return [word for word in line.args if word not in _FLAGS]


def _by_person(line: Line) -> bool:
    words = _expression(line)
    if "use_uid" in line.args or len(words) != 3 or words[0] != "uid":
        return False
    return _compare(words[1], words[2], _SYSTEM) != _compare(words[1], words[2], _FIRST)


def _condition(
    line: Line, service: str, what: str, how: str, value: str, *, uses_uid: bool
) -> Behaviour:
    if what not in (*_TEXTS, *_NUMBERS):
        return always("service_err")
    key = " ".join((what, how, value))
    if how in _COMPARED:
        if what not in _NUMBERS or not _NUMBER.fullmatch(value):
            return always("service_err")
        return _number(line, service, what, how, value, uses_uid=uses_uid)
    if what == "service":
        return always(_matches(service, how, value))
    if uses_uid and what in _CALLERS and how not in ("ingroup", "notingroup"):
        root, other = (_matches(each, how, value) for each in _CALLERS[what])
        if service not in CALLERS:
            return always(root)
        if root != other:
            return by_caller(other, root)
    if what in ("user", "uid", "gid", "ruser"):
        return _membership(what, how, value, uses_uid=uses_uid)
    return _other(line, key, uses_uid=uses_uid)


def _matches(text: str, how: str, value: str) -> Code:
    positive = _NEGATIVE.get(how, how)
    if positive == "=":
        found = text == value
    elif positive == "in":
        found = text in value.split(":")
    elif positive == "=~":
        found = fnmatchcase(text, value)
    else:
        return "service_err"
    return "success" if found == (how == positive) else "auth_err"


def _compare(how: str, value: str, number: int) -> Code:
    if how not in _COMPARED or not _NUMBER.fullmatch(value):
        return None
    bound = _bound(value)
    found = {
        "lt": number < bound,
        "le": number <= bound,
        "gt": number > bound,
        "ge": number >= bound,
        "eq": number == bound,
        "ne": number != bound,
    }[{"<": "lt", "<=": "le", ">": "gt", ">=": "ge"}.get(how, how)]
    return "success" if found else "auth_err"


def _bound(value: str) -> int:
    """As strtol has it: a zero in front means octal."""
    digits = value.lstrip("+-")
    base = 16 if digits[:2].lower() == "0x" else 8 if digits[0] == "0" else 10
    try:
        return int(value, base)
    except ValueError:
        return 0


def _number(
    line: Line, service: str, what: str, how: str, value: str, *, uses_uid: bool
) -> Behaviour:
    """A look at an id. People's are from 1000 on; those of system users below."""
    if uses_uid and what == "uid":
        root, caller = _compare(how, value, _ROOT), _compare(how, value, _FIRST)
        if service not in CALLERS or root == caller:
            return always(root)
        return by_caller(caller, root)
    if not uses_uid and _by_person(line):
        code, other = _compare(how, value, _FIRST), _compare(how, value, _SYSTEM)
        return Behaviour(lambda world: other if world.get(PERSON) == SYSTEM else code)
    codes = {_compare(how, value, each) for each in (_ROOT, _SYSTEM, _FIRST, _LAST)}
    ordinary = _compare(how, value, _FIRST)
    if len(codes) == 1 and how not in ("eq", "ne"):
        return always(ordinary)
    return _member(" ".join((what, how, value)), usual=ordinary == "success", uses_uid=uses_uid)


def _membership(what: str, how: str, value: str, *, uses_uid: bool) -> Behaviour:
    positive = _NEGATIVE.get(how, how)
    key = " ".join((what, positive, value))
    if (what, positive) != ("user", "ingroup") or uses_uid:
        return _member(key, usual=False, positive=how == positive, uses_uid=uses_uid)
    yes, no = _("a member of group {name}"), _("nobody of group {name}")
    code = "success" if how == positive else "auth_err"
    return switch(
        f"succeed_if {key}",
        Role.MEMBER,
        (_OPPOSITE[code], no.format(name=value)),
        (code, yes.format(name=value)),
    )


def _member(key: str, *, usual: bool, uses_uid: bool, positive: bool = True) -> Behaviour:
    """Somebody of whom the condition holds. `usual`: it holds of most."""
    key = f"use_uid {key}" if uses_uid else key
    return _where(key, key, Role.MEMBER, positive=positive, usual=usual)


def _other(line: Line, key: str, *, uses_uid: bool) -> Behaviour:
    what, _space, rest = key.partition(" ")
    how, _space, value = rest.partition(" ")
    positive = how not in _NEGATIVE or " " in value
    if not positive:
        key = " ".join((what, _NEGATIVE[how], value))
    usual = positive and action(line.control, "auth_err") != "ignore"
    use = "use_uid " if uses_uid else ""
    return _where(use + key, key, Role.OTHER, positive=positive, usual=usual)


def _where(name: str, condition: str, role: Role, *, positive: bool, usual: bool) -> Behaviour:
    """Two cases of a variable: where the condition does not hold, and where it does."""
    code = "success" if positive else "auth_err"
    return switch(
        f"succeed_if {name}",
        role,
        (_OPPOSITE[code], _("where not {condition}").format(condition=condition)),
        (code, _("where {condition}").format(condition=condition)),
        usual=usual,
    )
