# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Reading a host's files without being held up by anything, and telling whose they are."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

#: The kernel's own file systems: a thing that looks like a file there may act when it is read, as
#: kmsg does.
_KERNELS = ("/proc", "/sys", "/sys/kernel/debug", "/sys/kernel/tracing")
#: No stack is as long as this.
_BYTES_MAX = 1 << 20


class Unreadable(Exception):
    """A file that cannot be read. `missing`: there is none of that name; `irregular`: it is
    something else than a file; `forbidden`: it is somebody else's."""

    def __init__(self, path: Path, number: int) -> None:
        super().__init__(os.strerror(number))
        self.path, self.number = path, number
        self.missing = number in (errno.ENOENT, errno.ENOTDIR)
        self.irregular = number in (errno.EISDIR, errno.EINVAL)
        self.forbidden = number in (errno.EACCES, errno.EPERM)


def read(path: Path, limit: int = _BYTES_MAX, *, kernels: bool = False) -> bytes:
    """The content of a regular file of at most `limit` bytes. Raises :class:`Unreadable`.

    Nothing else is even opened, as far as that can be known before: a device may act on it, and so
    may a file of the kernel's. With `kernels` its files are read too: for names that are known.
    """
    try:
        _must_be_regular(path.stat(), kernels=kernels)
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            _must_be_regular(os.fstat(descriptor), kernels=kernels)
            content = file.read(limit + 1)
        if content is None:  # a file of the kernel's that has nothing yet
            raise OSError(errno.EAGAIN, "")
        if len(content) > limit:
            raise OSError(errno.EFBIG, "")
    except OSError as error:
        raise Unreadable(path, error.errno or errno.EIO) from None
    except ValueError:  # a name with a zero byte
        raise Unreadable(path, errno.ENOENT) from None
    return content


def others_may_write(status: os.stat_result, *, root_group: bool = True) -> bool:
    """Whether others than root own the file, or may write it. In a sticky folder they may only add
    new files.

    `root_group`: the group of gid 0 is root, as on a host that runs. For an image's group this is
    not known.
    """
    return status.st_uid != 0 or (
        others_may_add(status, root_group=root_group) and not is_sticky(status)
    )


def others_may_add(status: os.stat_result, *, root_group: bool = True) -> bool:
    """Whether the mode lets others than root write it, or put something into the folder."""
    of_root = root_group and status.st_gid == 0
    return bool(status.st_mode & (stat.S_IWOTH | (0 if of_root else stat.S_IWGRP)))


def is_sticky(status: os.stat_result) -> bool:
    return stat.S_ISDIR(status.st_mode) and bool(status.st_mode & stat.S_ISVTX)


def _must_be_regular(status: os.stat_result, *, kernels: bool) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL, "")
    if kernels:
        return
    if any(path.is_mount() and path.stat().st_dev == status.st_dev for path in map(Path, _KERNELS)):
        raise OSError(errno.EINVAL, "")
