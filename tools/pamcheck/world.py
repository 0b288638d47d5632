# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""All that a login can depend on: the two factors, whose login it is, and what modules look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations, islice, product
from math import comb, prod


class Password(StrEnum):
    """The rows of the table. The values are an interface of ``--json``."""

    RIGHT = "right"
    WRONG = "wrong"


class Ukey(StrEnum):
    """The columns of the table. The values are an interface of ``--json``."""

    VERIFIED = "verified"
    WRONG = "wrong"
    ABSENT = "absent"
    NOT_ENROLLED = "not enrolled"
    BROKEN = "broken"


class Role(StrEnum):
    """The subject of a variable, as far as that matters to the judgement."""

    PERSON = "person"  #: whose login it is
    CALLER = "caller"  #: root calls: it needs no permission
    GATE = "gate"  #: break-glass opens
    MEMBER = "member"  #: in a group, or of a name
    PLACE = "place"  #: where the person is
    LOCK = "lock"  #: a reason to refuse: too many failures, a time of day
    OTHER = "other"


@dataclass(frozen=True)
class Variable:
    """Something that differs between logins. The first value is the ordinary case."""

    key: str
    values: tuple[str, ...]
    role: Role
    texts: tuple[str, ...]  #: of each value, translated: "the caller is root"

    def text(self, value: str) -> str:
        return self.texts[self.values.index(value)]


#: A value for each variable's key, and for the keys below.
World = Mapping[str, str]

PASSWORD = "password"
UKEY = "ukey"
#: The key of the variable that tells whose login it is, and its first values.
PERSON = "person"
#: The key of the variable that tells where the person is.
PLACE = "place"
HERE, AFAR = "here", "afar"
#: The key of the variable that tells whether an unknown module has asked for a password.
ASKED = "asked"
#: The keys for codes that the factors' modules are not known to return.
BEYOND_PASSWORD, BEYOND_UKEY = "beyond password", "beyond ukey"
REGULAR, SYSTEM = "regular", "system"

#: The ways in which a password is not right: the codes that modules then return. A person who ends
#: the input at the prompt chooses authtok_err or conv_err.
PASSWORD_CODES = (
    "auth_err",
    "user_unknown",
    "authinfo_unavail",
    "maxtries",
    "authtok_err",
    "conv_err",
    "perm_denied",
    "cred_insufficient",
    "cred_err",
    "acct_expired",
    "system_err",
    "service_err",
    "buf_err",
    "try_again",
    "abort",
)
#: How each state of a ukey comes about: the codes of pam_ukey; empty for a module that is missing.
UKEY_CODES: dict[Ukey, tuple[str, ...]] = {
    Ukey.VERIFIED: ("success",),
    Ukey.WRONG: ("auth_err", "maxtries", "perm_denied", "conv_err"),
    Ukey.ABSENT: ("authinfo_unavail",),
    Ukey.NOT_ENROLLED: ("user_unknown",),
    Ukey.BROKEN: ("", "authinfo_unavail", "service_err", "buf_err", "symbol_err", "open_err"),
}

#: As many worlds are tried at most.
_WORLDS_MAX = 512
#: At most as many choices of one, two and three variables each, where there are more worlds.
_CHOSEN_MAX = 400


def passwords(more: Sequence[str] = ()) -> Iterator[tuple[Password, str]]:
    """`more`: codes that controls of the stack name."""
    yield Password.RIGHT, "success"
    for code in dict.fromkeys((*PASSWORD_CODES, *more)):
        # The code of a module for a password that is right, but has to be changed.
        right = code == "new_authtok_reqd"
        yield Password.RIGHT if right else Password.WRONG, code


def ukeys(more: Sequence[str] = ()) -> Iterator[tuple[Ukey, str]]:
    """`more`: codes that controls of the stack name, and that only a broken module returns."""
    for state, codes in UKEY_CODES.items():
        for code in (*codes, *(more if state is Ukey.BROKEN else ())):
            yield state, code


def all_are_tried(variables: Sequence[Variable]) -> bool:
    """Whether :func:`settings` has every combination."""
    return prod(len(variable.values) for variable in variables) <= _WORLDS_MAX


def settings(variables: Sequence[Variable]) -> Iterator[dict[str, str]]:
    """The values of all variables, the ordinary ones first: every combination, or else each alone,
    every two and every three; of very many, only of those that are not some module's own."""
    ordinary = {variable.key: variable.values[0] for variable in variables}
    if all_are_tried(variables):
        for values in product(*(variable.values for variable in variables)):
            yield dict(zip(ordinary, values, strict=True))
        return
    yield ordinary
    some = [variable for variable in variables if variable.role is not Role.OTHER]
    for size in (1, 2, 3):
        several = variables if size == 1 or comb(len(variables), size) <= _CHOSEN_MAX else some
        for chosen in islice(combinations(several, size), _CHOSEN_MAX):
            for values in product(*(variable.values[1:] for variable in chosen)):
                keys = (variable.key for variable in chosen)
                yield {**ordinary, **dict(zip(keys, values, strict=True))}
