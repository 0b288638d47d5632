# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""authselect's templates, rendered as authselect-profiles(5) describes it: Debian has none."""

from __future__ import annotations

import re
from collections.abc import Set

_EXPRESSION = r"([^{}|:]+)"
_OPERATOR = re.compile(
    rf"\{{(?:(continue|stop|include|exclude) if {_EXPRESSION}"
    rf"|(?:if) {_EXPRESSION}:([^{{}}|]*)(?:\|([^{{}}|]*))?)\}}"
)
_TOKEN = re.compile(r'\s*(?:"([^{}"|]+)"|(and|or|not|[()]))')


class TemplateError(Exception):
    """What authselect would not understand either."""


def render(template: str, features: Set[str]) -> str:
    """What the template comes to with `features` enabled."""
    lines = []
    for line in template.splitlines():
        made = _render_line(line, features)
        if made is _STOP:
            break
        if made is not None:
            if "{" in made or "}" in made:
                raise TemplateError(f"not an operator: {line}")
            lines.append(made.rstrip())
    return "\n".join(lines) + "\n"


#: In place of a line: the template ends here.
_STOP = "\0"


def _render_line(line: str, features: Set[str]) -> str | None:
    """The line, None if it is left out."""
    while match := _OPERATOR.search(line):
        operator, condition, inline, yes, no = match.groups()
        holds = evaluate(condition or inline, features)
        if operator is None:
            line = line[: match.start()] + (yes if holds else no or "") + line[match.end() :]
        elif operator in ("continue", "stop"):
            return None if holds is (operator == "continue") else _STOP
        elif holds is (operator == "include"):
            line = line[: match.start()] + line[match.end() :]
        else:
            return None
    return line


def evaluate(expression: str, features: Set[str]) -> bool:
    """``"a" and not ("b" or "c")``: `not` binds most, then `and`, then `or`."""
    tokens = []
    position = 0
    while position < len(expression.rstrip()):
        match = _TOKEN.match(expression, position)
        if match is None:
            raise TemplateError(f"not an expression: {expression}")
        name, word = match.groups()
        tokens.append(str(name in features) if name else word)
        position = match.end()
    try:
        return bool(eval(" ".join(tokens), {"__builtins__": {}}))
    except SyntaxError:
        raise TemplateError(f"not an expression: {expression}") from None


def features_of(template: str) -> set[str]:
    """Every feature that the template knows."""
    found: set[str] = set()
    for match in _OPERATOR.finditer(template):
        found.update(re.findall(r'"([^"]+)"', match[2] or match[3]))
    return found
