# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The authselect profiles of the RPM give the stacks of pam.d-examples, which libpam has proven."""

from __future__ import annotations

import itertools
import re

import pytest

from tests.packages.authselect import TemplateError, evaluate, features_of, render
from tests.support import CHECKOUT

PROFILES = CHECKOUT / "packaging/rpm/authselect"
EXAMPLES = CHECKOUT / "pam.d-examples/redhat"
FEATURES = {"with-ukey", "with-ukey-uniform", "with-faillock", "with-mkhomedir"}
KINDS = ("local", "sssd")


def template(name: str) -> str:
    return (PROFILES / name).read_text()


def lines(stack: str) -> list[str]:
    """Without comments, and whatever the spaces between words."""
    return [" ".join(line.split()) for line in stack.splitlines() if line and line[0] != "#"]


@pytest.mark.parametrize("file", ["system-auth", "password-auth"])
@pytest.mark.parametrize("faillock", [False, True], ids=["", "faillock"])
@pytest.mark.parametrize("variant", ["helpful", "uniform"])
@pytest.mark.parametrize("kind", KINDS)
def test_with_the_ukey_s_features_it_is_the_example(
    kind: str, variant: str, faillock: bool, file: str
) -> None:
    chosen = {"with-ukey"} if variant == "helpful" else {"with-ukey-uniform"}
    folder = f"{kind}-faillock" if faillock else kind
    rendered = render(template(f"{kind}-auth"), chosen | ({"with-faillock"} if faillock else set()))
    assert lines(rendered) == lines((EXAMPLES / variant / folder / file).read_text())


@pytest.mark.parametrize("faillock", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_without_them_it_is_the_same_stack_without_the_ukey(kind: str, faillock: bool) -> None:
    """Turning the feature off is the way back."""
    others = {"with-faillock"} if faillock else set()
    off, on = (
        lines(render(template(f"{kind}-auth"), others | ukey)) for ukey in (set(), {"with-ukey"})
    )
    assert [line for line in on if "ukey" not in line.replace("admin_group=ukey-", "")] == off


@pytest.mark.parametrize("kind", KINDS)
def test_uniform_wins(kind: str) -> None:
    both = {"with-ukey", "with-ukey-uniform"}
    given = template(f"{kind}-auth")
    assert render(given, both) == render(given, {"with-ukey-uniform"})


@pytest.mark.parametrize("kind", KINDS)
def test_every_feature_is_described_and_every_combination_is_a_stack(kind: str) -> None:
    given = template(f"{kind}-auth")
    assert features_of(given) == FEATURES
    assert features_of(template("REQUIREMENTS")) <= FEATURES
    readme = template(f"{kind}-README")
    assert set(re.findall(r"^(with\S+)::$", readme, re.MULTILINE)) == FEATURES
    assert f"authselect select ukey-{kind} " in readme
    for size in range(len(FEATURES) + 1):
        for chosen in itertools.combinations(sorted(FEATURES), size):
            text = render(given, set(chosen))
            assert ("pam_oddjob_mkhomedir" in text) is ("with-mkhomedir" in chosen)
            for line in lines(text):
                assert re.match(r"-?(auth|account|password|session) ", line), line


def test_no_stack_lets_in_by_a_fingerprint_or_a_smart_card_alone() -> None:
    assert lines(render(template("other-auth"), FEATURES)) == [
        "auth required pam_debug.so auth=authinfo_unavail",
        "auth required pam_deny.so",
    ]


def test_the_renderer_reads_as_the_manual_page_says() -> None:
    chosen = {"a", "b"}
    assert evaluate('"a" and not "c"', chosen)
    assert evaluate('not "c" and ("c" or "b")', chosen)
    assert not evaluate('"c" or not "a"', chosen)
    text = 'one {include if "a"}\ntwo {exclude if "a"}\n3 {if "c":x|y} {if "b":z}\n'
    assert render(text, chosen) == "one\n3 y z\n"
    assert render('{continue if "a"}\nx\n{stop if "b"}\ny\n', chosen) == "x\n"
    assert render('x\n{continue if "c"}\ny\n', chosen) == "x\n"
    for wrong in ('x {include if "a" nor "b"}', "x {inclde if y}", 'x {include if ("a"}'):
        with pytest.raises(TemplateError):
            render(wrong, chosen)
