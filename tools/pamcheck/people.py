# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The kinds of people whose login it may be, and what the modules that check passwords say of
people who are theirs, or another module's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..language import _
from . import succeed_if
from .behaviour import Behaviour, Code, returned
from .controls import alike
from .known import DIRECTORIES, IGNORING, LOCALS, NEVER_IGNORING
from .lines import Line
from .world import PASSWORD, PASSWORD_CODES, PERSON, REGULAR, SYSTEM, Role, Variable, World

OURS = (REGULAR, SYSTEM)
#: The key of the variable that tells what this host's module says of a directory's user: the codes
#: differ with what the directory says of where the password is.
_STRANGERS = "not of this host"

#: The key of the variable that tells whether /etc/passwd has the people whom one expects there.
_LISTED = "listed"


def is_smartcard(line: Line) -> bool:
    return any(word.endswith("_cert_auth") for word in line.args)


def is_directory(line: Line) -> bool:
    return line.name in DIRECTORIES and not is_smartcard(line)


def as_told(line: Line, code: str) -> str:
    """What a directory's module returns for `code`, by its options."""
    return "ignore" if IGNORING.get(code) in line.args else code


def by_passwd_file(there: Behaviour, other: Behaviour) -> Behaviour:
    """A behaviour that depends on whether /etc/passwd has the person. That is only a file: this
    host's module takes the passwords of all whom the name service knows, and a directory may have
    the password of somebody who stands there."""
    texts = (
        _("where /etc/passwd has the users of this host, and no others"),
        _("where /etc/passwd lacks a user of this host, or has one of a directory"),
    )
    listed = Variable(_LISTED, ("", "otherwise"), Role.PERSON, texts)

    def code(world: World) -> Code:
        is_there = (world.get(PERSON, REGULAR) in OURS) != bool(world[_LISTED])
        return (there if is_there else other).code(world)

    return Behaviour(code, (listed, *there.variables, *other.variables))


def people(lines: Iterable[Line]) -> tuple[Variable, ...]:
    """The people whose login it may be, as far as the stack tells them apart."""
    values, texts = [REGULAR], [_("somebody with an account on this host")]
    lines = list(lines)
    if any(line.name == "pam_usertype" or succeed_if.tells_system_users(line) for line in lines):
        values.append(SYSTEM)
        texts.append(_("a system user (uid below 1000)"))
    for name in DIRECTORIES:
        if any(line.name == name and is_directory(line) for line in lines):
            values.append(name)
            texts.append(_("a user of {module}").format(module=f"{name}.so"))
    if len(values) == 1:
        return ()
    found = [Variable(PERSON, tuple(values), Role.PERSON, tuple(texts))]
    locals_ = [line for line in lines if line.name in LOCALS]
    codes: dict[object, str] = {}
    for code in PASSWORD_CODES:
        codes.setdefault(tuple(alike(line.control, code) for line in locals_), code)
    if len(codes) > 1 and any(value in DIRECTORIES for value in values):
        strangers = returned(locals_[0], _STRANGERS, tuple(codes.values()))
        found.append(replace(strangers, role=Role.PERSON))
    return tuple(found)


def of_this_host(line: Line) -> Behaviour:
    """The behaviour of a module that checks this host's passwords."""
    return Behaviour(
        lambda world: (
            world[PASSWORD]
            if world.get(PERSON, REGULAR) in OURS
            else world.get(_STRANGERS, PASSWORD_CODES[0])
        )
    )


def of_a_directory(line: Line) -> Behaviour:
    """The behaviour of a directory's module. It does not know other people; but it may not find
    that out, if the directory is down."""
    codes: dict[object, str] = {}
    more = ("ignore",) if _may_ignore(line) else ()
    for word in ("user_unknown", *PASSWORD_CODES, *more):
        code = as_told(line, word)
        codes.setdefault(alike(line.control, code), code)
    key = " ".join(("others", line.module, *line.args))
    variable = replace(returned(line, key, tuple(codes.values())), role=Role.LOCK)
    name = line.name
    return Behaviour(
        lambda world: as_told(line, world[PASSWORD]) if world.get(PERSON) == name else world[key],
        (variable,),
    )


def _may_ignore(line: Line) -> bool:
    """Whether it may leave some people to other modules, by what is known of it and its words."""
    signs = ("ignore", "uid", "unknown_ok")
    words = {word for word in line.args if any(sign in word for sign in signs)}
    return line.name not in NEVER_IGNORING or bool(words - {*IGNORING.values()})
