# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""How pam_ukey.so is built: what the installed one has and has not, and the checkers' reports."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.native.builds import NATIVE, Change, sources
from tests.support.process import must, run


@pytest.fixture(scope="module")
def shipped() -> Path:
    """What scripts/install has installed."""
    multiarch = must(["cc", "-print-multiarch"]).strip()
    return Path("/usr/lib", multiarch, "security/pam_ukey.so")


def test_only_libpams_entry_points_are_exported(shipped: Path) -> None:
    symbols = must(["nm", "-D", "--defined-only", shipped]).splitlines()
    calls = ("acct_mgmt", "authenticate", "chauthtok", "close_session", "open_session", "setcred")
    assert [line.split()[-1] for line in symbols] == [f"pam_sm_{call}" for call in calls]


#: All that the module may ask of others. No locale, signal, user database or file.
USED = {
    *("clock_gettime", "close", "connect", "fcntl", "geteuid", "getenv", "getsockopt", "recv"),
    *("send", "setsockopt", "socket", "explicit_bzero", "memchr", "memcmp", "memcpy", "memset"),
    *(
        "calloc",
        "free",
        "strcmp",
        "strdup",
        "strlen",
        "strncmp",
        "strnlen",
        "strspn",
        "__errno_location",
    ),
    *("pam_get_item", "pam_get_user", "pam_getenv", "pam_prompt", "pam_syslog"),
    *("pam_get_data", "pam_set_data"),
}
#: What compilers add.
RUNTIME = {"__stack_chk_fail", "__cxa_finalize", "__gmon_start__", "_ITM_deregisterTMCloneTable"}
RUNTIME |= {"_ITM_registerTMCloneTable"}


def undefined(shipped: Path) -> set[str]:
    symbols = must(["nm", "-D", "--undefined-only", shipped]).split()
    return {name.partition("@")[0] for name in symbols if len(name) > 1}


def test_it_asks_nothing_else_of_libc_and_libpam(shipped: Path) -> None:
    plain = {re.sub(r"^__(\w+)_chk$", r"\1", name) for name in undefined(shipped)}
    assert plain - RUNTIME <= USED


def test_it_is_hardened(shipped: Path) -> None:
    dynamic = must(["readelf", "-dW", shipped])
    assert re.findall(r"NEEDED.*\[(.*)\]", dynamic) == ["libpam.so.0", "libc.so.6"]
    assert re.search(r"\(FLAGS\) +BIND_NOW", dynamic)
    assert not re.search(r"RPATH|RUNPATH|TEXTREL|\(NODELETE\)", dynamic)
    segments = must(["readelf", "-lW", shipped])
    assert re.search(r"GNU_RELRO ", segments)
    assert re.search(r"GNU_STACK .* RW ", segments)
    assert not re.search(r" RWE ", segments)
    assert "__stack_chk_fail" in undefined(shipped)
    assert {name for name in undefined(shipped) if name.endswith("_chk")}, "no FORTIFY"


def test_it_keeps_no_state(shipped: Path) -> None:
    """Once it is loaded, nothing of it can be written, except the compiler's two words."""
    sections = must(["readelf", "-SW", shipped])
    size = {name: int(each, 16) for name, each in re.findall(SECTION, sections)}
    assert size[".data.rel.ro"] > 0
    assert size.get(".data", 0) <= 8 and size.get(".bss", 0) <= 8
    assert ".tbss" not in size and ".tdata" not in size


SECTION = r"\[ *\d+\] (\.\S+) +\S+ +[0-9a-f]{16} [0-9a-f]+ ([0-9a-f]+)"


#: In what gcc tells of calls: a function with its own bytes of stack, and who calls whom.
_FRAME = re.compile(
    r'^node: .* label: "(?P<name>\w+)\\n.*\\n(?P<size>\d+) bytes \((?P<kind>.*)\)"', re.MULTILINE
)
_CALL = re.compile(r'sourcename: "(?:[^":]*:)?(\w+)" targetname: "(?:[^":]*:)?(\w+)"')
_RETURN_ADDRESS = 8


def test_it_takes_less_than_1_kib_of_its_callers_stack(tmp_path: Path) -> None:
    """This counts its own stack, as gcc reports it for the shipped module: su's caller chooses how
    much stack there is."""
    made = ["make", "--quiet", "-C", str(NATIVE), f"O={tmp_path}", "CC=gcc"]
    must([*made, "CFLAGS=-O2 -g -fcallgraph-info=su"], seconds=120)
    told = "".join(path.read_text() for path in tmp_path.glob("*.ci"))
    frames = {found["name"]: int(found["size"]) for found in _FRAME.finditer(told)}
    assert {found["kind"] for found in _FRAME.finditer(told)} == {"static"}

    def deepest(name: str) -> int:
        """The stack of the function and of ours that it calls; libc's and libpam's do not count."""
        if name not in frames:
            return 0
        below = (deepest(called) for caller, called in _CALL.findall(told) if caller == name)
        return frames[name] + _RETURN_ADDRESS + max(below, default=0)

    assert 256 < deepest("pam_sm_authenticate") < 1024
    assert all(deepest(name) < 1024 for name in frames)


@pytest.mark.parametrize(
    "words",
    [
        ("CC=clang",),
        ("CC=clang", "CFLAGS=-O0"),
        ("CFLAGS=-O3",),
        ("CFLAGS=-O2 -fanalyzer",),
    ],
    ids=" ".join,
)
def test_no_compiler_warns(words: tuple[str, ...], tmp_path: Path) -> None:
    must(["make", "--quiet", "-C", str(NATIVE), f"O={tmp_path}", *words], seconds=120)


def tidy(folder: Path, *words: str) -> str:
    """clang-tidy's findings; empty if there are none."""
    done = run(["make", "--quiet", "-C", str(folder), "tidy", *words], seconds=120)
    return done.stdout if done.returncode != 0 else ""


def test_a_linter_finds_nothing() -> None:
    assert tidy(NATIVE) == ""


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (Change("begin.c", r" /\* NOLINT\S+ \*/", ""), "concurrency-mt-unsafe"),
        (Change("conversation.c", r"(free\(answer\);)", r"\1 \1"), "clang-analyzer-unix.Malloc"),
        (Change("frame.c", r"unsigned length = ", "int length = "), "bugprone-narrowing"),
    ],
)
def test_a_mistake_would_be_found(change: Change, check: str, tmp_path: Path) -> None:
    assert check in tidy(sources(tmp_path, change), f"SOURCES={change.file}")


def test_nothing_is_written_where_it_is_built_from(tmp_path: Path) -> None:
    make = ["make", "--quiet", "-C", str(NATIVE), f"O={tmp_path / 'a'}"]
    must([*make, "install", f"DESTDIR={tmp_path / 'b'}", "SECURITYDIR=/lib/security"], seconds=120)
    (made,) = (path for path in (tmp_path / "b").rglob("*") if path.is_file())
    assert made.relative_to(tmp_path / "b") == Path("lib/security/pam_ukey.so")
    assert made.stat().st_mode & 0o7777 == 0o644
