# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""scripts/install: what it places, what it keeps, and what it refuses."""

from __future__ import annotations

import json
import marshal
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.docs.test_links import local
from tests.install.conftest import WHEELS, Below, copy, copy_checkout
from tests.support import CHECKOUT
from tests.support.doors import open_to_others
from tests.support.machine import differences, tree
from tests.support.process import must, run

LAUNCHERS = (
    "sbin/getpubkey",
    "sbin/rmpubkey",
    "bin/chpinpw",
    "bin/ukey",
    "libexec/ukey/keyservice",
    "libexec/ukey/glass-console",
    "libexec/ukey/users-may",
)
CONFIG = "etc/ukey/keyservice.toml"
#: A module that nothing imports while the product is staged.
GONE = "pam_ukey/pam_python_entry.py"
#: Prints nothing if uninstalling gives back the machine that was there before installing.
THERE_AND_BACK = """
from tests.support.machine import differences, tree
from tests.support.process import must
folders = "/etc", "/usr", "/var", "/run", "/root", "/home"
leave_out = "/usr/src/ukey", "/var/cache/ukey-sandbox"
before = tree(*folders, leave_out=leave_out)
must(["scripts/install", "--wheels", "/opt/wheels"])
assert len(differences(before, tree(*folders, leave_out=leave_out))) > 100
must(["scripts/install", "--uninstall"])
for path in differences(before, tree(*folders, leave_out=leave_out)):
    print(path)
"""


@pytest.mark.smoke
def test_uninstalling_gives_back_the_machine() -> None:
    """On the real root directory, in a sandbox that has not seen the product."""
    done = run([CHECKOUT / "scripts/sandbox", sys.executable, "-c", THERE_AND_BACK], seconds=90)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_everything_is_placed_below_the_root(fresh: Path) -> None:
    files = Below(CHECKOUT, fresh).files()
    assert {f"usr/{launcher}" for launcher in LAUNCHERS} <= files
    assert {
        CONFIG,
        "etc/usbkey",
        "var/lib/ukey",
        "usr/lib/ukey/keyservice/__main__.py",
        "usr/lib/ukey/vendor/dbus_fast/__init__.py",
        "usr/lib/x86_64-linux-gnu/security/pam_ukey.so",
        "usr/libexec/ukey/breakglass",
        "usr/libexec/ukey/device-worker",
        "usr/share/dbus-1/system.d/org.ukey.KeyService1.conf",
        "usr/share/dbus-1/system-services/org.ukey.KeyService1.service",
        "usr/lib/systemd/system/ukey-keyservice.service",
        "usr/lib/systemd/system/ukey-keyservice.socket",
        "usr/lib/systemd/system/ukey-keyservice-user.socket",
        "usr/lib/systemd/system/pcscd.socket.d/ukey.conf",
        "usr/lib/systemd/system-generators/ukey-generator",
        "usr/lib/tmpfiles.d/ukey.conf",
        "usr/lib/udev/rules.d/69-ukey.rules",
        "usr/lib/udev/rules.d/71-ukey.rules",
        "usr/lib/udev/rules.d/74-ukey.rules",
        "usr/share/doc/pam-ukey/NEWS.md",
        "usr/share/doc/pam-ukey/README.md",
        "usr/share/doc/pam-ukey/docs/install.md",
        "usr/share/doc/pam-ukey/pam.d-examples/README.md",
        "usr/share/locale/zh_CN/LC_MESSAGES/ukey.mo",
        "usr/share/pam-configs/ukey",
    } <= files
    assert not any("softkey" in file or "/tests" in file for file in files)


