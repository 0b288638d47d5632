# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``--check-config`` finds what the service finds: in the file, who may write it, what has no
effect on this host, and what is damaged of records and state."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from keyservice.contract.names import ATTESTATION_DIR, RECORDS_DIR, STATE_DIR
from tests.support.makers import maker
from tests.support.restore import empty

from .test_main import Start, keyservice
from .test_main import start as start


def test_what_the_service_refuses_is_not_called_right(tmp_path: Path) -> None:
    """One look for both: at the file, who may write it and what is in it, and at its folders."""
    folder = tmp_path / "ukey"
    folder.mkdir()
    config = folder / "k.toml"
    config.write_text("[services.sshd]\n")
    for mode, text, uid, told in (
        (0o666, "", 0, f"{config}: others than root may write it"),
        (0o644, "", 1000, f"{config}: others than root may write in {folder}"),
        (0o646, "x = 1\n", 0, f"{config}: x is not a known key"),
    ):
        config.write_text(text)
        config.chmod(mode)
        os.chown(folder, uid, 0)
        done = keyservice("--check-config", config)
        served = keyservice("--config", config, "--socket-dir", tmp_path / "run")
        assert (done.returncode, served.returncode) == (78, 78)
        assert "right" not in done.stdout
        for line in done.stderr.splitlines():
            assert line in served.stderr
        assert told in done.stderr
    assert len(done.stderr.splitlines()) == 2
    os.chown(folder, 0, 1)
    config.chmod(0o644)
    config.write_text("")
    assert keyservice("--check-config", config).returncode == 0
    folder.chmod(0o775)
    assert "may write in" in keyservice("--check-config", config).stderr


IDLE = (
    ("[services.SSHD]", "services.SSHD is no PAM service"),
    ('[services."a/b"]', "services.a/b is no PAM service"),
    ("[services.logni]", "this host has no PAM service of that name; did you mean services.login?"),
    ('[locality]\nttys = ["tty1", "pts/*"]', 'locality.ttys has "pts/*", which can be no console'),
    ('[locality]\nttys = ["tty64"]', 'locality.ttys has "tty64", which can be no console'),
    ('[locality]\nttys = ["ttyX9"]', 'has "ttyX9": this host has no such terminal now'),
)


MAKERS = Path(ATTESTATION_DIR)


def test_makers_files_that_do_not_count_are_told(tmp_path: Path) -> None:
    config = tmp_path / "keyservice.toml"
    config.write_text("[policy]\nattested = true\n")
    MAKERS.mkdir(mode=0o755, parents=True, exist_ok=True)
    try:
        done = keyservice("--check-config", config)
        assert done.returncode == 0
        assert f"{config}: policy.attested: {MAKERS} holds no maker's certificate" in done.stderr
        maker().put(MAKERS).chmod(0o666)
        (MAKERS / "notes.txt").write_text("")
        told = keyservice("--check-config", config).stderr
        assert f"{MAKERS}/maker.pem: others than root may write it; it does not count" in told
        assert f"{MAKERS}/notes.txt: it is left out" in told
        assert "so nobody is bound" in told
        (MAKERS / "maker.pem").chmod(0o644)
        (MAKERS / "notes.txt").unlink()
        done = keyservice("--check-config", config)
        assert f"{config}: right" in done.stdout
        assert str(MAKERS) not in done.stderr
        MAKERS.chmod(0o777)
        told = keyservice("--check-config", config).stderr
        assert f"{MAKERS}: others than root may write in it; it does not count" in told
    finally:
        MAKERS.chmod(0o755)
        empty(MAKERS)


@pytest.mark.parametrize(("text", "told"), IDLE)
def test_a_line_without_effect_is_told_and_stops_nothing(
    start: Start, tmp_path: Path, text: str, told: str
) -> None:
    daemon = start(text=f"{text}\n[bus]\nenabled = false\n")
    config = tmp_path / "keyservice.toml"
    done = keyservice("--check-config", config)
    assert done.returncode == 0
    assert "right" not in done.stdout
    (line,) = [line for line in done.stderr.splitlines() if told in line]
    assert line.startswith(f"{config}: ")
    assert line in daemon.log.read_text()


def test_names_of_this_host_are_right(tmp_path: Path) -> None:
    config = tmp_path / "k.toml"
    config.write_text('[services.su]\n[services.su-l]\n[locality]\nttys = ["/dev/tty1", "hvc*"]\n')
    done = keyservice("--check-config", config)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{config}: right\n")


@pytest.mark.parametrize("spoilt", ["mode", "record", "folder", "throttle", "gone"])
def test_what_is_kept_is_looked_at_as_the_service_does(
    start: Start, tmp_path: Path, spoilt: str
) -> None:
    start().stop()
    records, state = Path(RECORDS_DIR), Path(STATE_DIR)
    config = tmp_path / "keyservice.toml"
    assert keyservice("--check-config", config).returncode == 0
    path = {"throttle": state / "pauses/throttle", "gone": state}.get(spoilt, records / "alice")
    if spoilt == "gone":
        empty(state)
        state.rmdir()
    elif spoilt == "folder":
        path = records
        records.chmod(0o755)
    else:
        path.parent.mkdir(0o700, exist_ok=True)
        path.write_text("{}\n")
        path.chmod(0o644 if spoilt == "mode" else 0o600)
    before = sorted(Path("/").glob("etc/usbkey/*")) + sorted(state.glob("**/*"))
    done = keyservice("--check-config", config)
    assert before == sorted(Path("/").glob("etc/usbkey/*")) + sorted(state.glob("**/*"))
    assert done.returncode == 1
    assert str(path) in done.stderr
    assert done.stdout.startswith(f"{config}: right\n")
    if spoilt == "gone":
        state.mkdir(0o700)
    records.chmod(0o700)


def test_a_file_that_keeps_nobody_out_is_told_and_is_no_failure(
    start: Start, tmp_path: Path
) -> None:
    start().stop()
    stray = Path(RECORDS_DIR) / "alice~"
    stray.write_text("?\n")
    config = tmp_path / "keyservice.toml"
    done = keyservice("--check-config", config)
    stray.unlink()
    assert (done.returncode, str(stray) in done.stderr) == (0, True)
