# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Every page is well-formed, is found, leads somewhere, and says what its command's --help says."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import manuals
import pytest
from manuals import roff

from keyservice import commandline
from tests.manuals.pages import MANIFEST, installed, read, source
from tests.support import CHECKOUT
from tests.support.process import run
from tools import exits
from tools.commands import parsers
from tools.output import width
from tools.parser import Parser, arguments

UTF8 = {"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"], "MANWIDTH": "80"}
#: Pages of others that ours name. A name is added here only after a look that it exists.
ELSEWHERE = {
    "pam(7)",
    "pam.conf(5)",
    "passwd(1)",
    "pcscd(8)",
    "sd_listen_fds(3)",
    "sd_notify(3)",
    "sd_watchdog_enabled(3)",
}
_REFERENCE = re.compile(
    r"(?:\\fB|^\.BR )([a-z][\w.\\-]*?)(?:\\fR| )\((\d)\)", re.ASCII | re.MULTILINE
)

PAGES = sorted(installed()) if MANIFEST.exists() else []
COMMANDS = parsers()


def page_of(parser: Parser) -> str:
    return f"{parser.prog.replace(' ', '-')}.{parser.manual.section}"


def prog(parser: Parser) -> str:
    return parser.prog


@pytest.mark.parametrize("page", PAGES)
def test_mandoc_finds_nothing(page: str) -> None:
    done = run(["mandoc", "-T", "lint", "-W", "warning", installed()[page]])
    assert (done.stdout, done.returncode) == ("", 0)


@pytest.mark.parametrize("page", PAGES)
def test_groff_warns_of_nothing(page: str) -> None:
    done = run(["man", "--warnings", "-E", "UTF-8", "-l", installed()[page]], env=UTF8)
    assert (done.stderr, done.returncode) == ("", 0)
    examples = {line for parser in COMMANDS for line, _purpose in parser.manual.examples}
    for line in done.stdout.splitlines():
        assert width(line) <= 80 or line.strip() in examples


def test_every_command_on_path_has_a_page() -> None:
    placed = json.loads(MANIFEST.read_text())["files"]
    programs = {Path(path).name for path in placed if re.match(r"usr/s?bin/[^/]+$", path)}
    assert programs == {parser.prog for parser in COMMANDS if " " not in parser.prog}
    for parser in COMMANDS:
        assert page_of(parser) in installed()
        assert f"zh_CN/{page_of(parser)}" in installed()
    assert {"keyservice.8", "pam_ukey.8", "keyservice.toml.5", "usbkey.5"} <= set(installed())


@pytest.mark.parametrize(
    ("words", "page"),
    [
        (["getpubkey"], "getpubkey.8"),
        (["ukey", "list"], "ukey-list.1"),
        (["5", "keyservice.toml"], "keyservice.toml.5"),
    ],
)
def test_man_finds_the_page(words: list[str], page: str) -> None:
    done = run(["man", "-w", *words], env=UTF8)
    assert done.stdout.split()[:1] == [str(installed()[page])]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_can_be_found_by_what_it_is_for(page: str) -> None:
    """What apropos(1) and whatis(1) have of it: one line, in the page's language."""
    done = run(["lexgrog", installed()[page]], env=UTF8)
    name = page.removeprefix("zh_CN/").rpartition(".")[0]
    match = re.fullmatch(rf'.*: "{re.escape(name)} - (.+)"\n', done.stdout)
    assert match, done.stdout + done.stderr
    assert match[1].isascii() != page.startswith("zh_CN/")


@pytest.mark.parametrize("page", PAGES)
def test_references_lead_to_pages(page: str) -> None:
    found = _REFERENCE.findall(source(page))
    assert found
    for name, number in found:
        plain = name.replace("\\", "")
        assert f"{plain}.{number}" in installed() or f"{plain}({number})" in ELSEWHERE, plain


def test_documents_that_are_named_are_installed() -> None:
    named = re.compile(rf"{re.escape(roff.DOCUMENTS)}/[\w/.-]*\w")
    paths = {path for page in installed() for path in named.findall(plain_source(page))}
    assert len(paths) > 2
    assert [path for path in sorted(paths) if not Path(path).exists()] == []


def plain_source(page: str) -> str:
    return source(page).replace(r"\-", "-")


def test_what_a_help_names_under_see_also_has_a_page() -> None:
    pages = {parser.prog for parser in COMMANDS}
    for parser in COMMANDS:
        for see in parser.manual.see:
            name, _, number = see.removesuffix(")").partition("(")
            assert see in pages or f"{name}.{number}" in installed(), f"{parser.prog}: {see}"


