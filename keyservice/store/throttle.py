# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Wrong PINs, kept across restarts. ``access.throttle`` decides what follows from them.

There are two files. ``throttle`` has the PINs that were wrong, and outlives a power cut.
``throttle-sent`` has the PINs that are on their way to a ukey, or whose outcome nobody knows. It is
written at each PIN, and so without fsync: it outlives a service that is killed, and an attacker who
cuts the power has to wait for a boot.

The files have a folder of their own, which is made with the first PIN. Every account can see when a
folder changed, even one that it may not look into. So a change in the folder of the state would
tell that a PIN went to a ukey, and under ``uniform`` that the password was right.

Version 1 of ``throttle`` counted by serial only, in ``ukeys``. That is still written, for a host
that goes back to it (and moves the file back, to the folder of the state), and is read if ``pins``
is missing.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from keyservice.core.errors import RecordDamaged, StoreFailed, UkeyError
from keyservice.core.reasons import Reason

from .files import PrivateDirectory

VERSION = 1
FOLDER = "pauses"
FILE, FILE_SENT = "throttle", "throttle-sent"
FILE_MAX = 1024 * 1024  #: bytes
#: In place of an application's name: any application. A count by serial only is read so.
ANY = ""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class PinName:
    """Which PIN: an application's, on a ukey."""

    serial: str
    application: str
    admin: bool = False  #: the admin PIN, else the user PIN


@dataclass(frozen=True, slots=True)
class Failures:
    """Wrong PINs in a row, and the time until which no further one is taken."""

    count: int
    until: float  #: seconds on CLOCK_BOOTTIME of the boot that the file names


@dataclass(frozen=True, slots=True)
class Sent:
    """A PIN that was counted before it was sent, and of which no outcome is known."""

    left: int | None  #: the tries before it, None if they were not known
    until: float  #: as in :class:`Failures`, if it was wrong


class ThrottleFile:
    """The files. Blocking; one thread at a time."""

    def __init__(self, state: PrivateDirectory) -> None:
        """`state`: the folder of the service's state, where older versions have these files."""
        self._older, self._folder = state, PrivateDirectory(state.path / FOLDER)

    def load(self) -> tuple[str, dict[PinName, Failures]]:
        """(boot id, wrong PINs); the boot id is empty if there is no file.

        For the service's start: what a killed writer left behind is removed. Raises
        :class:`RecordDamaged` and :class:`StoreFailed`.
        """
        if os.path.lexists(self._folder.path):
            with suppress(StoreFailed):  # it may stay on a disk that cannot be written to
                self._folder.prepare()
        fields = self._read(FILE)
        if fields is None:
            return "", {}
        with _parsing(self._folder, FILE):
            return _boot(fields), _failures(fields)

    def load_sent(self) -> tuple[str, dict[PinName, Sent]]:
        """(boot id, PINs of which no outcome is known). As :meth:`load`."""
        fields = self._read(FILE_SENT)
        if fields is None:
            return "", {}
        with _parsing(self._folder, FILE_SENT):
            return _boot(fields), _all_sent(fields)

    def damage(self) -> list[UkeyError]:
        """Why a load would fail. Changes nothing."""
        found: list[UkeyError] = []
        for folder in (self._older, self._folder):
            for name, parse in ((FILE, _failures), (FILE_SENT, _all_sent)):
                try:
                    fields = self._fields(folder, name) if folder.there else None
                    if fields is not None:
                        with _parsing(folder, name):
                            _boot(fields), parse(fields)
                except (RecordDamaged, StoreFailed) as error:
                    found.append(error)
        return found

    def save(self, boot: str, failures: Mapping[PinName, Failures]) -> None:
        """Replace the wrong PINs, on the disk. Raises :class:`StoreFailed`."""
        self._write(FILE, {"ukeys": _by_serial(failures)}, boot, failures, sync=True)

    def save_sent(self, boot: str, sent: Mapping[PinName, Sent]) -> None:
        """Replace the PINs of which no outcome is known. Raises :class:`StoreFailed`."""
        self._write(FILE_SENT, {}, boot, sent, sync=False)

    def _read(self, name: str) -> dict[str, Any] | None:
        return self._fields(self._found(name), name)

    def _fields(self, folder: PrivateDirectory, name: str) -> dict[str, Any] | None:
        content = folder.read(name, FILE_MAX)
        if content is None or (name == FILE_SENT and not content.strip(b"\0")):
            return None  # a power cut leaves it empty, or full of zeros
        with _parsing(self._folder, name):
            fields = json.loads(content.decode("ascii"))
            if fields["version"] != VERSION:
                raise ValueError("not of this version")
            assert isinstance(fields, dict)
            return fields

    def _found(self, name: str) -> PrivateDirectory:
        """The file's folder. A file that an older version left, or wrote since, is moved there."""
        if not self._is_older(name):
            return self._folder if os.path.lexists(self._folder.path) else self._older
        try:
            self._folder.prepare()
            self._older.move(name, self._folder)
        except StoreFailed:  # a disk that cannot be written to can be read
            return self._older
        return self._folder

    def _is_older(self, name: str) -> bool:
        return os.path.lexists(self._older.path / name)

    def _write(
        self,
        name: str,
        more: dict[str, Any],
        boot: str,
        pins: Mapping[PinName, Failures] | Mapping[PinName, Sent],
        *,
        sync: bool,
    ) -> None:
        rows = [asdict(pin) | asdict(entry) for pin, entry in pins.items()]
        text = json.dumps({"version": VERSION, "boot": boot, **more, "pins": rows}, indent=2)
        if len(text) >= FILE_MAX:  # the next start would have no count at all
            path, why = f"{self._folder.path}/{name}", Reason.TOO_MANY.value
            raise StoreFailed("Cannot write a record", path=path, why=why)
        if not os.path.lexists(self._folder.path):
            self._folder.prepare()
            self._older.sync()
        self._folder.replace(name, (text + "\n").encode(), sync=sync)
        if self._is_older(name):  # and could not be taken over
            self._older.remove(name)


