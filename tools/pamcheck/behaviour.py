# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a line's module returns, given the world: the shapes that this takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..language import _
from .controls import action
from .lines import Line
from .world import Role, Variable, World

#: None: the module is missing, or has no function for auth lines.
Code = str | None

#: The key of the variable that tells who calls a program that keeps its caller's uid.
ROOT_CALLS = "root calls"


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
    """A module that says one thing or another. `usual`: "on" is the ordinary case."""
    codes = {"no": off[0], "yes": on[0]}
    texts = {"no": off[1], "yes": on[1]}
    values = ("yes", "no") if usual else ("no", "yes")
    variable = Variable(key, values, role, tuple(texts[value] for value in values))
    return Behaviour(lambda world: codes[world[key]], (variable,))


def by_caller(no: Code, yes: Code) -> Behaviour:
    """What depends on whether root calls."""
    return switch(
        ROOT_CALLS,
        Role.CALLER,
        (no, _("where the caller is not root")),
        (yes, _("where the caller is root")),
    )


def unknown(line: Line, *codes: str) -> Behaviour:
    """Anything of `codes`. Ordinarily it has no say: it returns what is passed over, or else the
    first."""
    values = list(codes or ("success", "auth_err", "ignore"))
    strong = action(line.control, "success") not in ("ok", "ignore")
    passed_over = [code for code in values[1:] if action(line.control, code) == "ignore"]
    if passed_over and (strong or passed_over[0] != "ignore"):
        values.sort(key=lambda code: code != passed_over[0])
    key = " ".join((line.module, *line.args))
    text = _("where {module} returns {code}")
    module = f"{line.name}.so"
    texts = tuple(text.format(module=module, code=value) for value in values)
    return Behaviour(lambda world: world[key], (Variable(key, tuple(values), Role.OTHER, texts),))
