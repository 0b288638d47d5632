# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A person's record as text, which can be read and compared.

Version 1 holds one key, for the login. Version 2 holds a list of keys. It is written only for what
version 1 cannot say: to a package that knows version 1 alone it is damage, and one damaged record
stops every proof that somebody has no ukey.
"""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from keyservice.core.errors import UkeyError
from keyservice.core.reasons import Reason, Unfit
from keyservice.core.username import check
from keyservice.crypto import algorithms
from keyservice.crypto.sm2 import SM2

from . import lines
from .records import CREDENTIALS_MAX, LABEL_MAX, Binding, Purpose

RECORD_MAX = 64 * 1024  #: bytes; sixteen RSA keys with 4096 bits and long texts take 40,000
_V1_MAX = 8192  #: bytes that a package which knows version 1 alone reads
_TEXT_MAX = 256  #: characters of a serial, a kind, an application, a container, a time
_PERSON: dict[str, type] = {"user": str, "uid": int}
#: The fields of one key in version 1, in their order.
_KEY: dict[str, type] = {
    "serial": str,
    "kind": str,
    "application": str,
    "container": str,
    "algorithm": str,
    "public_key": str,
    "attested": bool,
    "bound_at": str,
    "bound_by": int,
}
_V1 = _PERSON | _KEY
_V2 = _PERSON | {"credentials": list}
_CREDENTIAL: dict[str, type] = {"purpose": str, "label": str} | _KEY


def serialize(bindings: Sequence[Binding]) -> bytes:
    """The record's text: JSON, one field a line, ASCII. `bindings`: all of one person, in the order
    in which they were bound.

    Raises :class:`Unfit` for what could not be read again: nothing is written that is damage.
    """
    content = lines.text(fields(bindings), indent=2)
    if len(content) > RECORD_MAX:
        raise Unfit(Reason.SIZE, size=len(content), limit=RECORD_MAX)
    if parse(content) != tuple(bindings):
        raise Unfit("the bindings are not one person's")
    return content


def fields(bindings: Sequence[Binding]) -> dict[str, Any]:
    """The record as an object, of the first version that can say it."""
    first = bindings[0]
    if len(bindings) == 1 and (first.purpose, first.label) == (Purpose.LOGIN, ""):
        found: dict[str, Any] = {"version": 1, **_picked(first, _V1)}
        if len(lines.text(found, indent=2)) <= _V1_MAX:
            return found
    credentials = [_picked(each, _CREDENTIAL) | {"public_key": _shown(each)} for each in bindings]
    return {"version": 2, **_picked(first, _PERSON), "credentials": credentials}


def parse(content: bytes) -> tuple[Binding, ...]:
    """The bindings in a record's text, one at least. Raises :class:`Unfit`."""
    return bindings_of(lines.read(content))


def bindings_of(found: dict[str, Any]) -> tuple[Binding, ...]:
    """The bindings in a record as an object. Raises :class:`Unfit`."""
    if lines.check_version(found, 1, 2) == 1:
        bindings = [Binding(**lines.checked(found, _V1))]
    else:
        record = lines.checked(found, _V2)
        listed = record.pop("credentials")
        bindings = [_credential(record, each) for each in listed]
    for each in bindings:
        _check(each)
    _check_together(bindings)
    return tuple(bindings)


def _picked(binding: Binding, names: dict[str, type]) -> dict[str, Any]:
    return {name: getattr(binding, name) for name in names}


def _shown(binding: Binding) -> str:
    """The public key as version 2 shows it: base64, but for SM2, whose encoding no other tool
    reads; that is hexadecimal, as in version 1."""
    if binding.algorithm == SM2.name:
        return binding.public_key
    return base64.b64encode(binding.key.encoded).decode()


def _credential(person: dict[str, Any], found: object) -> Binding:
    values = lines.checked(found, _CREDENTIAL)
    for name in ("serial", "kind", "application", "container", "bound_at"):
        if len(values[name]) > _TEXT_MAX:
            raise Unfit(Reason.TEXT_LONG, name=name, limit=_TEXT_MAX)
    try:
        values["purpose"] = Purpose(values["purpose"])
    except ValueError:
        raise Unfit(Reason.PURPOSE) from None
    if values["algorithm"] != SM2.name:
        text = values["public_key"]
        try:
            encoded = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise Unfit(Reason.KEY) from None
        if base64.b64encode(encoded).decode() != text:  # one text for a key
            raise Unfit(Reason.KEY)
        values["public_key"] = encoded.hex()
    return Binding(**person, **values)


def _check(binding: Binding) -> None:
    try:
        check(binding.user)
    except UkeyError as error:
        raise Unfit(error.reason or Reason.USER_CHARACTERS) from None
    if not 0 <= binding.uid < 2**32 - 1 or not -1 <= binding.bound_by < 2**32:
        raise Unfit(Reason.UID)
    _check_texts(binding)
    _check_key(binding)
    try:
        datetime.fromisoformat(binding.bound_at)
    except ValueError:
        raise Unfit(Reason.TIME) from None


def _check_texts(binding: Binding) -> None:
    place = (binding.serial, binding.application, binding.container)
    from_file = binding.purpose is Purpose.SSH and not any(place) and not binding.attested
    if not binding.kind or not (binding.serial or from_file):
        raise Unfit(Reason.EMPTY)
    check_label(binding.label)


def check_label(label: str) -> None:
    """Raise :class:`Unfit` unless this can be a label: it stands in prompts and lists."""
    if len(label) > LABEL_MAX or not label.isprintable() or label != label.strip():
        raise Unfit(Reason.LABEL, limit=LABEL_MAX)


def _check_key(binding: Binding) -> None:
    ssh = binding.purpose is Purpose.SSH
    if binding.algorithm not in (algorithms.SSH_ALGORITHMS if ssh else algorithms.ALGORITHMS):
        raise Unfit(Reason.ALGORITHM)
    try:
        key = binding.key
    except ValueError:
        raise Unfit(Reason.KEY) from None
    if len(binding.public_key) != 2 * len(key.encoded):  # bytes.fromhex ignores spaces
        raise Unfit(Reason.KEY)
    if not algorithms.has_form(key):
        raise Unfit(Reason.KEY)


def _check_together(bindings: Sequence[Binding]) -> None:
    if not bindings:
        raise Unfit(Reason.NO_KEYS)
    purposes = Counter(each.purpose for each in bindings)
    if max(purposes.values()) > CREDENTIALS_MAX:
        raise Unfit(Reason.MANY_KEYS, limit=CREDENTIALS_MAX)
    keys = {each.fingerprint for each in bindings}
    ukeys = [(each.serial, each.purpose) for each in bindings if each.serial]
    if len(keys) < len(bindings) or len(set(ukeys)) < len(ukeys):
        raise Unfit(Reason.KEY_TWICE)
