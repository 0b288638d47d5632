# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Place what was staged below the root directory, and remove exactly that again."""

from __future__ import annotations

import filecmp
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from . import InstallError
from .stage import CONFIG, LIBRARY, MAKERS, STATE, WITNESSES

#: The list of what was placed: {"version": 1, "files": {path: SHA-256 or "" for directories}}
MANIFEST = f"{LIBRARY}/manifest.json"

#: Whether a PAM stack uses what is to be removed. The checkout's: what is installed may be damaged.
IN_USE = Path(__file__).resolve().parents[3] / "data/libexec/in-use"
IN_USE_SECONDS = 60


class Root:
    """The directory that the product lies below: / or a package's staging directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.placed = self._read_manifest()
        #: what the person should know: kept files, mostly
        self.notes: list[str] = []

    def _read_manifest(self) -> dict[str, str]:
        try:
            content = json.loads((self.path / MANIFEST).read_text())
        except FileNotFoundError:
            return {}
        except ValueError:
            raise InstallError(f"/{MANIFEST} is damaged: install again, then uninstall") from None
        return {str(path): str(digest) for path, digest in content["files"].items()}

    def _write_manifest(self, files: dict[str, str]) -> None:
        content = {"version": 1, "files": dict(sorted(files.items()))}
        target = self.path / MANIFEST
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(".manifest.json.new")
        temporary.write_text(json.dumps(content, indent=1) + "\n")
        temporary.chmod(0o644)
        temporary.replace(target)

    def refuse_a_package_s(self) -> None:
        """Files that a package manager placed are neither updated nor removed without it."""
        if not self.placed and (self.path / LIBRARY).exists():
            raise InstallError(f"/{LIBRARY} is a package's: update or remove it with apt or dnf")

    def install(self, staged: Path, *, listed: bool = True) -> None:
        """Place all of `staged`; files that an earlier install placed and this one does not, go.

        `listed`: keep the list for the next install, and for :meth:`uninstall`.
        """
        wanted = {
            str(path.relative_to(staged)): "" if path.is_dir() else digest(path)
            for path in sorted(staged.rglob("*"))
        }
        before = {path for path in wanted if (self.path / path).is_dir()} - self.placed.keys()
        ours = {path: sha for path, sha in wanted.items() if path not in before}
        self.path.mkdir(parents=True, exist_ok=True)
        # Both old and new are listed meanwhile: an install that is cut off can be removed.
        if listed:
            self._write_manifest({**self.placed, **ours})
        for path in wanted:
            source, target = staged / path, self.path / path
            if path == CONFIG and self._edited(path):
                self.notes.append(f"kept your /{path}")
            elif path in STATE:
                private_directory(target)
            elif source.is_dir():
                target.mkdir(mode=0o755, exist_ok=True)
            else:
                place(source, target)
        if listed:
            self._remove(self.placed.keys() - wanted.keys())
            self._write_manifest(ours)

    def _edited(self, path: str) -> bool:
        """The file is there, and not as we placed it."""
        target = self.path / path
        return target.exists() and digest(target) != self.placed.get(path)

    def uninstall(self) -> None:
        """Remove what was placed. Bindings, state and an edited configuration stay."""
        if not self.placed:
            raise InstallError(f"nothing of pam-ukey is installed below {self.path}")
        self._refuse_if_used()
        keep = set()
        if self._edited(CONFIG):
            keep.add(CONFIG)
            self.notes.append(f"kept your /{CONFIG}")
        if (self.path / MAKERS).is_dir() and any((self.path / MAKERS).iterdir()):
            self.notes.append(f"kept your /{MAKERS}")
        self._remove_bare_witnesses()
        for directory in STATE:
            target = self.path / directory
            if target.is_dir() and any(target.iterdir()):
                self.notes.append(f"kept /{directory}: it holds what this host knows of its ukeys")
        self._remove([*(self.placed.keys() - keep), MANIFEST, LIBRARY])

    def _remove_bare_witnesses(self) -> None:
        """The files that tell of loss go if nothing is kept that could get lost."""
        kept = {path for each in STATE for path in (self.path / each).glob("*")}
        witnesses = [self.path / each for each in WITNESSES]
        if kept <= set(witnesses):
            for each in witnesses:
                each.unlink(missing_ok=True)

    def _refuse_if_used(self) -> None:
        """A stack that names a missing module lets nobody in."""
        done = subprocess.run(
            [IN_USE, self.path],
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=IN_USE_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise InstallError(done.stderr.strip())

    def _remove(self, paths: Iterable[str]) -> None:
        """Remove files, then the directories that are empty by then; deepest first."""
        for path in sorted(paths, reverse=True):
            target = self.path / path
            if target.is_dir() and not target.is_symlink():
                if not any(target.iterdir()):
                    target.rmdir()
            else:
                target.unlink(missing_ok=True)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def place(source: Path, target: Path) -> None:
    """Put a file in one step: a process that opens `target` finds the old or the new one."""
    if target.is_dir():
        raise InstallError(f"{target} is a directory; a file is to be placed there")
    if same(source, target):
        return
    temporary = target.with_name(f".{target.name}.new")
    shutil.copy2(source, temporary)
    temporary.replace(target)


def same(source: Path, target: Path) -> bool:
    """Whether `target` need not be placed again."""
    if target.is_symlink() or not target.is_file():
        return False
    new, old = source.stat(), target.stat()
    # Python compares a source's time with the one in its compiled file.
    if source.suffix in (".py", ".pyc") and int(new.st_mtime) != int(old.st_mtime):
        return False
    return new.st_mode == old.st_mode and filecmp.cmp(source, target, shallow=False)


def private_directory(target: Path) -> None:
    if target.is_symlink():
        raise InstallError(f"{target} is a symbolic link; it must be a directory of root's own")
    target.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() == 0:
        os.chown(target, 0, 0)
    target.chmod(0o700)
