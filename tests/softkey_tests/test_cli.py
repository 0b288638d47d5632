# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The command line, and the process without a reader."""

from __future__ import annotations

import io
import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.softkey import state
from tests.softkey.card import Card
from tests.softkey.cli import main
from tests.softkey.control import Control, ControlError, NotRunning, socket_path
from tests.softkey.state import StateFile
from tests.support.ukeys import Softkey

from .terminal import ADMIN_PIN, PIN, Terminal

#: nobody listens on the port of this slot
SLOT = 13


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Softkey]:
    made = Softkey(
        tmp_path / "ukey", SLOT, pin=PIN, admin_pin=ADMIN_PIN, inserted=False, serial="SK0001"
    )
    yield made
    made.close()


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    for word in ("init", "run", "insert", "remove", "status", "SOFTKEY_STATE", "Exit status"):
        assert word in told


def test_init_makes_a_ukey_from_the_factory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "ukey")
    assert main(["init", path, "--serial", "SK0009", "--tries", "6", "--byte-order", "big"]) == 0
    assert "SK0009" in capsys.readouterr().out
    made = StateFile(path).load()
    assert made.applications[0].user.default
    assert made.applications[0].user.maximum == 6
    assert made.traits.byte_order == "big"
    assert main(["init", path]) == 1
    assert "not overwritten" in capsys.readouterr().err


def test_init_reads_pins_from_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = io.TextIOWrapper(io.BytesIO(PIN + b"\n" + ADMIN_PIN + b"\n"))
    monkeypatch.setattr("sys.stdin", lines)
    assert main(["init", str(tmp_path / "ukey"), "--pins"]) == 0
    terminal = Terminal(Card(StateFile(tmp_path / "ukey")).transmit)
    terminal.open()
    assert terminal.tries() == (10, 10, 0)
    assert terminal.verify() == 0x9000
    assert terminal.verify(ADMIN_PIN, role=0) == 0x9000


