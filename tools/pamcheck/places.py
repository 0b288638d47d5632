# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Where a host keeps its stacks and modules, and reading them without being held up by anything."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .elf import Has, defines

#: Where libpam looks for a service, in its order; the first is the administrator's.
_FOLDERS = ("etc/pam.d", "usr/lib/pam.d", "usr/etc/pam.d")
_MODULES = (
    "lib/*/security",
    "usr/lib/*/security",
    "lib/security",
    "usr/lib/security",
    "lib64/security",
    "usr/lib64/security",
)
#: The kernel's own file systems: what looks like a file there may act on being read, as kmsg does.
_KERNELS = ("/proc", "/sys", "/sys/kernel/debug", "/sys/kernel/tracing")
_LINKS_MAX = 40
#: No stack is as long as this.
_BYTES_MAX = 1 << 20


class Unreadable(Exception):
    """A file that cannot be taken for a stack. `missing`: there is none of that name; `forbidden`:
    it is somebody else's."""

    def __init__(self, path: Path, number: int) -> None:
        super().__init__(os.strerror(number))
        self.path, self.number = path, number
        self.missing = number in (errno.ENOENT, errno.ENOTDIR)
        self.forbidden = number in (errno.EACCES, errno.EPERM)


def read(path: Path) -> bytes:
    """The content of a regular file. Raises :class:`Unreadable`.

    Nothing else is even opened, as far as that can be known before: a device may act on it, and so
    may a file of the kernel's.
    """
    try:
        _must_be_regular(path.stat())
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            _must_be_regular(os.fstat(descriptor))
            content = file.read(_BYTES_MAX + 1)
        if content is None:  # a file of the kernel's that has nothing yet
            raise OSError(errno.EAGAIN, "")
        if len(content) > _BYTES_MAX:
            raise OSError(errno.EFBIG, "")
    except OSError as error:
        raise Unreadable(path, error.errno or errno.EIO) from None
    except ValueError:  # a name with a zero byte
        raise Unreadable(path, errno.ENOENT) from None
    return content


def _must_be_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL, "")
    if any(path.is_mount() and path.stat().st_dev == status.st_dev for path in map(Path, _KERNELS)):
        raise OSError(errno.EINVAL, "")


@dataclass(frozen=True)
class Places:
    """A host below `root`, which may be an image of one."""

    root: Path = Path("/")

    @cached_property
    def folders(self) -> tuple[Path, ...]:
        return tuple(self.root / folder for folder in _FOLDERS)

    def find(self, name: str) -> Path | None:
        """The file that a service or an include of a bare name means."""
        if not name or "\0" in name:
            return None
        if name.startswith("/"):
            path = self.root / name.lstrip("/")
            return path if os.path.lexists(path) else None
        paths = (folder / name for folder in self.folders)
        return next((path for path in paths if os.path.lexists(path)), None)

    def follow(self, path: Path) -> Path:
        """The file behind a symbolic link, which in an image counts from its root."""
        for _turn in range(_LINKS_MAX):
            try:
                target = path.readlink()
            except OSError:
                break
            inside = self.root / str(target).lstrip("/") if target.is_absolute() else target
            path = path.parent / inside
        return path

    def services(self) -> Iterator[tuple[str, Path]]:
        """Every file, by name; the administrator's come before the packages' of that name."""
        found: dict[str, Path] = {}
        for folder in reversed(self.folders):
            try:
                found |= {
                    path.name: path for path in folder.iterdir() if self.follow(path).is_file()
                }
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise Unreadable(folder, error.errno or errno.EIO) from None
        yield from sorted(found.items())

    @cached_property
    def _modules(self) -> list[Path]:
        """The folders of modules that there are, and that can be looked into."""
        return [
            folder
            for pattern in _MODULES
            for folder in self.root.glob(pattern)
            if folder.is_dir() and os.access(folder, os.R_OK | os.X_OK)
        ]

    def module(self, module: str) -> Path | None:
        """The file that libpam loads by this name; None where there is none."""
        if "$ISA" in module:
            return self._module_by_isa(module)
        if module.startswith("/"):
            path = self.root / module.lstrip("/")
            return path if self._there(path) else None
        paths = (folder / module for folder in self._modules)
        return next((path for path in paths if self._there(path)), None)

    def _module_by_isa(self, module: str) -> Path | None:
        """Debian's libpam knows no architectures: it only looks in /lib/security in the end."""
        name = module.rsplit("/", 1)[-1]
        folders = [self.root / "lib/security"] if self._multiarch else self._modules
        if self._multiarch and module != f"$ISA/{name}":
            return None
        return next((each / name for each in folders if self._there(each / name)), None)

    @cached_property
    def _multiarch(self) -> bool:
        return any("-linux-" in folder.parent.name for folder in self._modules)

    def _there(self, path: Path) -> bool:
        try:
            return os.path.lexists(self.follow(path))
        except ValueError:  # a name with a zero byte
            return False

    def lacks(self, module: str) -> bool:
        """Whether a module is surely missing, or no module: there are folders of modules, and what
        none of them has, libpam cannot load."""
        if not self._modules:
            return False
        return self.module(module) is None or self._function(module) is Has.BROKEN

    def has_auth(self, module: str) -> bool | None:
        """Whether a module has the function for auth lines; None where that cannot be seen."""
        return {Has.YES: True, Has.NO: False}.get(self._function(module))

    def _function(self, module: str) -> Has:
        if module not in self._functions:
            path = self.module(module) if self._modules else None
            found = Has.UNKNOWN
            if path is not None:
                found = defines(self.follow(path), "pam_sm_authenticate")
            self._functions[module] = found
        return self._functions[module]

    @cached_property
    def _functions(self) -> dict[str, Has]:
        return {}

    def has_file(self, name: str) -> bool | None:
        """Whether there is a file of this absolute name; None where that cannot be seen."""
        try:
            (self.root / name.lstrip("/")).stat()
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return False
        except OSError:
            return None
        return True
