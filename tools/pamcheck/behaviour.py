# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a line's module returns, given the world: the kinds of behaviour."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from ..language import _
from .controls import classes, named, passed_over, unnamed
from .lines import Line
from .programs import CALLERS, ROOTS
from .stack import Module
from .world import Role, Variable, World

#: None: the module is missing, or has no function for auth lines.
Code = str | None

#: The key of the variable that tells who calls a program that keeps its caller's uid.
ROOT_CALLS = "root calls"
#: The key of the variable that tells whether a program that is not known runs as root.
AS_ROOT = "as root"


@dataclass(frozen=True)
class Behaviour:
    """What a line's module returns, given the world."""

    code: Callable[[World], Code]
    variables: tuple[Variable, ...] = ()


def always(code: Code) -> Behaviour:
    return Behaviour(lambda world: code)


def switch(
    key: str, role: Role, off: tuple[Code, str], on: tuple[Code, str], *, usual: bool = False
) -> Behaviour:
    """A module with one of two answers. `usual`: "on" is the ordinary case."""
    codes = {"no": off[0], "yes": on[0]}
    texts = {"no": off[1], "yes": on[1]}
    values = ("yes", "no") if usual else ("no", "yes")
    variable = Variable(key, values, role, tuple(texts[value] for value in values))
    return Behaviour(lambda world: codes[world[key]], (variable,))


def by_uid(service: str, other: Code, root: Code) -> Behaviour:
    """What depends on the real uid of the program that asks: root's, or another."""
    if service in ROOTS or other == root:
        return always(root)
    if service in CALLERS:
        return switch(
            ROOT_CALLS,
            Role.CALLER,
            (other, _("where the caller is not root")),
            (root, _("where the caller is root")),
        )
    return switch(
        AS_ROOT,
        Role.OTHER,
        (other, _("where the program does not run as root")),
        (root, _("where the program runs as root")),
        usual=True,
    )


def unknown(line: Line, *codes: str) -> Behaviour:
    """Anything of `codes`, else anything that the line's control tells apart. Ordinarily it has no
    say: it returns what is passed over, or else the first."""
    values = list(codes or classes(line.control))
    usual = passed_over(line.control, values)
    values.sort(key=lambda code: code != usual)
    # If it is asked twice, its answers may differ.
    key = " ".join((line.place, line.module, *line.args))
    return Behaviour(lambda world: world[key], (returned(line, key, values),))


def answered(module: Module, made: Behaviour, factor: str, codes: Collection[str]) -> Behaviour:
    """`made`, where several lines ask for the same factor: a person who has it may answer wrongly
    at one of them, and a person who has not may answer differently at each. `factor`: the world's
    key for it; `codes`: what wrong answers come to."""
    key = f"answer {module.index}"
    line = module.line
    texts = [_("where {module} returns what it usually does").format(module=line.place)]
    texts += [_("where {module} returns {code}").format(module=line.place, code=c) for c in codes]
    variable = Variable(key, ("", *codes), Role.LOCK, tuple(texts))

    def code(world: World) -> Code:
        return made.code({**world, factor: world[key]} if world[key] else world)

    return Behaviour(code, (*made.variables, variable))


def beyond(line: Line, made: Behaviour, modelled: Collection[str]) -> Behaviour:
    """`made`, or one of the codes that the line's control names and that `made` says nothing of.
    `modelled`: the codes that it does say something of."""
    more = [code for code in named(line.control) if code not in modelled]
    more += unnamed(line.control, modelled)
    if not more:
        return made
    key = " ".join(("beyond", line.module, *line.args))
    usual = _("where {module} returns what it usually does").format(module=f"{line.name}.so")
    other = returned(line, key, more)
    variable = Variable(key, ("", *other.values), Role.OTHER, (usual, *other.texts))
    return Behaviour(lambda world: world[key] or made.code(world), (*made.variables, variable))


def returned(line: Line, key: str, codes: Collection[str]) -> Variable:
    """Which of `codes` it returns, the ordinary one first."""
    text = _("where {module} returns {code}")
    texts = tuple(text.format(module=f"{line.name}.so", code=code) for code in codes)
    return Variable(key, tuple(codes), Role.OTHER, texts)