def test_init_makes_several_containers(tmp_path: Path) -> None:
    path = str(tmp_path / "ukey")
    assert main(["init", path, "--container", "a", "--container", "b"]) == 0
    assert [bool(c.key) for c in StateFile(path).load().applications[0].containers] == [True] * 2
    path = str(tmp_path / "other")
    assert main(["init", path, "--empty-container", "a"]) == 0
    assert [bool(c.key) for c in StateFile(path).load().applications[0].containers] == [False]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["init", "{}", "--serial", "x" * 33], 1),
        (["init", "{}", "--tries", "16"], 1),
        (["run", "{}"], 1),
        (["run", "{}", "--host", "no-such-host.invalid"], 1),
        (["status", "{}"], 1),
        (["insert", "{}"], 1),
        (["misbehave", "{}"], 2),
        (["insert"], 2),
    ],
)
def test_failures_have_a_status_and_a_sentence(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    status: int,
) -> None:
    monkeypatch.delenv("SOFTKEY_STATE", raising=False)
    assert main([word.format(tmp_path / "none") for word in arguments]) == status
    assert capsys.readouterr().err.startswith("softkey: ")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["init", "x", "--byte-order", "middle"],
        ["run", "x", "--port", "0"],
        ["run", "x", "--port", "65536"],
        ["misbehave", "x", "--ins", "zz"],
        ["misbehave", "x", "--garbage", "some"],
    ],
)
def test_wrong_usage(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: softkey" in capsys.readouterr().err


def test_status_of_one_that_does_not_run(
    file: StateFile, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOFTKEY_STATE", str(file.path))
    assert main(["status"]) == 0
    told = capsys.readouterr().out
    assert "SK0001" in told
    assert "not running" in told
    assert "10 of 10 tries left" in told
    assert "login: SM2 key" in told
    assert "empty: empty" in told


def test_status_tells_no_secret(running: Softkey, capsys: pytest.CaptureFixture[str]) -> None:
    running.control.misbehave(slow=5, byte_order="big")
    assert main(["status", str(running.file.path)]) == 0
    assert main(["status", "--json", str(running.file.path)]) == 0
    told = capsys.readouterr().out
    assert "slow 5" in told
    assert "byte-order big" in told
    made = running.file.load()
    for pin in made.pins():
        assert pin.key.hex() not in told
    key = made.applications[0].containers[0].key
    assert key is not None
    assert key.point.hex() in told
    assert not set(key.pem().decode().splitlines()) & set(told.split('"'))


def test_insert_and_remove(running: Softkey, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(running.file.path)
    control = running.control
    assert not control.status()["inserted"]
    control.insert()
    assert control.status()["inserted"]
    assert not control.status()["seen"]
    with pytest.raises(ControlError, match="in time"):
        control.wait_inserted(0.05)
    assert main(["remove", path]) == 0
    assert not control.status()["inserted"]
    assert "removed" in capsys.readouterr().out


def test_misbehave_and_behave(running: Softkey) -> None:
    path = str(running.file.path)
    assert main(["misbehave", path, "--slow", "20", "--ins", "74,18", "--mute"]) == 0
    told = running.control.status()["misbehaving"]
    assert told == {"slow": 20.0, "mute": True, "ins": [0x74, 0x18]}
    assert main(["misbehave", path, "--garbage", "byte"]) == 0
    assert running.control.status()["misbehaving"] == {"garbage": "byte"}
    assert main(["behave", path]) == 0
    assert running.control.status()["misbehaving"] == {}


@pytest.mark.parametrize(
    "wrong",
    [{"colour": 1}, {"slow": -1}, {"pin_hash": "sm3"}, {"byte_order": "middle"}, {"ins": 7}],
)
def test_wrong_switches_change_nothing(running: Softkey, wrong: dict[str, object]) -> None:
    running.control.misbehave(mute=True)
    with pytest.raises(ControlError):
        running.control.misbehave(**wrong)
    assert running.control.status()["misbehaving"] == {"mute": True}


def test_the_control_socket_is_private(running: Softkey) -> None:
    mode = socket_path(running.file.path).stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def test_bad_requests_do_not_end_it(running: Softkey) -> None:
    for line in (b"\n", b"7\n", b"[]\n", b"{}\n", b'{"do": "dance"}\n'):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(os.fspath(socket_path(running.file.path)))
            sock.sendall(line)
            assert b'"error"' in sock.recv(4096)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect(os.fspath(socket_path(running.file.path)))
        sock.sendall(b"x" * 9000 + b"\n")
        assert sock.recv(4096) == b""  # longer than any request
    assert running.control.status()["serial"] == "SK0001"


def test_a_second_process_on_the_same_ukey_is_refused(
    running: Softkey, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(running.file.path)]) == 1
    assert "another softkey runs" in capsys.readouterr().err
    assert running.control.status()["running"]


def test_it_ends_cleanly_and_starts_again_after_a_kill(running: Softkey) -> None:
    running.daemon.kill()
    with pytest.raises(NotRunning):
        running.control.status()
    running.start(inserted=False)
    assert running.control.status()["running"]
    assert running.daemon.stop() == 0
    assert not socket_path(running.file.path).exists()


def test_a_state_file_may_lie_deep(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    made = Softkey(deep / "ukey", SLOT, pin=PIN, admin_pin=ADMIN_PIN, inserted=False)
    try:
        assert Control(deep / "ukey").status()["serial"] == made.serial
    finally:
        made.close()


def test_the_ready_line_and_the_package_by_its_own_name(tmp_path: Path) -> None:
    StateFile(tmp_path / "ukey").create(state.new(serial="SK0002"))
    tests = Path(__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "softkey", "run", "--removed", "--port", "1", "ukey"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.fspath(tests)},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"softkey: SK0002 removed, reader 127.0.0.1:1\n"
    process.terminate()
    assert process.communicate(timeout=5)[0] == b""
    assert process.returncode == 0


def test_json_is_for_programs(file: StateFile, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--json", str(file.path)]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["serial"] == "SK0001"
    assert status["applications"][0]["user"] == {"left": 10, "maximum": 10, "default": False}
