# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Whether users may have readers: by the configuration alone, and shut whatever goes wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyservice.contract.names import CONFIG_FILE
from tests.support.host import Host
from tests.support.process import run
from tests.support.restore import Restorer
from tests.units.readers import GENERATOR, as_loaded, generate, plug_in

CONFIG = Path(CONFIG_FILE)
USERS_MAY = Path("/usr/libexec/ukey/users-may")
INVALID = "shared_pcsc = tru\n"

#: name: (the configuration, whether pcscd is for users, what standard error says)
CONFIGURATIONS = {
    "default": ("", False, ""),
    "true": ("shared_pcsc = true\n", True, ""),
    "true, indented and commented": ("  shared_pcsc=true # yes\n", True, ""),
    "false": ("shared_pcsc = false\n", False, ""),
    "in a comment": ("# shared_pcsc = true\n", False, ""),
    "behind another key": ("allow_virtual_readers = false # shared_pcsc = true\n", False, ""),
    "in another table": (
        "[service]\nshared_pcsc = true\n",
        False,
        "service.shared_pcsc is not a known key",
    ),
    "a text": ('shared_pcsc = "true"\n', False, "shared_pcsc is true or false"),
    "invalid": (INVALID, False, "Invalid value (at line 1, column 15)"),
    "invalid elsewhere": ("shared_pcsc = true\nx = 1\n", False, "x is not a known key"),
}


@pytest.fixture(params=list(CONFIGURATIONS.values()), ids=list(CONFIGURATIONS))
def configured(request: pytest.FixtureRequest, host: Host) -> tuple[bool, str]:
    """A configuration; returns what it comes to, and what is wrong with it."""
    text, shared, told = request.param
    host.configure(text)
    return shared, told


@pytest.fixture
def config() -> Iterator[Path]:
    """The configuration's path; what lies there is put back."""
    restorer = Restorer()
    yield restorer.announce(CONFIG)
    if CONFIG.is_fifo() or CONFIG.is_symlink():
        CONFIG.unlink()
    restorer.restore()


def users_may(*arguments: str) -> tuple[int, str]:
    done = run([USERS_MAY, *arguments], env={})
    assert done.stdout == ""
    return done.returncode, done.stderr


def made(folder: Path) -> dict[str, str]:
    """What the generator made: path → what a link leads to."""
    return {
        str(path.relative_to(folder)): str(path.readlink())
        for path in folder.rglob("*")
        if not path.is_dir() or path.is_symlink()
    }


MASK = {"generator/pcscd.socket.d/ukey.conf": "/dev/null"}


def test_the_program_says_what_the_configuration_does(configured: tuple[bool, str]) -> None:
    shared, told = configured
    status, error = users_may("pcscd")
    assert status == (0 if shared else 1)
    assert (told in error) if told else (error == "")


def test_the_generator_masks_the_drop_in_where_pcscd_is_shared(
    configured: tuple[bool, str], tmp_path: Path
) -> None:
    shared, told = configured
    done = generate(tmp_path)
    assert made(tmp_path) == (MASK if shared else {})
    assert (done.returncode, done.stdout) == (0, "")
    if told:
        assert done.stderr.startswith("ukey-generator: pcscd.socket stays closed to users: ")
        assert told in done.stderr
    else:
        assert done.stderr == ""


def test_a_file_that_others_may_write_opens_nothing(config: Path, tmp_path: Path) -> None:
    config.write_text("shared_pcsc = true\n[readers]\nusb = []\n")
    for number, (mode, uid) in enumerate(((0o666, 0), (0o664, 0), (0o644, 1000))):
        config.chmod(mode)
        os.chown(config, uid, 0)
        folder = tmp_path / str(number)
        folder.mkdir()
        assert "others than root may write it" in generate(folder).stderr
        assert made(folder) == {}
        assert users_may("pcscd")[0] == users_may("usb", "163c:0417")[0] == 1
    os.chown(config, 0, 0)


@pytest.mark.parametrize("kind", ["nothing", "pipe", "folder", "dangling link"])
def test_what_is_no_file_opens_nothing_and_holds_nobody(
    config: Path, tmp_path: Path, kind: str
) -> None:
    config.unlink()
    match kind:
        case "pipe":
            os.mkfifo(config)
        case "folder":
            config.mkdir()
        case "dangling link":
            config.symlink_to("/nonexistent")
    done = generate(tmp_path)
    assert (done.returncode, done.stderr, made(tmp_path)) == (0, "", {})
    status, told = users_may("pcscd")
    assert status == 1
    assert (told != "") == (kind in ("pipe", "folder"))
    if config.is_dir():
        config.rmdir()


def test_without_the_program_nothing_is_opened(host: Host, tmp_path: Path) -> None:
    host.configure("shared_pcsc = true\n")
    aside = USERS_MAY.rename(USERS_MAY.with_name("aside"))
    try:
        done = generate(tmp_path)
    finally:
        aside.rename(USERS_MAY)
    assert made(tmp_path) == {}
    assert "stays closed to users" in done.stderr


def test_a_boot_waits_for_no_python_where_the_configuration_is_silent(tmp_path: Path) -> None:
    """As installed; the key is there in a comment."""
    assert "#shared_pcsc" in CONFIG.read_text()
    folders = [str(tmp_path)] * 3
    traced = ["strace", "-f", "-e", "trace=execve", str(GENERATOR), *folders]
    done = run(traced, env={"PATH": os.environ["PATH"]})
    assert "grep" in done.stderr
    assert "python" not in done.stderr
    assert "users-may" not in done.stderr


