# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A command's completion for zsh: what it takes, for ``_arguments``."""

from __future__ import annotations

from collections.abc import Sequence

from tools.manual import Manual
from tools.parser import Argument, Parser, arguments

from .bash import quote, words
from .values import ASK, ASKED, Kind, kind_of

_HEAD = """\
#compdef {name}
# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
# zsh completion of {name}, made from its parser.
"""

_SERVICES = """
_{name}_services() {{
    local -a services=(/etc/pam.d/*(N-.:t))
    _wanted services expl 'PAM service' compadd -a services
}}
"""

_STACKS = """
_{name}_stacks() {{
    _alternative 'services:PAM service:_{name}_services' 'files:file:_files'
}}
"""

_ASKED = """
_{name}_{kind}() {{
    local answer=$({ask} {subcommand} --json 2>/dev/null </dev/null)
    local -a {kind} match mbegin mend
    while [[ $answer == (#b)*\\"{cell}\\":\\ \\"([^\\"\\\\]##)\\"[,\\}}]* ]]; do
        {kind}+=($match[1])
        answer=$answer[1,$mbegin[1]]
    done
    _wanted {kind} expl '{kind}' compadd -a {kind}
}}
"""

_ALONE = """
_{name}() {{
    {arguments}
}}
"""

_FAMILY = """
_{function}() {{
    local curcontext=$curcontext state line ret=1
    _arguments -C -S : \\
        {head}
        '*::argument:->argument' && ret=0
    case $state in
        subcommand)
            local -a subcommands=(
                {subcommands}
            )
            _describe -t commands 'subcommand' subcommands && ret=0
            ;;
        argument)
            curcontext=${{curcontext%:*}}-$words[1]:
            case $words[1] in
{cases}
            esac
            ;;
    esac
    return ret
}}
"""


def script(name: str, family: Sequence[Parser]) -> str:
    """The completion of `name`: its parser is the first of `family`, its subcommands' the rest."""
    top, *below = family
    kinds = {kind_of(each) for parser in family for each in arguments(parser)}
    helpers = ""
    if kinds & {Kind.SERVICES, Kind.STACKS}:
        helpers += _SERVICES.format(name=name)
    if Kind.STACKS in kinds:
        helpers += _STACKS.format(name=name)
    for kind, (cell, subcommand) in ASKED.items():
        if kind in kinds:
            helpers += _ASKED.format(
                name=name, kind=kind, cell=cell, subcommand=subcommand, ask=ASK
            )
    body = _family(top, below) if below else _ALONE.format(name=name, arguments=_call(top))
    return _HEAD.format(name=name) + helpers + body + f'\n_{name} "$@"\n'


def _family(top: Parser, family: Sequence[Parser]) -> str:
    """The function of a group, after those of the groups in it."""
    below = {
        parser.prog.removeprefix(f"{top.prog} "): parser
        for parser in family
        if parser.prog.rpartition(" ")[0] == top.prog
    }
    groups = [parser for parser in below.values() if parser.manual.subcommands]
    head = [_option(each, []) for each in arguments(top) if each.flags]
    head.append("'1:subcommand:->subcommand'")
    cases = []
    for subcommand, parser in below.items():
        call = _function(parser) if parser in groups else _call(parser, indent=20)
        cases.append(
            f"                {subcommand})\n                    {call} && ret=0\n"
            + " " * 20
            + ";;"
        )
    manual: Manual = top.manual
    return "".join(_family(group, family) for group in groups) + _FAMILY.format(
        function=_function(top)[1:],
        head="\n        ".join(f"{spec} \\" for spec in head),
        subcommands="\n                ".join(
            quote(f"{_plain(subcommand)}:{_plain(text)}") for subcommand, text in manual.subcommands
        ),
        cases="\n".join(cases),
    )


def _function(parser: Parser) -> str:
    return "_" + parser.prog.replace(" ", "_")


def _call(parser: Parser, indent: int = 4) -> str:
    taken = arguments(parser)
    name = parser.prog.partition(" ")[0]
    specs, number = [], 0
    for argument in taken:
        if argument.flags:
            rivals = [
                flag
                for other in taken
                if other is not argument and other.rival == argument.rival is not None
                for flag in other.flags
            ]
            specs.append(_option(argument, rivals, name))
        else:
            number += 1
            place = "*" if argument.several else str(number)
            optional = "" if argument.required or argument.several else ":"
            specs.append(quote(f"{place}:{optional}{_value(argument, name)}"))
    return f" \\\n{' ' * (indent + 4)}".join(["_arguments -s -S :", *specs])


def _option(argument: Argument, rivals: Sequence[str], name: str = "") -> str:
    """One specification for each spelling: an option excludes its other spellings and its rivals,
    and ``--help`` everything."""
    whole = "--help" in argument.flags
    excluded = "- *" if whole else " ".join([*argument.flags, *rivals])
    text = f"[{_plain(argument.text).replace('[', '(').replace(']', ')')}]"
    specs = []
    for flag in argument.flags:
        value = f"={text}:{_value(argument, name)}" if argument.value else text
        specs.append(quote(f"({excluded}){flag}{value}"))
    return " ".join(specs)


def _value(argument: Argument, name: str) -> str:
    """``message:action``: what is completed, and how."""
    actions = {
        Kind.NONE: " ",
        Kind.WORDS: f"({words(argument.choices)})",
        Kind.USERS: "_users",
        Kind.FILES: "_files",
        Kind.FOLDERS: "_files -/",
        Kind.SERVICES: f"_{name}_services",
        Kind.STACKS: f"_{name}_stacks",
        **{kind: f"_{name}_{kind}" for kind in ASKED},
    }
    return f"{_plain(argument.value)}:{actions[kind_of(argument)]}"


def _plain(text: str) -> str:
    """`text` where a colon ends a field."""
    return text.replace("\\", "\\\\").replace(":", "\\:")
