# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The makers' certificates that an administrator has put on this host: whose ukeys vouch for their
keys. They are read each time that somebody is bound; no login needs them."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from keyservice.contract.names import ATTESTATION_DIR
from keyservice.core.reasons import Unfit

if TYPE_CHECKING:  # a host without such certificates needs no X.509
    from keyservice.crypto.attestation import Maker

#: Bytes of a file; files that are read; certificates in all of them.
SIZE_MAX, FILES_MAX, CERTIFICATES_MAX = 64 * 1024, 64, 64
#: The ends of names that count, so that an editor's backup does not.
_ENDS = (".pem", ".crt", ".cer", ".der")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_OTHERS = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Makers:
    """What is in the folder, as read at one time."""

    path: Path
    found: tuple[Maker, ...] = ()
    wrong: tuple[str, ...] = ()  #: a line, in English, for each file that does not count
    trusted: bool = True  #: False where the folder itself does not count


def read(path: Path = Path(ATTESTATION_DIR)) -> Makers:
    """The certificates in the folder; none where there is no folder. A file that cannot be trusted
    does not count, and keeps no other one out. Never raises."""
    try:
        folder = os.open(path, _FOLDER)
    except FileNotFoundError:
        return Makers(path)
    except OSError as error:
        return Makers(path, wrong=(f"{path}: {error.strerror}",), trusted=False)
    try:
        why = _folder_is_open(path, folder)
        if why:
            return Makers(path, wrong=(f"{path}: {why}",), trusted=False)
        return _read(path, folder)
    except OSError as error:
        return Makers(path, wrong=(f"{path}: {error.strerror}",), trusted=False)
    finally:
        os.close(folder)


def _read(path: Path, folder: int) -> Makers:
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    if not names:
        return Makers(path)
    from keyservice.crypto import attestation

    found: list[Maker] = []
    wrong: list[str] = []
    now = datetime.now(UTC)
    for number, name in enumerate(names):
        try:
            if number >= FILES_MAX:
                raise Unfit(f"it is left out: no more than {FILES_MAX} files are read")
            made = attestation.makers(_content(folder, name))
            if len(found) + len(made) > CERTIFICATES_MAX:
                raise Unfit(f"it is left out: no more than {CERTIFICATES_MAX} certificates count")
            if any(attestation.expired(each, now) for each in made):
                wrong.append(f"{path / name}: it holds a certificate that is not valid today")
            found += made
        except Unfit as error:
            wrong.append(f"{path / name}: {error}")
        except OSError as error:
            wrong.append(f"{path / name}: {error.strerror}")
    return Makers(path, tuple(found), tuple(wrong))


def _folder_is_open(path: Path, folder: int) -> str:
    """Why others than root could put files into it; empty where they cannot."""
    found = os.fstat(folder)
    if found.st_uid != 0 or found.st_mode & _OTHERS:
        return "others than root may write in it"
    for above in path.resolve().parents:
        seen = above.stat()
        theirs = seen.st_mode & stat.S_IWOTH or (seen.st_mode & stat.S_IWGRP and seen.st_gid != 0)
        if seen.st_uid != 0 or (theirs and not seen.st_mode & stat.S_ISVTX):
            return f"others than root may write in {above}"
    return ""


def _content(folder: int, name: str) -> bytes:
    """Raises :class:`Unfit`, in English, and :class:`OSError`."""
    if not name.endswith(_ENDS):
        raise Unfit(f"it is left out: a certificate's name ends in one of {', '.join(_ENDS)}")
    try:
        file = os.open(name, _READ, dir_fd=folder)
    except OSError:
        if stat.S_ISLNK(os.lstat(name, dir_fd=folder).st_mode):
            raise Unfit("it is a symbolic link") from None
        raise
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise Unfit("it is no ordinary file")
        if found.st_uid != 0 or found.st_mode & _OTHERS:
            raise Unfit("others than root may write it")
        content = b""
        while len(content) <= SIZE_MAX and (part := os.read(file, SIZE_MAX + 1)):
            content += part
        if len(content) > SIZE_MAX:
            raise Unfit(f"it has more than {SIZE_MAX} bytes")
        return content
    finally:
        os.close(file)