def test_modes_are_the_product_s_not_the_checkout_s(copied: Below) -> None:
    """A checkout under a strict or a lax umask installs the same."""
    for path in copied.checkout.rglob("*.py"):
        path.chmod(0o777)
    assert copied.install().returncode == 0
    for path in copied.path.rglob("*"):
        relative = str(path.relative_to(copied.path))
        mode = path.stat().st_mode & 0o7777
        if relative in ("etc/usbkey", "var/lib/ukey"):
            assert mode == 0o700, relative
        elif path.is_dir() or relative.removeprefix("usr/") in (
            *LAUNCHERS,
            "libexec/ukey/breakglass",
            "libexec/ukey/device-worker",
            "libexec/ukey/in-use",
            "libexec/ukey/selinux-module",
            "lib/systemd/system-generators/ukey-generator",
        ):
            assert mode == 0o755, relative
        else:
            assert mode == 0o644, relative


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_launchers_import_nothing_of_the_caller_s(launcher: str, tmp_path: Path) -> None:
    """Neither from the current directory nor by the environment."""
    for name in ("argparse.py", "sitecustomize.py", "keyservice.py", "tools.py", "gettext.py"):
        (tmp_path / name).write_text("raise SystemExit('hijacked')\n")
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path), "PYTHONHOME": "/nonexistent"}
    done = run([f"/usr/{launcher}", "--help"], cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout


@pytest.mark.parametrize("launcher", [each for each in LAUNCHERS if "keyservice" not in each])
@pytest.mark.parametrize("name", ["PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__"])
def test_launchers_take_no_interpreter_of_the_caller_s(
    launcher: str, name: str, tmp_path: Path
) -> None:
    """By either variable, Python takes the files of a virtual environment, isolated or not."""
    obeyed = tmp_path / "obeyed"
    packages = tmp_path / f"lib/python3.{sys.version_info.minor}/site-packages"
    packages.mkdir(parents=True)
    (packages / "x.pth").write_text(f"import os; open({str(obeyed)!r}, 'w').close()\n")
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\n")
    env = {"PATH": os.environ["PATH"], name: f"{tmp_path}/bin/python3"}
    assert "usage" in run([f"/usr/{launcher}", "--help"], cwd=tmp_path, env=env).stdout
    assert not obeyed.exists()
    must(["/usr/bin/python3", "-I", "-c", ""], env=env)
    assert obeyed.exists()  # so the test would see it


def test_launchers_leave_no_folder_that_others_may_write() -> None:
    """Python makes one for byte code where there is none, and runs what it finds there later."""
    library = Path("/usr/lib/ukey")
    compiled = [each for each in library.rglob("__pycache__") if "vendor" not in each.parts]
    assert len(compiled) > 5
    for each in compiled:
        each.rename(each.with_name("away"))
    try:
        for launcher in LAUNCHERS:
            must(["sh", "-c", f"umask 0; exec /usr/{launcher} --help"])
            assert not {*library.rglob("__pycache__")} & {*compiled}, launcher
    finally:
        for each in compiled:
            shutil.rmtree(each, ignore_errors=True)
            each.with_name("away").rename(each)


def test_everything_is_compiled_and_says_where_it_lies(fresh: Path) -> None:
    """Nobody but root could keep a compiled file; and tracebacks name the installed file."""
    library = fresh / "usr/lib/ukey"
    tag = sys.implementation.cache_tag
    for source in library.rglob("*.py"):
        compiled = source.parent / f"__pycache__/{source.stem}.{tag}.pyc"
        content = compiled.read_bytes()
        assert int.from_bytes(content[8:12], "little") == int(source.stat().st_mtime)
        assert marshal.loads(content[16:]).co_filename == f"/{source.relative_to(fresh)}"


def test_installing_again_changes_nothing(installed: Below) -> None:
    """A running service does not lose a file that it has yet to import."""
    before = tree(installed.path)
    assert installed.install().returncode == 0
    manifest = str(installed.path / "usr/lib/ukey/manifest.json")
    assert set(differences(before, tree(installed.path))) <= {manifest}


def test_an_edited_configuration_is_kept_and_said(installed: Below) -> None:
    config = installed.path / CONFIG
    config.write_text("[service]\ndeadline = 30\n")
    for step in (installed.install, installed.uninstall):
        done = step()
        assert done.returncode == 0
        assert f"kept your /{CONFIG}" in done.stderr
        assert config.read_text() == "[service]\ndeadline = 30\n"
    assert installed.files() == {"etc", "etc/ukey", CONFIG}


def test_makers_certificates_are_kept_and_said(installed: Below) -> None:
    folder = installed.path / "etc/ukey/attestation.d"
    assert (folder.stat().st_mode & 0o7777, folder.stat().st_uid) == (0o755, 0)
    (folder / "maker.pem").write_text("")
    assert installed.install().returncode == 0
    done = installed.uninstall()
    assert "kept your /etc/ukey/attestation.d" in done.stderr
    assert (folder / "maker.pem").exists()


@pytest.fixture(scope="module")
def updated(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> Below:
    """A root with a later version, from a new clone: another configuration, a module fewer, and a
    module that is the same but for its time."""
    folder = tmp_path_factory.mktemp("updated")
    later = Below(copy_checkout(folder / "checkout"), copy(fresh, folder / "root"))
    (later.checkout / "data/keyservice.toml").write_text("# new defaults\n")
    (later.checkout / GONE).unlink()
    os.utime(later.checkout / "tools/output.py", (1, 1))
    done = later.install()
    assert (done.returncode, done.stderr) == (0, "")
    return later


def test_compiled_files_fit_after_a_fresh_clone(fresh: Path, updated: Below) -> None:
    """A new clone has the same files with new times; Python compares times with the compiled."""
    source = "usr/lib/ukey/tools/output.py"
    installed = updated.path / source
    assert installed.stat().st_mtime != (fresh / source).stat().st_mtime
    compiled = installed.parent / f"__pycache__/output.{sys.implementation.cache_tag}.pyc"
    assert int.from_bytes(compiled.read_bytes()[8:12], "little") == int(installed.stat().st_mtime)


def test_an_untouched_configuration_is_updated(updated: Below) -> None:
    assert (updated.path / CONFIG).read_text() == "# new defaults\n"


def test_what_a_new_version_no_longer_has_goes(fresh: Path, updated: Below) -> None:
    """Its compiled file too."""
    files = (Below(CHECKOUT, root).files() for root in (fresh, updated.path))
    was, gone = ([file for file in each if Path(GONE).stem in file] for each in files)
    assert len(was) == 2
    assert gone == []


def test_bindings_and_state_are_kept_and_said(installed: Below) -> None:
    (installed.path / "etc/usbkey/alice").write_text("{}")
    (installed.path / "var/lib/ukey/revoked").write_text("")
    done = installed.uninstall()
    assert done.returncode == 0
    assert "kept /etc/usbkey" in done.stderr
    assert "kept /var/lib/ukey" in done.stderr
    kept = {"etc/usbkey/alice", "var/lib/ukey/revoked"}
    assert {file for file in installed.files() if (installed.path / file).is_file()} == kept


@pytest.mark.parametrize("kept", [set(), {"var/lib/ukey/people"}])
def test_what_tells_of_loss_stays_with_what_is_kept(installed: Below, kept: set[str]) -> None:
    told = {"etc/usbkey/.witness", "var/lib/ukey/witness"} | kept
    for file in told:
        (installed.path / file).touch()
    assert ("kept /etc/usbkey" in installed.uninstall().stderr) is bool(kept)
    assert {f for f in installed.files() if (installed.path / f).is_file()} == (kept and told)


def test_files_of_others_are_left_alone(below: Below) -> None:
    theirs = below.path / "usr/share/dbus-1/system.d/theirs.conf"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("")
    (below.path / "usr/bin").mkdir()
    below.install()
    below.uninstall()
    assert theirs.exists()
    assert (below.path / "usr/bin").is_dir()


def test_what_a_package_brought_is_the_package_manager_s(packaged: Below, tmp_path: Path) -> None:
    """Neither updated nor removed behind its back."""
    below = Below(CHECKOUT, copy(packaged.path, tmp_path / "root"))
    before = tree(below.path)
    for step, told in ((below.install, "is a package's"), (below.uninstall, "nothing of pam-ukey")):
        done = step()
        assert done.returncode == 1
        assert told in done.stderr
    assert differences(before, tree(below.path)) == []


def test_a_package_has_neither_byte_code_nor_a_list(packaged: Below) -> None:
    files = packaged.files()
    assert "usr/lib/ukey/keyservice/__main__.py" in files
    assert not any("__pycache__" in file or "manifest" in file for file in files)
    done = run([CHECKOUT / "scripts/install", "--package"])
    assert done.returncode == 1
    assert "--root names it" in done.stderr


def test_links_between_the_documents_lead_somewhere_where_they_are_installed(fresh: Path) -> None:
    documents = fresh / "usr/share/doc/pam-ukey"
    found = list(documents.rglob("*.md"))
    assert len(found) > 10
    for document in found:
        for target, _ in local(document):
            assert target.exists(), f"{document.name} links to {target}"


def test_uninstalling_nothing_is_said(below: Below) -> None:
    done = below.uninstall()
    assert done.returncode == 1
    assert "nothing of pam-ukey is installed" in done.stderr


def test_an_install_that_was_cut_off_can_be_removed(below: Below) -> None:
    (below.path / "usr/sbin/rmpubkey").mkdir(parents=True)
    done = below.install()
    assert done.returncode == 1
    assert "rmpubkey is a directory" in done.stderr
    assert "usr/bin/ukey" in below.files()
    assert below.uninstall().returncode == 0
    assert below.files() == {"usr", "usr/sbin", "usr/sbin/rmpubkey"}


def test_a_wheel_that_was_changed_is_refused(below: Below, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    shutil.copytree(WHEELS, wheels)
    [wheel] = wheels.iterdir()
    with wheel.open("ab") as file:
        file.write(b"\0")
    done = below.install(wheels)
    assert done.returncode == 1
    assert "is not the file that was published" in done.stderr
    assert below.files() == set()


def test_any_wheel_serves_without_its_compiled_parts(below: Below, tmp_path: Path) -> None:
    """Another Python or processor than the wheel was made for: the sources run there too."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    [wheel] = WHEELS.iterdir()
    shutil.copy(wheel, wheels / wheel.name.replace("-cp311-cp311-", "-cp399-cp399-"))
    assert below.install(wheels).returncode == 0
    vendor = below.path / "usr/lib/ukey/vendor"
    assert not list(vendor.rglob("*.so"))
    script = "import dbus_fast.message_bus as used; print(used.__file__)"
    done = run([sys.executable, "-c", script], env={"PYTHONPATH": str(vendor)})
    assert done.stdout == f"{vendor}/dbus_fast/message_bus.py\n", done.stderr


def test_a_missing_wheel_is_said(below: Below, tmp_path: Path) -> None:
    done = below.install(tmp_path)
    assert done.returncode == 1
    assert "holds no wheel of dbus-fast" in done.stderr
    assert below.files() == set()


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("data/keyservice.toml", "data/keyservice.toml"),
        ("data/dbus", "data/dbus/*.conf"),
        ("data/locale", "locale/*.po"),
    ],
)
def test_a_missing_part_is_an_error_and_nothing_is_placed(
    copied: Below, missing: str, told: str
) -> None:
    path = copied.checkout / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    done = copied.install()
    assert done.returncode == 1
    assert "the checkout lacks" in done.stderr
    assert told in done.stderr
    assert copied.files() == set()


def test_a_missing_compiler_is_said(below: Below, tmp_path: Path) -> None:
    done = run(
        [CHECKOUT / "scripts/install", "--root", below.path, "--wheels", WHEELS],
        env={"PATH": str(tmp_path)},
    )
    assert done.returncode == 1
    assert "make is missing: install gcc, make and libpam0g-dev" in done.stderr
    assert below.files() == set()


def test_only_root_installs_on_the_machine(tmp_path: Path) -> None:
    who = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    done = run([*who, CHECKOUT / "scripts/install", "--wheels", WHEELS])
    assert done.returncode == 1
    assert "only root can do this" in done.stderr


def test_anybody_stages_a_package(tmp_path: Path) -> None:
    open_to_others(tmp_path)
    tmp_path.chmod(0o777)
    who = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    root = tmp_path / "package"
    done = run([*who, CHECKOUT / "scripts/install", "--root", root, "--wheels", WHEELS])
    assert (done.returncode, done.stderr) == (0, "")
    manifest = json.loads((root / "usr/lib/ukey/manifest.json").read_text())
    assert manifest["version"] == 1
    assert "usr/bin/ukey" in manifest["files"]