@contextmanager
def _parsing(folder: PrivateDirectory, name: str) -> Iterator[None]:
    """An error inside means that the file `name` is damaged."""
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise folder.damaged(name, Reason.THROTTLE) from None


def _by_serial(failures: Mapping[PinName, Failures]) -> dict[str, dict[str, Any]]:
    """The wrong user PINs as version 1 counted them: the most of any of a ukey's applications."""
    found: dict[str, Failures] = {}
    for pin, entry in failures.items():
        if entry.count and not pin.admin:
            other = found.get(pin.serial, entry)
            until = max(entry.until, other.until)
            found[pin.serial] = Failures(max(entry.count, other.count), until)
    return {serial: asdict(entry) for serial, entry in found.items()}


def _boot(fields: dict[str, Any]) -> str:
    return _checked(fields["boot"], str)


def _failures(fields: dict[str, Any]) -> dict[PinName, Failures]:
    if "pins" in fields:
        return {_name(entry): _entry(entry, least=0) for entry in fields["pins"]}
    return {
        PinName(serial, ANY): _entry(entry, least=1) for serial, entry in fields["ukeys"].items()
    }


def _all_sent(fields: dict[str, Any]) -> dict[PinName, Sent]:
    return {_name(entry): _sent(entry) for entry in fields["pins"]}


def _name(entry: dict[str, Any]) -> PinName:
    return PinName(
        _checked(entry["serial"], str),
        _checked(entry["application"], str),
        _checked(entry["admin"], bool),
    )


def _entry(entry: dict[str, Any], *, least: int) -> Failures:
    count = _checked(entry["count"], int)
    if count < least:
        raise ValueError("a count is wrong")
    return Failures(count, _until(entry))


def _sent(entry: dict[str, Any]) -> Sent:
    left = entry["left"]
    return Sent(None if left is None else _checked(left, int), _until(entry))


def _until(entry: dict[str, Any]) -> float:
    until = entry["until"]
    if not math.isfinite(until):
        raise ValueError("a time is wrong")
    return float(until)


def _checked(value: Any, kind: type[_T]) -> _T:
    if type(value) is not kind:
        raise TypeError("a field is of another type")
    return value
