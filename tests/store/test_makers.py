# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Which of the makers' files count: those that root alone can have put there."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import pytest

from keyservice.store import makers
from tests.support.makers import Maker, maker

MAKER = maker()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    MAKER.put(tmp_path / "attestation.d")
    return tmp_path / "attestation.d"


def wrong(folder: Path, count: int = 1) -> str:
    """The one line about it; so many certificates count beside it."""
    found = makers.read(folder)
    assert len(found.found) == count
    (line,) = found.wrong
    return line


def test_certificates_are_read_in_both_forms(folder: Path) -> None:
    der = folder / "other.der"
    der.write_bytes(maker("Other").root)
    found = makers.read(folder)
    assert (len(found.found), found.wrong, found.trusted) == (2, (), True)


def test_no_folder_and_an_empty_one_hold_none(tmp_path: Path) -> None:
    assert makers.read(tmp_path / "none") == makers.Makers(tmp_path / "none")
    (tmp_path / "empty").mkdir(mode=0o755)
    assert makers.read(tmp_path / "empty") == makers.Makers(tmp_path / "empty")


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777, 0o1777])
def test_a_folder_that_others_may_write_in_does_not_count(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    assert "others than root may write in it" in wrong(folder, 0)
    assert not makers.read(folder).trusted


def test_a_folder_of_somebody_else_does_not_count(folder: Path) -> None:
    os.chown(folder, 1000, 0)
    assert "others than root may write in it" in wrong(folder, 0)


def test_a_folder_that_others_can_replace_does_not_count(folder: Path) -> None:
    folder.parent.chmod(0o777)
    assert f"others than root may write in {folder.parent}" in wrong(folder, 0)
    assert not makers.read(folder).trusted


def test_a_link_to_a_folder_does_not_count(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert not makers.read(tmp_path / "link").trusted
    (tmp_path / "file").write_text("")
    assert not makers.read(tmp_path / "file").trusted


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_file_that_others_may_write_does_not_count(folder: Path, mode: int) -> None:
    Path(maker("Other").put(folder, "other.pem")).chmod(mode)
    assert wrong(folder) == f"{folder}/other.pem: others than root may write it"


def test_a_file_of_somebody_else_does_not_count(folder: Path) -> None:
    os.chown(maker("Other").put(folder, "other.pem"), 1000, 0)
    assert "others than root may write it" in wrong(folder)


def test_links_pipes_and_folders_do_not_count(folder: Path) -> None:
    (folder / "link.pem").symlink_to("maker.pem")
    assert "symbolic link" in wrong(folder)
    (folder / "link.pem").unlink()
    os.mkfifo(folder / "pipe.pem", 0o644)
    assert "no ordinary file" in wrong(folder)
    (folder / "pipe.pem").unlink()
    (folder / "more.pem").mkdir()
    assert "no ordinary file" in wrong(folder)


def test_a_backup_does_not_count_and_a_hidden_file_is_not_looked_at(folder: Path) -> None:
    (folder / "maker.pem~").write_bytes((folder / "maker.pem").read_bytes())
    (folder / ".maker.pem.swp").write_bytes(b"")
    assert "it is left out: a certificate's name ends in" in wrong(folder)


def test_a_file_that_makes_no_sense_is_told_and_keeps_no_other_out(folder: Path) -> None:
    (folder / "a.pem").write_text("nothing")
    assert "holds no certificate" in wrong(folder)


def test_a_file_that_is_too_large_does_not_count(folder: Path) -> None:
    (folder / "large.pem").write_bytes(bytes(makers.SIZE_MAX + 1))
    assert f"it has more than {makers.SIZE_MAX} bytes" in wrong(folder)


def test_no_more_files_and_certificates_are_read_than_these(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(makers, "CERTIFICATES_MAX", 1)
    maker("Other").put(folder, "other.pem")
    assert "no more than 1 certificates count" in wrong(folder)
    monkeypatch.setattr(makers, "FILES_MAX", 1)
    assert "no more than 1 files are read" in wrong(folder)


def test_an_expired_certificate_is_told(folder: Path) -> None:
    old: Maker = maker("Old", until=datetime(2020, 1, 1))
    old.put(folder, "old.pem")
    assert "is not valid today" in wrong(folder, 2)
