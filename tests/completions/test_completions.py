# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a real bash and a real zsh offer. PATH is empty meanwhile, and nothing else runs on the
host: but for serials and revoked keys, whatever they offer comes from no program and no ukey."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import completions
import pytest

from tests.completions.shells import Shell, bash, zsh
from tests.support.daemons import start_bus
from tests.support.process import run
from tests.support.restore import Restorer
from tests.tools.scripted_bus import BusService
from tools import ukey
from tools.commands import parsers
from tools.parser import Parser, arguments
from tools.ukey import pam

#: The name of an account, a service, a file. It would make a file, were it ever evaluated; and that
#: by the shell alone, without a program.
TRAP = "x$(>MARK)"


@pytest.fixture(params=[bash, zsh])
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shell]:
    (tmp_path / "stack.conf").touch()
    (tmp_path / "folder").mkdir()
    start: Callable[[Path], Shell] = request.param
    started = start(tmp_path)
    yield started
    started.close()


@pytest.fixture
def restorer() -> Iterator[Restorer]:
    made = Restorer()
    yield made
    made.restore()


@pytest.fixture
def people(restorer: Restorer) -> None:
    """alice and alan, and nobody else whose name begins so; and one with a strange name."""
    passwd = restorer.announce(Path("/etc/passwd"))
    names = enumerate(("alice", "alan", TRAP), start=7001)
    lines = [f"{name}:x:{uid}:{uid}::/:/bin/sh\n" for uid, name in names]
    passwd.write_text(passwd.read_text() + "".join(lines))


def test_subcommands(shell: Shell) -> None:
    assert shell.offers("ukey ") == sorted(ukey.GROUP.subcommands)
    assert shell.offers("ukey re") == ["revocation"]
    assert shell.words("ukey revo\t") == ["ukey", "revocation"]
    assert shell.offers("ukey no-such-") == ["no-such-"]
    assert shell.offers("ukey pam ") == sorted(pam.GROUP.subcommands)
    assert shell.words("ukey revocation u\t") == ["ukey", "revocation", "undo"]
    assert shell.offers("ukey pam no-such-") == ["no-such-"]


def test_options(shell: Shell) -> None:
    """All of each command; and where nothing else can stand, they are offered without a hyphen."""
    for parser in parsers():
        flags = [flag for each in arguments(parser) for flag in each.flags]
        assert shell.offers(f"{parser.prog} --") == sorted(f for f in flags if f[:2] == "--")
    assert "--json" in shell.offers("ukey list ")
    assert shell.offers("getpubkey alice -- --js") == ["--js"]


def test_users(shell: Shell, people: None) -> None:
    for command in (
        "getpubkey",
        "rmpubkey --force",
        "getpubkey --serial 1",
        "getpubkey --serial=1",
        "ukey pam try --service su",
        "ukey pam try --ruser",
        "ukey pam try --",
    ):
        assert shell.offers(f"{command} al") == ["alan", "alice"], command
    assert shell.words("getpubkey alic\t") == ["getpubkey", "alice"]
    assert shell.words("ukey pam try --ruser=alic\t") == ["ukey", "pam", "try", "--ruser=alice"]
    assert shell.offers("getpubkey alice al") == ["al"]
    assert shell.offers("getpubkey --serial al") == ["al"]


def test_services_and_stacks(shell: Shell) -> None:
    services = sorted(path.name for path in Path("/etc/pam.d").iterdir())
    assert "su-l" in services
    assert shell.offers("ukey pam try alice --service ") == services
    assert shell.offers("ukey pam try alice --service su-") == ["su-l"]
    assert shell.offers("ukey pam check su-") == ["su-l"]
    assert shell.offers("ukey pam check login su-") == ["su-l"]
    assert shell.offers("ukey pam check stac") == ["stack.conf"]
    assert [word.rstrip("/") for word in shell.offers("ukey pam check --root ")] == ["folder"]


def test_choices(shell: Shell) -> None:
    assert shell.offers("ukey throttle ") == ["reset"]
    assert shell.offers("ukey throttle reset r") == ["r"]


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[BusService]:
    """A keyservice on the bus."""
    daemon = start_bus(tmp_path)
    with closing(BusService()) as service:
        yield service
    daemon.stop()


