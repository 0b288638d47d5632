# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""pam_succeed_if: of whom its conditions hold, compared as the module compares them."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Callable

from ..language import _
from .behaviour import Behaviour, Code, always, by_uid, switch
from .controls import action
from .lines import Line
from .programs import CALLERS, ROOTS
from .world import PERSON, SYSTEM, Role, Variable, World

#: The group whose members break-glass is for, as a condition's key.
BREAKGLASS = "succeed_if user ingroup ukey-breakglass"

#: Words of its own. They alone are compared with regard to case.
_FLAGS = {"quiet", "quiet_success", "quiet_fail", "debug", "audit", "use_uid"}
#: Other names of attributes and of comparisons.
_NAMES = {"login": "user", "name": "user", "dir": "home", "homedir": "home"}
_NAMES |= {"glob": "=~", "noglob": "!~", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
_TEXTS = ("user", "shell", "home", "ruser", "rhost", "tty", "service")
_NUMBERS = ("uid", "gid")
#: Attributes that can be empty, which counts as the number 0, or a number by their names.
_PERHAPS_NUMBERS = ("user", "shell", "home", "ruser", "rhost", "tty")
_COMPARED = ("lt", "le", "gt", "ge", "eq", "ne")
_OF_GROUPS = ("ingroup", "notingroup", "innetgr", "notinnetgr")
_MATCHED = ("=", "!=", "=~", "!~", "in", "notin")
_NEGATIVE = {"!=": "=", "ne": "eq", "notin": "in", "notingroup": "ingroup", "!~": "=~"}
_NEGATIVE |= {"notinnetgr": "innetgr"}
#: As strtoll(3) takes it with base 0, blanks in front of it included.
_NUMBER = re.compile(r"[ \t\n\v\f\r]*(?:[+-]?(?:0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*))?")
_LARGEST = 2**63
#: uids on both sides of the bound between people and system users.
_SYSTEM, _PEOPLE = (99, 999), (1000, 1001, 60000, 2**32 - 2)
_ROOT = 0
#: Root's values, as texts are compared.
_ROOTS = {"uid": "0", "user": "root"}
_OPPOSITE: dict[Code, Code] = {"success": "auth_err", "auth_err": "success"}
_Words = tuple[str, str, str]


def behaviour(line: Line, service: str) -> Behaviour:
    """The first condition that does not hold decides; an incomplete one comes last."""
    words = _expression(line)
    last = "service_err" if len(words) % 3 else "success"
    left: list[Behaviour] = []
    for condition in _conditions(line):
        made = _condition(line, service, *condition)
        constant = None if made.variables or _by_person(line, condition) else made.code({})
        if constant not in (None, "success"):
            last = constant
            break
        if constant is None:
            left.append(made)
    return _all_of(left, last)


def tells_system_users(line: Line) -> bool:
    """Whether it tells people from system users by their uid."""
    return line.name == "pam_succeed_if" and any(_by_person(line, c) for c in _conditions(line))


def _all_of(parts: list[Behaviour], last: Code) -> Behaviour:
    """The first of `parts` that fails, else `last`."""

    def code(world: World) -> Code:
        for part in parts:
            found = part.code(world)
            if found != "success":
                return found
        return last

    variables: dict[str, Variable] = {}
    for part in parts:
        variables |= {variable.key: variable for variable in part.variables}
    return Behaviour(code, tuple(variables.values()))


def _expression(line: Line) -> list[str]:
    return [word for word in line.args if word not in _FLAGS]


def _conditions(line: Line) -> list[_Words]:
    """The complete ones."""
    words = _expression(line)
    triples = zip(words[::3], words[1::3], words[2::3], strict=False)
    return [(_name(what), _name(how), value) for what, how, value in triples]


def _name(word: str) -> str:
    return _NAMES.get(word.lower(), word.lower())


def _by_person(line: Line, condition: _Words) -> bool:
    """Whether it says the same of all people, and the opposite of all system users."""
    what, how, value = condition
    if "use_uid" in line.args or what != "uid":
        return False
    system, people = ({_compare(how, value, uid) for uid in each} for each in (_SYSTEM, _PEOPLE))
    return len(system) == len(people) == 1 and system != people


def _condition(line: Line, service: str, what: str, how: str, value: str) -> Behaviour:
    uses_uid = "use_uid" in line.args
    if what not in (*_TEXTS, *_NUMBERS) or how not in (*_COMPARED, *_MATCHED, *_OF_GROUPS):
        return always("service_err")
    key = " ".join((what, how, value))
    if how in _OF_GROUPS:
        # For every attribute but ruser the group of the user counts.
        what = what if what == "ruser" else "user"
        return _membership(what, how, value, caller_of=service if uses_uid else None)
    if how in _COMPARED:
        if _bound(value) is None:
            return always("service_err")
        if what in _PERHAPS_NUMBERS:
            return _anything(key, uses_uid=uses_uid)
        if what not in _NUMBERS:
            return always("service_err")
        return _number(line, service, (what, how, value))
    if what == "service":
        return always(_matches(service, how, value))
    if _fits_all(how, value):
        return always("auth_err" if how in _NEGATIVE else "success")
    if what in _ROOTS and uses_uid:
        return _named_caller(service, what, how, value)
    if what in ("user", "uid", "gid") and not uses_uid and not _is_pattern(how, value):
        return _member(key, Role.MEMBER, how, usual=False)
    return _other(line, (what, how, value))


def _is_pattern(how: str, value: str) -> bool:
    """Whether it is not known how many people fit."""
    return how in ("=~", "!~") and any(sign in value for sign in "*?[\\")


def _fits_all(how: str, value: str) -> bool:
    return how in ("=~", "!~") and value != "" and set(value) == {"*"}


def _named_caller(service: str, what: str, how: str, value: str) -> Behaviour:
    """What is said of the caller by a name, or by a uid that is compared as one."""
    root = _matches(_ROOTS[what], how, value)
    if service in ROOTS or _only_root(what, how, value):
        return by_uid(service, _OPPOSITE[root], root)
    return _member(f"use_uid {what} {how} {value}", Role.OTHER, how, usual=False)


def _only_root(what: str, how: str, value: str) -> bool:
    """Whether it tells root from everybody else."""
    names = value.split(":") if how in ("in", "notin") else [value]
    return set(names) == {_ROOTS[what]}


def _matches(text: str, how: str, value: str) -> Code:
    positive = _NEGATIVE.get(how, how)
    if positive == "=":
        found = text == value
    elif positive == "in":
        found = text in value.split(":")
    else:
        found = _fnmatch(os.fsencode(value), os.fsencode(text), 0) == 0
    return "success" if found == (how == positive) else "auth_err"


_fnmatch: Callable[[bytes, bytes, int], int] = ctypes.CDLL(None).fnmatch


def _compare(how: str, value: str, number: int) -> Code:
    bound = _bound(value)
    if how not in _COMPARED or bound is None:
        return None
    found = {
        "lt": number < bound,
        "le": number <= bound,
        "gt": number > bound,
        "ge": number >= bound,
        "eq": number == bound,
        "ne": number != bound,
    }[how]
    return "success" if found else "auth_err"


def _bound(value: str) -> int | None:
    """As strtoll has it: a zero in front means octal, nothing means zero. None: no number."""
    if not _NUMBER.fullmatch(value):
        return None
    text = value.strip()
    digits = text.lstrip("+-")
    base = 16 if digits[:2].lower() == "0x" else 8 if digits[:1] == "0" else 10
    number = int(text, base) if digits else 0
    if not text and value:
        return None  # of blanks alone strtoll reads nothing
    return number if -_LARGEST <= number < _LARGEST else None


def _number(line: Line, service: str, condition: _Words) -> Behaviour:
    """A look at an id. People's are from 1000 on; those of system users below."""
    what, how, value = condition
    uses_uid = "use_uid" in line.args
    if _by_person(line, condition):
        low, high = (_compare(how, value, each[0]) for each in (_SYSTEM, _PEOPLE))
        return Behaviour(lambda world: low if world.get(PERSON) == SYSTEM else high)
    root = _compare(how, value, _ROOT)
    if uses_uid and service in ROOTS:
        return always(root)
    people = {_compare(how, value, each) for each in _PEOPLE}
    others = people | {_compare(how, value, each) for each in _SYSTEM}
    key = " ".join(condition)
    if how in ("eq", "ne"):
        if what == "uid" and _bound(value) == _ROOT and uses_uid:
            return by_uid(service, _OPPOSITE[root], root)
        role = Role.OTHER if uses_uid else Role.MEMBER
        return _member("use_uid " * uses_uid + key, role, how, usual=False)
    if len(others) == 1 and what == "uid" and uses_uid:
        return by_uid(service, next(iter(others)), root)
    if {root} == others:
        return always(root)
    # It is not known how high the uids of the host's people are, nor those of their groups.
    known = len(others if what == "gid" else people) == 1
    known = known and (not uses_uid or service in CALLERS)
    usual = _compare(how, value, _PEOPLE[0]) == "success"
    role = Role.MEMBER if known else Role.OTHER
    return _member("use_uid " * uses_uid + key, role, how, usual=usual)


def _membership(what: str, how: str, value: str, *, caller_of: str | None) -> Behaviour:
    """`caller_of`: the service whose program's caller it is about."""
    positive = _NEGATIVE.get(how, how)
    key = " ".join((what, positive, value))
    if caller_of is not None and what == "user":
        # It is not known what groups root is in.
        role = Role.MEMBER if caller_of in CALLERS else Role.OTHER
        return _member(f"use_uid {what} {how} {value}", role, how, usual=False)
    if (what, positive) != ("user", "ingroup"):
        return _member(f"{what} {how} {value}", Role.MEMBER, how, usual=False)
    yes, no = _("a member of group {name}"), _("nobody of group {name}")
    code = "success" if how == positive else "auth_err"
    return switch(
        f"succeed_if {key}",
        Role.MEMBER,
        (_OPPOSITE[code], no.format(name=value)),
        (code, yes.format(name=value)),
    )


def _member(condition: str, role: Role, how: str, *, usual: bool) -> Behaviour:
    """Somebody of whom the condition holds, or of whom its opposite does not. `usual`: the
    condition holds of most."""
    positive = _NEGATIVE.get(how, how)
    key = condition.replace(f" {how} ", f" {positive} ", 1)
    return _where(key, key, role, positive=how == positive, usual=usual)


def _other(line: Line, condition: _Words) -> Behaviour:
    what, how, value = condition
    positive = how not in _NEGATIVE
    usual = positive and action(line.control, "auth_err") != "ignore"
    usual = usual and what not in ("user", "uid", "gid", "ruser")
    key = " ".join((what, _NEGATIVE.get(how, how), value))
    name = f"use_uid {key}" if "use_uid" in line.args else key
    return _where(name, key, Role.OTHER, positive=positive, usual=usual)


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


def _anything(condition: str, *, uses_uid: bool) -> Behaviour:
    """Two cases: it is a number, or it is not."""
    key = f"succeed_if {'use_uid ' * uses_uid}{condition}"
    codes = ("service_err", "success", "auth_err")
    texts = (
        _("where {condition} compares no number"),
        _("where {condition}"),
        _("where not {condition}"),
    )
    made = tuple(text.format(condition=condition) for text in texts)
    return Behaviour(lambda world: world[key], (Variable(key, codes, Role.OTHER, made),))
