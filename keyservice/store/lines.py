# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Records as text: a JSON object with a version, whose fields are those of a dataclass."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from keyservice.core.reasons import Reason, Unfit

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_FACT_MAX = 100  #: characters that are shown of a text that cannot be read
#: A field's type as annotated; a field of any other type is a text on the disk.
_TYPES: dict[str, type] = {"int": int, "bool": bool}


def encode(version: int, record: DataclassInstance) -> bytes:
    """The line of `record`, ASCII, with its end."""
    return text({"version": version, **asdict(record)})


def decode(content: bytes, version: int, kind: type[DataclassInstance]) -> dict[str, Any]:
    """The fields of a `kind`, each of its type. Raises :class:`Unfit`."""
    found = read(content)
    check_version(found, version)
    return checked(found, {each.name: _TYPES.get(str(each.type), str) for each in fields(kind)})


def text(found: Mapping[str, Any], *, indent: int | None = None) -> bytes:
    """An object as text, ASCII, with its last line ended."""
    return (json.dumps(found, indent=indent) + "\n").encode()


def read(content: bytes) -> dict[str, Any]:
    """The object in a text. Raises :class:`Unfit`."""
    try:
        found = json.loads(content.decode("ascii"), object_pairs_hook=_unique)
    except Unfit:
        raise
    except RecursionError:
        raise Unfit(Reason.NO_JSON) from None
    except ValueError as error:
        raise Unfit(Reason.BAD_JSON, detail=str(error)[:_FACT_MAX]) from None
    if not isinstance(found, dict):
        raise Unfit(Reason.NO_JSON)
    return found


def check_version(found: dict[str, Any], *versions: int) -> int:
    """Take the version out of the object `found`. Raises :class:`Unfit` if it is none of these."""
    version = found.pop("version", None)
    if type(version) is not int or version not in versions:
        raise Unfit(Reason.VERSION, version=", ".join(map(str, versions)))
    return version


def checked(found: object, wanted: Mapping[str, type]) -> dict[str, Any]:
    """`found` as an object with exactly these fields of these types. Raises :class:`Unfit`."""
    if not isinstance(found, dict):
        raise Unfit(Reason.NO_JSON)
    if found.keys() != wanted.keys():
        strange = ", ".join(sorted(found.keys() ^ wanted.keys()))
        raise Unfit(Reason.FIELDS, names=strange[:_FACT_MAX])
    for name, expected in wanted.items():
        if type(found[name]) is not expected:
            raise Unfit(Reason.TYPE, name=name)
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unfit(Reason.TWICE)
    return found
