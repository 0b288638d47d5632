# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The places where a host keeps its stacks and modules, and how to read them without being held
up."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from . import folders
from .elf import Has, defines
from .reading import Unreadable

#: The folders in which modules may be, on hosts whose libpam does not say where it looks for them.
_MODULES = (
    "lib/*/security",
    "usr/lib/*/security",
    "lib/security",
    "usr/lib/security",
    "lib64/security",
    "usr/lib64/security",
)
_LINKS_MAX = 40


def _may_be(path: Path) -> bool:
    """Whether there is something by this name, or it cannot be seen."""
    try:
        path.lstat()
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


@dataclass(frozen=True)
class Places:
    """A host below `root`, which may be an image of one."""

    root: Path = Path("/")

    @cached_property
    def folders(self) -> tuple[Path, ...]:
        """The folders in which libpam looks for a service, in its order; the first is the
        administrator's."""
        read_ = folders.read_by_libpam(self.root) or (folders.ADMINISTRATORS,)
        return tuple(self.root / folder for folder in read_)

    @cached_property
    def passed_by(self) -> tuple[Path, ...]:
        """Folders of services that libpam does not read, or may not read."""
        given = [str(folder.relative_to(self.root)) for folder in self.folders]
        return tuple(self.root / folder for folder in folders.others(given))

    @cached_property
    def surely(self) -> bool:
        """Whether it is known which folders libpam reads."""
        return folders.read_by_libpam(self.root) is not None

    def find(self, name: str) -> Path | None:
        """The file that a service or an include of a bare name means."""
        if not name or "\0" in name:
            return None
        if name.startswith("/"):
            path = self.root / name.lstrip("/")
            return path if _may_be(path) else None
        return self._first(self.folders, name)

    def unread(self, name: str) -> Path | None:
        """The file of a service in a folder that libpam passes by, or may pass by."""
        return self._first(self.passed_by, name)

    def _first(self, where: tuple[Path, ...], name: str) -> Path | None:
        """libpam goes on to the next folder where it cannot open a file."""
        paths = [folder / name for folder in where]
        there = (path for path in paths if _may_be(self.follow(path)))
        broken = (path for path in paths if _may_be(path))
        return next(there, None) or next(broken, None)

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
        for folder in reversed((*self.folders, *self.passed_by)):
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
        return [folder for folder in self._given if os.access(folder, os.R_OK | os.X_OK)]

    @cached_property
    def _closed(self) -> bool:
        """Whether there is one that cannot be looked into."""
        return len(self._modules) < len(self._given)

    @cached_property
    def _given(self) -> list[Path]:
        patterns = folders.modules_of_libpam(self.root) or _MODULES
        found = (folder for pattern in patterns for folder in self.root.glob(pattern))
        return [folder for folder in found if folder.is_dir()]

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
        """Debian's libpam knows no architectures: it only looks in /lib/security as the last
        place."""
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
            return _may_be(self.follow(path))
        except ValueError:  # a name with a zero byte
            return False

    def leads_elsewhere(self, module: str) -> bool:
        """Whether what libpam loads by this name is surely not what it loads by its last part, or
        is a file by another name."""
        path, base = self.module(module), module.rpartition("/")[2]
        if path is None or "$ISA" in module:
            return False
        file = self.follow(path)
        if file.name.partition(".")[0] != base.partition(".")[0]:
            return True
        if module == base:
            return False
        plain = [folder / base for folder in self._modules if self._there(folder / base)]
        same = [_same(file, self.follow(each)) for each in plain]
        # If it is not known where libpam looks, none of them may be another file.
        return not (any(same) if folders.modules_of_libpam(self.root) else same and all(same))

    def lacks(self, module: str) -> bool:
        """Whether a module is surely missing, or no module: there are folders of modules, and
        libpam cannot load what none of them has."""
        if not self._modules or (self._closed and not module.startswith("/")):
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
