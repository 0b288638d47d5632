# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Who owns which ukey: one record per person, a text file that can be read and compared."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from keyservice.contract.reasons import Reason
from keyservice.core.errors import (
    AlreadyBound,
    NotEnrolled,
    RecordDamaged,
    RecordForeign,
    StoreFailed,
    UkeyError,
)
from keyservice.core.username import Person, check, file_name

from .files import Folder, Taken
from .fingerprint import fingerprint

VERSION = 1
RECORD_MAX = 8192  #: bytes
_NAME_MAX = 255  #: bytes of a file name (NAME_MAX of every file system in use)
_POINT_BYTES = {"sm2": 64}


@dataclass(frozen=True, slots=True)
class Binding:
    """That the ukey `serial`, which holds the key `public_key`, is `user`'s."""

    user: str  #: ``pw_name``
    uid: int
    serial: str
    kind: str  #: the ukey's kind, by its driver's name
    application: str
    container: str
    algorithm: str  #: ``sm2``
    public_key: str  #: X ‖ Y, 128 hexadecimal digits for ``sm2``
    attested: bool  #: whether an issuer's certificate vouches that the key was made on the ukey
    bound_at: str  #: UTC, ISO 8601
    bound_by: int  #: the login uid, or else the uid, of who bound it

    @property
    def point(self) -> bytes:
        return bytes.fromhex(self.public_key)

    @property
    def fingerprint(self) -> str:
        """SM3 of the public key, 64 hexadecimal digits: what a revocation names."""
        return fingerprint(self.point)


_FIELDS: dict[str, str] = Binding.__annotations__
_TYPES: dict[str, type] = {"str": str, "int": int, "bool": bool}


class Bindings:
    """The records. Blocking, and safe from several threads; one process writes."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._writing = threading.Lock()

    def of(self, person: Person) -> Binding | None:
        """The binding of `person`, or None where it is proven that there is none.

        A record counts by name and by uid, and both must match: a name that was given to another
        uid, or a uid that has another name now, is :class:`RecordForeign`. As long as any record
        is damaged, nobody is proven to have none: :class:`RecordDamaged`.
        """
        own = self.own(person)
        if own is None:
            self.prove_none(person)
        return own

    def own(self, person: Person) -> Binding | None:
        """The record under the name of `person`: one small file, read in no time.

        None proves nothing yet. Raises :class:`RecordForeign` where it is another uid's.
        """
        own = self._read(file_name(person.name))
        if own is not None and (own.user, own.uid) != (person.name, person.uid):
            raise _foreign(own, person)
        return own

    def prove_none(self, person: Person) -> None:
        """Return if no record is `person`'s under any name; reads them all."""
        everyone, damaged = self.all()
        for binding in everyone:
            if binding.uid == person.uid:
                raise _foreign(binding, person)
        for error in damaged:
            raise error

    def named(self, user: str) -> Binding | None:
        """The record under the name `user`, whoever has that name now. For removing it."""
        return self._read(file_name(user))

    def all(self) -> tuple[list[Binding], list[UkeyError]]:
        """Every record, and an error for each that cannot be trusted."""
        bindings: list[Binding] = []
        damaged: list[UkeyError] = []
        for name in self._folder.names():
            try:
                binding = self._read(name)
            except (RecordDamaged, StoreFailed) as error:
                damaged.append(error)
            else:
                if binding is not None:  # removed meanwhile
                    bindings.append(binding)
        return bindings, damaged

    def check_free(self, serial: str, key: str) -> None:
        """Raise :class:`AlreadyBound` if the ukey or the key with the fingerprint `key` is.

        Raises the error of a damaged record too: it might be the one.
        """
        everyone, damaged = self.all()
        for binding in everyone:
            if binding.serial == serial or binding.fingerprint == key:
                raise AlreadyBound(
                    "The ukey or its key is bound", user=binding.user, serial=binding.serial
                )
        for error in damaged:
            raise error

    def add(self, binding: Binding) -> None:
        """Store a new binding. One user, one ukey; one ukey, one user.

        Raises :class:`AlreadyBound`, :class:`RecordForeign` and :class:`StoreFailed`; the records
        are then as they were.
        """
        person = Person(binding.user, binding.uid)
        with self._writing:
            existing = self.of(person)
            if existing is not None:
                raise AlreadyBound(
                    "The user has a ukey", user=existing.user, serial=existing.serial
                )
            self.check_free(binding.serial, binding.fingerprint)
            try:
                self._folder.create(file_name(binding.user), serialize(binding))
            except Taken:
                raise AlreadyBound("The user has a ukey", user=binding.user) from None

    def remove(self, binding: Binding) -> None:
        """Remove `binding`. Raises :class:`NotEnrolled` if it is not the stored one any more."""
        name = file_name(binding.user)
        with self._writing:
            if self._read(name) != binding:
                raise NotEnrolled("The binding is gone or was changed", user=binding.user)
            self._folder.remove(name)

    def discard(self, user: str) -> None:
        """Remove the record under the name `user` that cannot be read."""
        with self._writing:
            self._folder.remove(file_name(user))

    def _read(self, name: str) -> Binding | None:
        if len(name) > _NAME_MAX:
            return None  # no file can have that name
        content = self._folder.read(name, RECORD_MAX)
        if content is None:
            return None
        try:
            binding = parse(content)
        except ValueError as error:
            raise self._folder.damaged(name, str(error)) from None
        if file_name(binding.user) != name:
            raise self._folder.damaged(name, Reason.OTHER_NAME)
        return binding


def serialize(binding: Binding) -> bytes:
    """The record's text: JSON, one field a line, ASCII."""
    return (json.dumps({"version": VERSION, **asdict(binding)}, indent=2) + "\n").encode()


def parse(content: bytes) -> Binding:
    """The binding in a record's text. ValueError says what is wrong with it."""
    try:
        fields = json.loads(content.decode("ascii"), object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError(Reason.NO_JSON) from None
    except ValueError as error:
        raise ValueError(Reason.BAD_JSON.format(detail=error)[:120]) from None
    if not isinstance(fields, dict) or fields.pop("version", None) != VERSION:
        raise ValueError(Reason.VERSION.format(version=VERSION))
    if fields.keys() != _FIELDS.keys():
        strange = ", ".join(sorted(fields.keys() ^ _FIELDS.keys()))
        raise ValueError(Reason.FIELDS.format(names=strange)[:120])
    for name, kind in _FIELDS.items():
        if type(fields[name]) is not _TYPES[kind]:
            raise ValueError(Reason.TYPE.format(name=name))
    binding = Binding(**fields)
    _check(binding)
    return binding


def _check(binding: Binding) -> None:
    try:
        check(binding.user)
    except UkeyError as error:
        raise ValueError(error.message) from None
    if not 0 <= binding.uid < 2**32 - 1 or not -1 <= binding.bound_by < 2**32:
        raise ValueError(Reason.UID)
    if not binding.serial or not binding.kind:
        raise ValueError(Reason.EMPTY)
    length = _POINT_BYTES.get(binding.algorithm)
    if length is None:
        raise ValueError(Reason.ALGORITHM)
    if len(binding.public_key) != 2 * length or len(bytes.fromhex(binding.public_key)) != length:
        raise ValueError(Reason.POINT.format(length=length))
    try:
        datetime.fromisoformat(binding.bound_at)
    except ValueError:
        raise ValueError(Reason.TIME) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError(Reason.TWICE)
    return fields


def _foreign(binding: Binding, person: Person) -> RecordForeign:
    return RecordForeign(
        user=person.name, uid=person.uid, record_user=binding.user, record_uid=binding.uid
    )