def test_units_name_pages_that_are_there() -> None:
    for unit in (CHECKOUT / "data/systemd").glob("ukey-*"):
        for name, number in re.findall(r"man:([\w.-]+)\((\d)\)", unit.read_text()):
            assert f"{name}.{number}" in installed(), unit.name


@pytest.mark.parametrize("parser", COMMANDS, ids=prog)
def test_a_page_has_what_the_help_has(parser: Parser) -> None:
    text, manual = read(page_of(parser)), parser.manual
    taken = [each for each in arguments(parser) if each.value != "SUBCOMMAND"]
    names = [word for each in taken for word in (*each.flags, each.value)]
    names += [key for key, _meaning in manual.all_keys()]
    names += [path for path, _meaning in manual.files]
    names += [line for line, _purpose in manual.examples]
    names += [
        f"{parser.prog} {subcommand}(".replace(" ", "-")
        for subcommand, _summary in manual.subcommands
    ]
    assert [name for name in names if name not in text] == []

    texts = [manual.summary, *manual.about.split("\n\n"), *(each.text for each in taken)]
    texts += [meaning for _key, meaning in manual.all_keys()]
    texts += [meaning for _path, meaning in manual.files]
    texts += [summary for _subcommand, summary in manual.subcommands]
    texts += [f" {int(status)} {meaning} " for status, meaning in exits.MEANINGS.items()]
    assert [each for each in texts if plain(each) not in text] == []


def plain(text: str) -> str:
    """A text of the help as the page has it: commands in quotes there are in bold here, and
    documents are where they are installed."""
    commands = "|".join(parser.prog for parser in COMMANDS if " " not in parser.prog)
    text = re.sub(rf"(?<!\w)'((?:{commands})\b[^'\n]*)'(?!\w)", r"\1", text)
    return re.sub(r"docs/[\w-]+\.md", rf"{roff.DOCUMENTS}/\g<0>", text)


def test_the_service_s_page_has_what_its_help_has() -> None:
    text = read("keyservice.8")
    for argument in arguments(commandline.parser()):
        assert all(flag in text for flag in argument.flags)
        assert argument.text[1:] in text
    for status, meaning in commandline.MEANINGS.items():
        assert f"{int(status)} {meaning[:1].upper()}{meaning[1:]}." in text


@pytest.mark.parametrize("parser", COMMANDS, ids=prog)
def test_chinese_pages_are_chinese(parser: Parser) -> None:
    text = source(f"zh_CN/{page_of(parser)}")
    for title in ("名称", "概要", "描述", "选项", "退出状态", "示例", "参见"):
        assert f".SH {title}\n" in text
    assert parser.manual.summary not in text
    assert "LC_ALL" in text


@pytest.fixture
def staged(tmp_path: Path) -> Iterator[Path]:
    """A staging directory with the catalogues, which pages are made with."""
    catalogue = "usr/share/locale/zh_CN/LC_MESSAGES/ukey.mo"
    (tmp_path / catalogue).parent.mkdir(parents=True)
    shutil.copy(Path("/", catalogue), tmp_path / catalogue)
    yield tmp_path


def test_the_same_source_makes_the_same_pages(
    staged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By SOURCE_DATE_EPOCH, wherever and by whomever: no other variable, no width, no zone."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86399")
    manuals.write(CHECKOUT, staged)
    first = {path: path.read_bytes() for path in staged.rglob("*.[1-9]")}
    assert len(first) == len(installed())
    assert all(b" 1970-01-01 " in text for text in first.values())
    for name, value in {"TZ": "Asia/Shanghai", "LANG": "zh_CN.UTF-8", "COLUMNS": "40"}.items():
        monkeypatch.setenv(name, value)
    manuals.write(CHECKOUT, staged)
    assert {path: path.read_bytes() for path in staged.rglob("*.[1-9]")} == first


NASTY = [
    ".so /etc/passwd",
    "'so /etc/passwd",
    r"a \fBbackslash\fR \n[x] \*x",
    "-x --yes 'it''s' \"quoted\" `x` ^ ~",
    ".",
    "\\",
]


@pytest.mark.parametrize("text", NASTY)
def test_no_text_is_obeyed_by_roff(tmp_path: Path, text: str) -> None:
    page = tmp_path / "x.1"
    lines = [*roff.head("x", 1, date="2026-01-01", source="x"), ".SH A"]
    lines += [*roff.paragraphs([roff.escape(text)]), ".SH B", *roff.example([text])]
    page.write_text("\n".join(lines) + "\n")
    done = run(["mandoc", "-T", "utf8", "-O", "width=200", page])
    shown = re.sub(".\b", "", done.stdout).split("\n")
    assert [line.strip() for line in shown].count(text) == 2
