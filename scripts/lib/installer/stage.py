# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Stage the product: every file with its content, mode and place, below one directory."""

from __future__ import annotations

import bz2
import compileall
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

from . import InstallError, vendor

LIBRARY = "usr/lib/ukey"
#: As in the checkout, so that links between documents lead somewhere.
DOCUMENTS = "usr/share/doc/pam-ukey"
EXAMPLES = f"{DOCUMENTS}/pam.d-examples"
PROFILES, PROFILE = "usr/share/pam-configs", "debian/pam-auth-update/ukey"
CONFIG = "etc/ukey/keyservice.toml"
#: Makers' certificates, an administrator's: nothing is in it as it is installed.
MAKERS = "etc/ukey/attestation.d"
#: Kept by --uninstall when they hold anything. Only root may look into them.
STATE = ("etc/usbkey", "var/lib/ukey")
WITNESSES = ("etc/usbkey/.witness", "var/lib/ukey/witness")

#: launcher: (the module whose main() it calls, whether it needs the vendored libraries)
LAUNCHERS = {
    "usr/sbin/getpubkey": ("tools.getpubkey", False),
    "usr/sbin/rmpubkey": ("tools.rmpubkey", False),
    "usr/bin/chpinpw": ("tools.chpinpw", False),
    "usr/bin/ukey": ("tools.ukey", False),
    "usr/libexec/ukey/keyservice": ("keyservice.__main__", True),
    "usr/libexec/ukey/device-worker": ("keyservice.ukeys.device", False),
    "usr/libexec/ukey/glass-console": ("keyservice.glass_console", False),
    "usr/libexec/ukey/users-may": ("keyservice.users_may", False),
}
#: `-B`: byte code is the installer's to write. Under the umask of the person who runs a command,
#: everybody could write a folder for it. `-I` is not enough in an environment that somebody else
#: filled: isolated or not, CPython takes the two variables for the place of an interpreter, looks
#: beside that for its own files, and runs them.
LAUNCHER = """\
#!/bin/sh
unset PYTHONEXECUTABLE __PYVENV_LAUNCHER__
exec /usr/bin/python3 -IB -c \\
    'import sys; sys.path[:0] = {path}; from {module} import main; raise SystemExit(main())' "$@"
"""
#: SELinux lets the domains that are entered by these run nothing but their one interpreter.
#: systemd, the bus and the keyservice start them, in environments of root's own.
ENTERED = frozenset({"usr/libexec/ukey/keyservice", "usr/libexec/ukey/device-worker"})
ENTRY = """\
#!/usr/bin/python3 -IB
import sys

sys.path[:0] = {path}

from {module} import main

raise SystemExit(main())
"""

#: (glob in the checkout, directory, mode). Each glob has to match.
DATA = (
    ("data/dbus/*.conf", "usr/share/dbus-1/system.d", 0o644),
    ("data/dbus/*.service", "usr/share/dbus-1/system-services", 0o644),
    ("data/keyservice.toml", "etc/ukey", 0o644),
    ("data/libexec/*", "usr/libexec/ukey", 0o755),
    ("data/systemd/*", "usr/lib/systemd/system", 0o644),
    ("data/systemd/pcscd.socket.d/*", "usr/lib/systemd/system/pcscd.socket.d", 0o644),
    ("data/systemd/system-generators/*", "usr/lib/systemd/system-generators", 0o755),
    ("data/tmpfiles/*", "usr/lib/tmpfiles.d", 0o644),
    ("data/udev/*", "usr/lib/udev/rules.d", 0o644),
    ("selinux/*", f"{DOCUMENTS}/selinux", 0o644),
    ("LICENSE", DOCUMENTS, 0o644),
    ("NOTICE", DOCUMENTS, 0o644),
)

BUILD_SECONDS = 300  # a compiler that takes longer hangs


def readme(checkout: Path) -> str:
    """README.md as a host has a use for it: what needs the sources is left out."""
    text = (checkout / "README.md").read_text()
    first, last = "## Try it, without a ukey\n", "## Bind a first ukey\n"
    before, _, rest = text.partition(first)
    _, found, after = rest.partition(last)
    if not found:
        raise InstallError(f"README.md: no sections from {first.strip()!r} to {last.strip()!r}")
    text = before + last + after
    text = text.replace("[What is new](CHANGELOG.md)", "[What is new](NEWS.md)")
    return text.replace("[Contributing](CONTRIBUTING.md)", "CONTRIBUTING.md in the sources")


