# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Who may do what, asked of a linked policy.

setools comes in when a policy is read: the smoke tier's sandbox, where this is collected, has none.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import setools


class Policy:
    """A policy, with its booleans as they are by default unless said otherwise."""

    def __init__(self, path: Path) -> None:
        import setools

        self._policy = setools.SELinuxPolicy(str(path))

    def who(
        self, target: str, tclass: str, permission: str, *, switched: str | None = None
    ) -> set[str]:
        """The types that have `permission` on `target`, itself or by an attribute of either.

        `switched`: a boolean that is as it is not by default.
        """
        import setools

        found: set[str] = set()
        for rule in setools.TERuleQuery(
            self._policy,
            ruletype=["allow"],
            target=target,
            target_indirect=True,
            tclass=[tclass],
            perms=[permission],
        ).results():
            if self._holds(rule, switched):
                found |= {
                    str(each)
                    for each in rule.source.expand()
                    if str(rule.target) != "self" or str(each) == target
                }
        return found

    def may(self, source: str) -> set[tuple[str, str, str]]:
        """All that `source` may do, whatever booleans say: (type or attribute, class, right)."""
        import setools

        query = setools.TERuleQuery(
            self._policy, ruletype=["allow"], source=source, source_indirect=True
        )
        return {
            (str(rule.target), str(rule.tclass), str(permission))
            for rule in query.results()
            for permission in rule.perms
        }

    def members(self, attribute: str) -> set[str]:
        """The types that have an attribute."""
        return {str(each) for each in self._policy.lookup_typeattr(attribute).expand()}

    def attributes(self, name: str) -> set[str]:
        """The attributes that a type has."""
        return {str(each) for each in self._policy.lookup_type(name).attributes()}

    @staticmethod
    def _holds(rule: setools.policyrep.AVRule, switched: str | None) -> bool:
        import setools

        try:
            condition = rule.conditional
        except setools.exception.RuleNotConditional:
            return True
        booleans = {str(each): each.state != (str(each) == switched) for each in condition.booleans}
        return bool(bool(condition.evaluate(**booleans)) == rule.conditional_block)
