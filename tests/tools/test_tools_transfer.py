# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey bindings export`` and ``import`` against a scripted keyservice on the real system bus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.tools.running import Commands, only_json
from tests.tools.scripted_bus import BusService
from tests.tools.test_tools_ukey import KEY


def entry(state: str, **more: Any) -> dict[str, Any]:
    row = {"user": "alice", "uid": 1000, "uid_there": 5000, "serial": "9F3A", "purpose": "login"}
    return {**row, "label": "", "algorithm": "sm2", "key": KEY, "state": state, **more}


def test_export_prints_the_document_and_says_what_is_left_out(
    commands: Commands, bus: BusService
) -> None:
    left = {"user": "bob", "uid": 1001, "serial": "9F3B", "purpose": "login", "key": KEY}
    bus.answers["ExportBindings"] = ("the document\n", [left])
    done = commands.piped("ukey", "bindings", "export")
    assert (done.returncode, done.stdout) == (0, "the document\n")
    assert done.stderr == "bob, 9F3B: left out, its key is revoked\n"
    found: Any = only_json(commands.piped("ukey", "bindings", "export", "--json").stdout)
    assert (found["document"], found["left"][0]["user"]) == ("the document\n", "bob")


def test_import_shows_what_it_would_do_and_asks(
    commands: Commands, bus: BusService, tmp_path: Path
) -> None:
    file = tmp_path / "bindings.json"
    file.write_text("the document")
    path = str(file)
    asked = ("CheckImport", ("the document",))
    bus.answers["CheckImport"] = bus.answers["ImportBindings"] = [entry("new")]
    done = commands.piped("ukey", "bindings", "import", path, text="n\n")
    assert (done.returncode, bus.asked) == (130, [asked])
    assert "alice" in done.stdout
    assert "9F3A" in done.stdout
    found: Any = only_json(commands.piped("ukey", "bindings", "import", path, "--json").stdout)
    assert (found["changed"], found["keys"][0]["state"], bus.asked[-1]) == (False, "new", asked)
    done = commands.piped("ukey", "bindings", "import", path, text="y\n")
    assert (done.returncode, bus.asked[-1]) == (0, ("ImportBindings", ("the document",)))
    done = commands.piped("ukey", "bindings", "import", path, "--yes", "--json")
    assert only_json(done.stdout)["changed"] is True
    assert bus.asked[-1][0] == "ImportBindings"
    bus.answers["CheckImport"] = [entry("there"), entry("refused", why="taken-by", other="carol")]
    done = commands.piped("ukey", "bindings", "import", path, "--yes")
    assert (done.returncode, bus.asked[-1]) == (6, asked)
    assert "refused: carol has this ukey, or this key, bound here" in done.stdout
    bus.answers["CheckImport"] = [entry("there")]
    done = commands.piped("ukey", "bindings", "import", path)
    assert (done.returncode, bus.asked[-1]) == (0, asked)
    assert "bound here already" in done.stdout


def test_import_reads_a_file_of_a_sane_size(
    commands: Commands, bus: BusService, tmp_path: Path
) -> None:
    file = tmp_path / "bindings.json"
    path = str(file)
    for content in (b"x" * 60_001, b"\xff"):
        file.write_bytes(content)
        done = commands.piped("ukey", "bindings", "import", path)
        assert (done.returncode, bus.asked) == (2, [])
    for words in (["import"], ["export", path], ["--yes"], ["import", str(tmp_path / "none")]):
        assert commands.piped("ukey", "bindings", *words).returncode == 2
    assert bus.asked == []
