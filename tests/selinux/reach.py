# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Who may do what, asked of a linked policy.

setools comes in when a policy is read: the smoke tier's sandbox, where this is collected, has none.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import setools


@dataclass(frozen=True)
class _Rule:
    rule: setools.policyrep.AVRule
    source: str  #: type or attribute
    target: str
    permissions: frozenset[str]


class Policy:
    """A policy, to be asked."""

    def __init__(self, path: Path) -> None:
        import setools

        self._policy = setools.SELinuxPolicy(str(path))
        #: by class: what setools reads of the file takes seconds each time that it is asked
        self._rules: dict[str, list[_Rule]] = defaultdict(list)
        for rule in self._policy.terules():
            if rule.ruletype == setools.TERuletype.allow:
                found = _Rule(rule, str(rule.source), str(rule.target), frozenset(rule.perms))
                self._rules[str(rule.tclass)].append(found)

    def who(
        self,
        target: str,
        tclass: str,
        *permissions: str,
        as_shipped: bool = False,
        switched: str | None = None,
    ) -> set[str]:
        """The types that have one of `permissions` on `target`, by an attribute of either too,
        whatever booleans say.

        `as_shipped`: only as these are by default. `switched`: but for this one.
        """
        names = self._names(target)
        return {
            str(each)
            for rule in self._rules[tclass]
            if rule.target in names | {"self"} and not rule.permissions.isdisjoint(permissions)
            if not (as_shipped or switched) or self._holds(rule.rule, switched)
            for each in rule.rule.source.expand()
            if rule.target != "self" or str(each) in names
        }

    def may(self, source: str, *, by_boolean: bool | None = None) -> set[tuple[str, str, str]]:
        """All that `source` may do, whatever booleans say: (type or attribute, class, right).

        `by_boolean`: only what depends on one, or only what does not.
        """
        names = self._names(source)
        return {
            (rule.target, tclass, permission)
            for tclass, rules in self._rules.items()
            for rule in rules
            if rule.source in names
            if by_boolean is None or by_boolean == self._depends(rule.rule)
            for permission in rule.permissions
        }

    def _names(self, name: str) -> frozenset[str]:
        """What a rule calls a type by: its name, were it an alias, and its attributes."""
        found = self._policy.lookup_type(name)
        return frozenset({str(found), *map(str, found.attributes())})

    def members(self, attribute: str) -> set[str]:
        """The types that have an attribute."""
        return {str(each) for each in self._policy.lookup_typeattr(attribute).expand()}

    def attributes(self, name: str) -> set[str]:
        """The attributes that a type has."""
        return {str(each) for each in self._policy.lookup_type(name).attributes()}

    @staticmethod
    def _depends(rule: setools.policyrep.AVRule) -> bool:
        """Whether the rule is there by a boolean."""
        import setools

        try:
            return bool(rule.conditional.booleans)
        except setools.exception.RuleNotConditional:
            return False

    @staticmethod
    def _holds(rule: setools.policyrep.AVRule, switched: str | None) -> bool:
        import setools

        try:
            condition = rule.conditional
        except setools.exception.RuleNotConditional:
            return True
        booleans = {str(each): each.state != (str(each) == switched) for each in condition.booleans}
        return bool(bool(condition.evaluate(**booleans)) == rule.conditional_block)