@pytest.mark.parametrize(
    ("readers", "usb", "may"),
    [
        ("", "163c:0417", False),
        ("", "04e6:5116", False),
        ("usb = []", "163c:0417", True),
        ('usb = ["*"]', "163c:0417", False),
        ('usb = ["163c:*"]', "163c:0417", False),
        ('usb = ["163c:*"]', "163d:0417", True),
        ('usb = ["163c:04??"]', "163c:0417", False),
        ('usb = ["163c:04??"]', "163c:0517", True),
        ('usb = ["04e6:*", "*:0417"]', "163c:0417", False),
        ('usb = ["16*:0417"]', "163c:0417", False),
        ('usb = ["163C:*"]', "163c:0417", False),
        ('usb = "163c:*"', "04e6:5116", False),
    ],
)
def test_a_reader_is_left_to_users_where_no_pattern_fits(
    host: Host, readers: str, usb: str, may: bool
) -> None:
    host.configure(f"[readers]\n{readers}\n")
    assert users_may("usb", usb)[0] == (0 if may else 1)
    assert users_may("pcscd")[0] == 1
    if "163C" not in readers and readers != 'usb = "163c:*"':
        host.configure(f"shared_pcsc = true\n[readers]\n{readers}\n")
        assert users_may("usb", usb) == (0, "")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("usb",),
        ("usb", ":"),
        ("usb", "163C:0417"),
        ("usb", "163c:0417\n"),
        ("usb", "163c:04170"),
        ("usb", "*"),
        ("usb", "163c:0417", "x"),
        ("pcscd", "x"),
        ("--nonsense",),
    ],
)
def test_a_wrong_question_is_no_yes(host: Host, arguments: tuple[str, ...]) -> None:
    host.configure("shared_pcsc = true\n")
    status, told = users_may(*arguments)
    assert status == 2
    assert told.startswith("usage: users-may ")


def test_help() -> None:
    done = run([USERS_MAY, "--help"], env={})
    assert (done.returncode, done.stderr) == (0, "")
    assert "Exit status" in done.stdout


def test_it_imports_nothing_that_serves() -> None:
    """At boot it is asked before there is a bus, a reader or a log."""
    code = "import keyservice.users_may, sys; print('\\n'.join(sys.modules))"
    done = run(["/usr/bin/python3", "-Ic", f"import sys; sys.path[:0]=['/usr/lib/ukey']; {code}"])
    loaded = set(done.stdout.split())
    assert "tomllib" in loaded
    assert not loaded & {"socket", "asyncio", "subprocess", "logging", "ssl", "argparse", "gettext"}
    ours = {name for name in loaded if name.startswith("keyservice.")}
    names = {f"keyservice.{name}" for name in ("store", "store.limits", "crypto")}
    names |= {"keyservice.crypto.algorithms", "keyservice.crypto.key"}  # no library with them
    assert not {
        name for name in ours - names if ".store" in name or ".servers" in name or ".crypto" in name
    }


# -- systemd and udev themselves


@pytest.mark.parametrize(("text", "mode"), [("", "0600"), ("shared_pcsc = true\n", "0666")])
def test_systemd_opens_the_socket_as_the_setting_says(host: Host, text: str, mode: str) -> None:
    host.configure(text)
    socket = as_loaded("pcscd.socket")
    if socket is None:
        pytest.skip("no control group can be mounted here")
    assert socket["SocketMode"] == [mode]


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("", False),
        ("shared_pcsc = true\n", True),
        ('[readers]\nusb = ["04e6:*"]\n', True),
        ('[readers]\nusb = ["163c:*"]\n', False),
        (INVALID, False),
    ],
)
def test_udev_gives_a_reader_to_users_as_the_settings_say(
    host: Host, tmp_path: Path, text: str, given: bool
) -> None:
    host.configure(text)
    device = plug_in("163c", "0417", tmp_path)
    assert (":uaccess:" in device["CURRENT_TAGS"]) == given
    assert (device["run"] == "uaccess") == given  # what sets the device's access list
    # All else is as without us: smartcard.target, say.
    assert device["ID_SMARTCARD_READER"] == "1"
    assert ":systemd:" in device["CURRENT_TAGS"]


@pytest.mark.parametrize(("text", "given"), [("", False), ("shared_pcsc = true\n", True)])
def test_udev_does_not_go_by_what_a_reader_was_before(
    host: Host, tmp_path: Path, text: str, given: bool
) -> None:
    """In an initramfs, which has systemd's rules and not ours, it was for who is at the machine."""
    host.configure(text)
    known = "I:1\nE:ID_SMARTCARD_READER=1\nG:uaccess\nQ:uaccess\nV:1\n"
    device = plug_in("163c", "0417", tmp_path, known)
    assert ":uaccess:" in device["TAGS"]  # udev keeps that
    assert ("uaccess" in device["run"].split()) == given


@pytest.mark.parametrize(("text", "mode"), [("", "0660"), ("shared_pcsc = true\n", "0666")])
def test_udev_gives_a_reader_to_everybody_only_where_it_is_shared(
    host: Host, tmp_path: Path, text: str, mode: str
) -> None:
    """Whatever a vendor's rule says."""
    host.configure(text)
    rule = Path("/etc/udev/rules.d/99-vendor.rules")
    rule.write_text('SUBSYSTEM=="usb", ATTR{idVendor}=="163c", MODE="0666"\n')
    try:
        device = plug_in("163c", "0417", tmp_path)
    finally:
        rule.unlink()
    assert device["mode"] == mode


def test_udev_gives_nothing_when_the_program_is_gone(host: Host, tmp_path: Path) -> None:
    host.configure("shared_pcsc = true\n")
    aside = USERS_MAY.rename(USERS_MAY.with_name("aside"))
    try:
        device = plug_in("163c", "0417", tmp_path)
    finally:
        aside.rename(USERS_MAY)
    assert ":uaccess:" not in device["CURRENT_TAGS"]
    assert device["run"] == ""