def test_serials_of_ukeys_in_readers(shell: Shell, bus: BusService) -> None:
    serials = ("9F3A 01", "9F3B", TRAP, 'qu"ote', "back\\slash")
    empty = {"reader": "B", "card": False}
    bus.answers["ListUkeys"] = [
        empty,
        *({"reader": f'"serial": "{n}"', "serial": each} for n, each in enumerate(serials)),
    ]
    for command in (
        "getpubkey alice --serial",
        "chpinpw --serial",
        "chpinpw --unblock",
        "ukey throttle reset",
    ):
        assert shell.offers(f"{command} ") == ["9F3A 01", "9F3B", TRAP], command
        assert shell.offers(f"{command} 9F3B") == ["9F3B"], command
    assert shell.words("chpinpw --serial=9F3B\t") == ["chpinpw", "--serial=9F3B"]


def test_revoked_keys(shell: Shell, bus: BusService) -> None:
    keys = ["66c7" * 16, "77" * 32]
    bus.answers["ListRevocations"] = [{"key": key, "serial": "9F3A", "at": ""} for key in keys]
    assert shell.offers("ukey revocation undo ") == keys
    assert shell.words("ukey revocation undo 7\t")[2:] == ["undo", keys[1]]


def test_without_a_keyservice_there_are_no_serials(shell: Shell) -> None:
    assert shell.offers("chpinpw --serial 9") == ["9"]


def test_zsh_offers_nothing_that_would_be_refused(tmp_path: Path) -> None:
    shell = zsh(tmp_path)
    offered = ["--application", "--help", "--json", "--version"]
    assert shell.offers("chpinpw --serial 1 --") == offered
    shell.close()


@pytest.mark.parametrize("typed", ["$(>MARK)", "`>MARK`", "a[$(>MARK)]", "${x:=$(>MARK)}"])
def test_what_was_typed_is_not_evaluated(shell: Shell, tmp_path: Path, typed: str) -> None:
    """Neither in the word that is completed, nor in one before it."""
    for line in (
        f"getpubkey {typed}",
        f"getpubkey {typed} --",
        f"getpubkey --serial={typed}",
        f"ukey {typed} ",
        f"ukey {typed} --",
        f"ukey pam check '{typed}' --",
        f"ukey pam check {typed}",
        f"ukey pam try --service {typed}",
    ):
        shell.press(line)
    assert not (tmp_path / "MARK").exists()


def test_no_name_is_evaluated(
    shell: Shell, people: None, restorer: Restorer, tmp_path: Path
) -> None:
    """Nor does one come onto the line in a way that the shell would evaluate there."""
    restorer.write(Path("/etc/pam.d", TRAP), "")
    assert shell.offers("getpubkey x") == [TRAP]
    assert shell.offers("ukey pam try --service x") == [TRAP]
    (tmp_path / TRAP).touch()
    assert TRAP in shell.offers("ukey pam check x")
    assert not (tmp_path / "MARK").exists()


def test_zsh_s_folder_is_the_distribution_s(tmp_path: Path) -> None:
    assert completions.zsh_directory(tmp_path) == "usr/share/zsh/site-functions"
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/debian_version").touch()
    assert completions.zsh_directory(tmp_path) == "usr/share/zsh/vendor-completions"


def test_shellcheck_finds_nothing() -> None:
    scripts = [Path("/", completions.BASH, name) for name in completions.families()]
    done = run(["shellcheck", "--shell", "bash", *scripts])
    assert done.stdout == ""


def test_a_choice_is_quoted_where_it_has_to_be() -> None:
    """No parser has such a word now; the next one may."""
    parser = Parser("x", ukey.MANUAL)
    parser.add_argument("--how", choices=["it's", "$(x)"], metavar="HOW", help="a: [b] 'c' \\ $(d)")
    parser.add_argument("user", metavar="USER", help="who")
    in_bash = completions.bash.script("x", [parser])
    in_zsh = completions.zsh.script("x", [parser])
    for shell, text in (("bash", in_bash), ("zsh", in_zsh)):
        done = run([shell, "-n", "-c", text])
        assert (done.stderr, done.returncode) == ("", 0)
    assert r"""' --how') wanted=(words 'it'\''s' '$(x)')""" in in_bash