def stage(
    checkout: Path, staged: Path, wheels: Path | None, *, compiled: bool, gmssl: bool
) -> None:
    """Fill the empty directory `staged` with the product, as it is to lie below /; `compiled`:
    with this Python's byte code too; `gmssl`: with that library.

    Raises :class:`InstallError` when a part is missing or cannot be built.
    """
    for package in ("keyservice", "pam_ukey", "tools"):
        shutil.copytree(
            checkout / package,
            staged / LIBRARY / package,
            ignore=shutil.ignore_patterns("native", "__pycache__", ".*"),
        )
    for name in ("vendor", "gmssl") if gmssl else ("vendor",):
        requirements = checkout / f"packaging/requirements-{name}.txt"
        vendor.unpack(requirements, staged / LIBRARY / "vendor", wheels)
    for place, (module, vendored) in LAUNCHERS.items():
        path = [f"/{LIBRARY}", *([f"/{LIBRARY}/vendor"] if vendored else [])]
        launcher = ENTRY if place in ENTERED else LAUNCHER
        # Double quotes, since single ones are around it in a shell's script.
        put(staged / place, launcher.format(path=json.dumps(path), module=module), 0o755)
    for pattern, directory, mode in DATA:
        for source in found(checkout, pattern):
            put(staged / directory / source.name, source.read_bytes(), mode)
    for name in ("docs", "pam.d-examples"):
        shutil.copytree(checkout / name, staged / DOCUMENTS / name)
    put(staged / DOCUMENTS / "README.md", readme(checkout), 0o644)
    # under the name CHANGELOG.md debhelper would take it for the package's own changelog
    put(staged / DOCUMENTS / "NEWS.md", (checkout / "CHANGELOG.md").read_bytes(), 0o644)
    if Path("/", PROFILES).is_dir():
        # Debian's menu of PAM profiles then offers it; it is off by default.
        put(staged / PROFILES / "ukey", (staged / EXAMPLES / PROFILE).read_bytes(), 0o644)
    for directory in (*STATE, MAKERS):
        (staged / directory).mkdir(parents=True)
    build_module(checkout / "pam_ukey/native", staged / pam_directory())
    build_policy(checkout / "selinux", staged / "usr/share/selinux/packages")
    build_catalogues(checkout / "data/locale", staged / "usr/share/locale")
    write_texts(checkout, staged)
    if compiled:
        compile_library(staged)
    set_modes(staged)


def put(path: Path, content: str | bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)


def pam_directory() -> str:
    """Where this machine's libpam looks for modules, without the leading slash."""
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    for candidate in (
        f"usr/lib/{multiarch}/security",
        "usr/lib64/security",
        "usr/lib/security",
    ):
        if Path("/", candidate, "pam_unix.so").exists():
            return candidate
    raise InstallError("no PAM is installed here: pam_unix.so is in none of its usual places")


def build_module(source: Path, directory: Path) -> None:
    """Compile pam_ukey.so, outside the checkout."""
    with tempfile.TemporaryDirectory() as objects:
        run(
            ["make", "--quiet", f"--jobs={os.cpu_count() or 1}", "-C", str(source), f"O={objects}"],
            "gcc, make and libpam0g-dev",
        )
        put(directory / "pam_ukey.so", Path(objects, "pam_ukey.so").read_bytes(), 0o644)


def build_policy(source: Path, directory: Path) -> None:
    """Compile the SELinux module, where its build tools are installed: packages are built with
    them, and a host without SELinux does without the module."""
    if not Path("/usr/share/selinux/devel/Makefile").exists():
        return
    with tempfile.TemporaryDirectory() as objects:
        run(["make", "--quiet", "-C", str(source), f"O={objects}"], "selinux-policy-dev")
        module = bz2.compress(Path(objects, "ukey.pp").read_bytes())
    put(directory / "ukey.pp.bz2", module, 0o644)


def compile_library(staged: Path) -> None:
    """Compile all Python there is; the files get their sources' times, so that none looks new."""
    compileall.compile_dir(staged / LIBRARY, quiet=1, stripdir=staged, prependdir="/")
    for compiled in (staged / LIBRARY).rglob("*.pyc"):
        source = compiled.parents[1] / (compiled.name.split(".")[0] + ".py")
        shutil.copystat(source, compiled)


def build_catalogues(source: Path, directory: Path) -> None:
    """Compile the translated texts: LANGUAGE.po and PART.LANGUAGE.po make one catalogue."""
    parts: dict[str, list[Path]] = {}
    for path in found(source, "*.po"):
        parts.setdefault(path.stem.split(".")[-1], []).append(path)
    for language, files in parts.items():
        target = directory / language / "LC_MESSAGES/ukey.mo"
        target.parent.mkdir(parents=True)
        with tempfile.NamedTemporaryFile(suffix=".po") as merged:
            run(["msgcat", "--use-first", f"--output-file={merged.name}", *files], "gettext")
            run(["msgfmt", "--check", f"--output-file={target}", merged.name], "gettext")


def write_texts(checkout: Path, staged: Path) -> None:
    """Write manual pages and completions, in the languages of the catalogues that are staged."""
    # Here: they are made from the product's own code, which needs what check_python() asks for.
    import completions
    import manuals

    manuals.write(checkout, staged)
    completions.write(staged)


def found(root: Path, pattern: str) -> list[Path]:
    """The files below `root` that the glob matches: at least one."""
    files = sorted(path for path in root.glob(pattern) if path.is_file())
    if not files:
        raise InstallError(f"the checkout lacks {root.name}/{pattern}")
    return files


def run(command: Sequence[str | Path], needs: str) -> None:
    """Run a build command. `needs`: the Debian packages that it comes from."""
    try:
        subprocess.run(command, check=True, timeout=BUILD_SECONDS, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise InstallError(f"{command[0]} is missing: install {needs}") from None
    except subprocess.TimeoutExpired:
        raise InstallError(f"{command[0]} did not end in {BUILD_SECONDS} s") from None
    except subprocess.CalledProcessError as error:
        raise InstallError(
            f"{command[0]} failed with status {error.returncode}; it needs {needs}"
        ) from None


def set_modes(staged: Path) -> None:
    """Modes do not depend on the checkout's, nor on the umask it was cloned with."""
    for path in staged.rglob("*"):
        if path.is_symlink():
            raise InstallError(f"{path.relative_to(staged)} is a symbolic link")
        executable = path.is_dir() or (path.stat().st_mode & 0o100 and LIBRARY not in str(path))
        path.chmod(0o755 if executable else 0o644)


def check_python() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - a user's machine may have an older one
        raise InstallError(f"/usr/bin/python3 is {sys.version.split()[0]}; 3.11 or later is needed")
