# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Who may import whom: the floors of the architecture, read from the source."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: What each part of the project may import of the project, besides itself. A part is the longest
#: dotted prefix that stands here. Imports go down only; store and ukeys do not know each other, and
#: clients know the contract, and what speaks it.
ALLOWED: dict[str, frozenset[str]] = {
    "keyservice.client": frozenset({"keyservice.contract", "keyservice.core"}),
    "keyservice.contract": frozenset({"keyservice.core"}),
    "keyservice.core": frozenset(),
}
_BELOW = frozenset({"keyservice.contract", "keyservice.core"})
ALLOWED |= {
    "keyservice.crypto": _BELOW,
    "keyservice.transport": _BELOW,
    "keyservice.store": _BELOW | {"keyservice.crypto"},
    "keyservice.ukeys": _BELOW | {"keyservice.crypto", "keyservice.transport"},
    "keyservice.access": _BELOW | {"keyservice.crypto", "keyservice.store", "keyservice.ukeys"},
    "keyservice.servers": _BELOW | {"keyservice.access"},
    "keyservice": frozenset({"keyservice"}),
    "pam_ukey": frozenset({"keyservice.client", "keyservice.contract"}),
    "tools": frozenset({"keyservice.__version__", "keyservice.client"}) | _BELOW,
    "bench": frozenset({"keyservice", "tests.guest", "tests.softkey", "tests.support"}),
    "acceptance": frozenset({"tests.support"}),
    "demo": frozenset({"keyservice.contract", "tests.softkey", "tests.support", "tools.output"}),
    "tests.openpgpcard": frozenset({"tests.pivcard", "tests.softkey"}),
    "tests.pivcard": frozenset({"tests.softkey"}),
    "tests.softkey": frozenset(),
}

#: Libraries that only these modules may import, so that each can be replaced at one place.
ONLY: dict[str, frozenset[str]] = {
    "dbus_fast": frozenset({"keyservice.servers.bus"}),
    "jeepney": frozenset({"keyservice.client", "pam_ukey"}),
    "smartcard": frozenset({"keyservice.transport"}),
    "pamela": frozenset({"tools.trylogin.child"}),
    "gmssl": frozenset({"keyservice.crypto"}),
}
#: What a login program loads, or what may be sent to any machine: the standard library alone.
STDLIB_ONLY = frozenset(
    {"keyservice.contract.names", "keyservice.contract.frames", "keyservice.core"}
)


@dataclass(frozen=True)
class Import:
    importer: str  #: dotted module
    imported: str
    where: str  #: path:line


def imports(root: Path, packages: tuple[str, ...]) -> Iterator[Import]:
    """Every import below the folders `packages` of `root`, wherever in a file it stands."""
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            relative = path.relative_to(root)
            parts = relative.with_suffix("").parts
            is_package = parts[-1] == "__init__"
            module = ".".join(parts[:-1] if is_package else parts)
            context = parts[:-1]
            for node in ast.walk(ast.parse(path.read_text(), str(path))):
                for name in _names(node, context):
                    yield Import(module, name, f"{relative}:{getattr(node, 'lineno', 0)}")


def _names(node: ast.AST, context: tuple[str, ...]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = ".".join(context[: len(context) - node.level + 1]) if node.level else ""
        prefix = ".".join(filter(None, (base, node.module or "")))
        yield from (f"{prefix}.{alias.name}" for alias in node.names)


def within(module: str, parts: frozenset[str]) -> str | None:
    """The longest of `parts` that `module` is, or lies in."""
    found = (part for part in parts if module == part or module.startswith(part + "."))
    return max(found, key=len, default=None)


def violations(root: Path) -> list[str]:
    """One sentence for each import that goes up, sideways, or past its one importer."""
    ours = frozenset(ALLOWED) | {"tests", "scripts"}
    packages = ("keyservice", "pam_ukey", "tools", "acceptance", "bench", "demo", "tests/softkey")
    told = []
    for found in imports(root, packages):
        part = within(found.importer, frozenset(ALLOWED)) or ""
        target = within(found.imported, ours)
        if target is not None:
            if target != part and within(found.imported, ALLOWED[part]) is None:
                told.append(f"{found.where}: {part} may not import {found.imported}")
            continue
        library = found.imported.split(".")[0]
        owners = ONLY.get(library)
        if owners is not None and within(found.importer, owners) is None:
            told.append(f"{found.where}: {library} is for {', '.join(sorted(owners))} only")
        elif library not in sys.stdlib_module_names and within(found.importer, STDLIB_ONLY):
            told.append(f"{found.where}: {found.importer} keeps to the standard library")
    return told
