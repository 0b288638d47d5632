# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A command's completion for bash, with bash-completion's helpers: what it takes as two ``case``
tables, and a part that is the same for all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tools.parser import Argument, Parser, arguments

from .values import ASK, ASKED, Kind, kind_of

_SCRIPT = """\
# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
# bash completion of NAME, made from its parser. What was typed is compared, never evaluated.

# The options of the subcommand $1; empty is the command itself.
_NAME_options()
{
    case $1 in
OPTIONS
        *) options=() ;;
    esac
}

# What $2 is in the subcommand $1: the value of an option, or the operand of a number. A kind, and
# the words of a choice; nothing for an option without a value, or one operand too many.
_NAME_wanted()
{
    case "$1 $2" in
WANTED
        *) wanted=() ;;
    esac
}

# The cells $1 of what ukey answers to the rest, into names. What holds a backslash or a quote is
# left out.
_NAME_ask()
{
    local pattern='"'$1'": "([^"\\\\]+)"' answer
    shift
    answer=$(ASK "$@" --json 2>/dev/null </dev/null) || return
    while [[ $answer =~ $pattern ]]; do
        names+=("${BASH_REMATCH[1]}")
        answer=${answer#*"${BASH_REMATCH[0]}"}
    done
}

# Offer what begins with $1 and is of the kind $2; what follows are the words of a choice.
_NAME_offer()
{
    local begun=$1 kind=$2 name quoted
    shift 2
    local -a names=()
    case $kind in
        words) names=("$@") ;;
ASKED
        users) mapfile -t names < <(compgen -u -- "$begun") ;;
        services | stacks)
            for name in /etc/pam.d/*; do
                [[ -f $name ]] && names+=("${name##*/}")
            done
            ;;
    esac
    case $kind in
        files | stacks) _filedir ;;
        folders) _filedir -d ;;
    esac
    for name in "${names[@]}"; do
        [[ $name == "$begun"* ]] || continue
        printf -v quoted %q "$name"
        # Among files readline quotes, and would do it twice.
        [[ $kind == stacks && $quoted != "$name" ]] || COMPREPLY+=("$quoted")
    done
}

_NAME()
{
    local cur prev words cword split
    _init_completion -s || return

    local -a options=() wanted=()
    local subcommand='' i=1 operand=0 ended=''
SUBCOMMAND
    for (( ; i < cword; i++)); do
        if [[ -n $ended || ${words[i]} != -?* ]]; then
            operand=$((operand + 1))
        elif [[ ${words[i]} == -- ]]; then
            ended=yes
        elif [[ ${words[i]} != *=* ]]; then
            _NAME_wanted "$subcommand" "${words[i]}"
            if ((${#wanted[@]} && ++i == cword)); then
                _NAME_offer "$cur" "${wanted[@]}"
                return
            fi
        fi
    done

    _NAME_options "$subcommand"
    if [[ $split == true ]]; then
        _NAME_wanted "$subcommand" "$prev"
    elif [[ -z $ended && $cur == -* ]]; then
        wanted=(words "${options[@]}")
    else
        _NAME_wanted "$subcommand" "$operand"
        ((${#wanted[@]})) || [[ -n $ended ]] || wanted=(words "${options[@]}")
    fi
    ((!${#wanted[@]})) || _NAME_offer "$cur" "${wanted[@]}"
} &&
    complete -F _NAME NAME
"""

_SUBCOMMAND = """\
    if ((cword > 1)); then
        subcommand=${words[1]} i=2
    fi
GROUPS
"""


_GROUPS = """\
    case $subcommand in
        NAMES) ((cword == 2)) || subcommand+=" ${words[2]}" i=3 ;;
    esac
"""


def script(name: str, family: Sequence[Parser]) -> str:
    """The completion of `name`: its parser is the first of `family`, its subcommands' the rest."""
    options, wanted = [], []
    groups = " | ".join(
        parser.prog.removeprefix(name).strip() for parser in family[1:] if parser.manual.subcommands
    )
    for parser in family:
        subcommand = parser.prog.removeprefix(name).strip()
        taken = arguments(parser)
        flags = [flag for each in taken for flag in each.flags]
        pattern = subcommand if subcommand.replace("-", "").isalpha() else quote(subcommand)
        options.append(f"        {pattern}) options=({words(flags)}) ;;")
        wanted += [f"        {row} ;;" for row in _wanted(subcommand, taken)]
    return (
        _SCRIPT.replace("SUBCOMMAND\n", _SUBCOMMAND if len(family) > 1 else "")
        .replace("GROUPS\n", _GROUPS.replace("NAMES", groups) if groups else "")
        .replace("OPTIONS", "\n".join(options))
        .replace("WANTED", "\n".join(wanted))
        .replace("ASKED", "\n".join(_asked()))
        .replace("ASK ", f"{ASK} ")
        .replace("NAME", name)
    )


def _asked() -> Iterator[str]:
    for kind, (cell, subcommand) in ASKED.items():
        yield f"        {kind}) _NAME_ask {cell} {subcommand} ;;"


def _wanted(subcommand: str, taken: Sequence[Argument]) -> Iterator[str]:
    number = 0
    for argument in taken:
        if not argument.value:
            continue
        kind = kind_of(argument)
        values = words([kind, *(argument.choices if kind is Kind.WORDS else ())])
        if argument.flags:
            patterns = " | ".join(quote(f"{subcommand} {flag}") for flag in argument.flags)
        elif argument.several:
            patterns = quote(f"{subcommand} ") + "[0-9]*"
        else:
            patterns = quote(f"{subcommand} {number}")
            number += 1
        yield f"{patterns}) wanted=({values})"


def words(names: Sequence[str]) -> str:
    return " ".join(name if name.replace("-", "a").isalnum() else quote(name) for name in names)


def quote(text: str) -> str:
    """`text` as one word of the shell that nothing is expanded in."""
    return "'" + text.replace("'", "'\\''") + "'"
