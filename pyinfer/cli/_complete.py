# SPDX-License-Identifier: Apache-2.0
"""Scripts that complete the command in bash, zsh and fish, from COMMANDS and the parsers."""

from __future__ import annotations

from typing import NamedTuple

from . import COMMANDS, parser_of


class Argument(NamedTuple):
    """A flag, or a positional argument (no names): what follows it is one of `words`, a file if
    `files` (those with these endings first, if there are any), or what nobody can guess."""

    names: tuple[str, ...]
    help: str
    label: str
    takes: bool
    words: tuple[str, ...]
    files: bool
    endings: tuple[str, ...]
    often: bool


def arguments_of(command: str) -> list[Argument]:
    found = []
    for action in parser_of(command).actions:
        words = [str(choice) for choice in action.choices or ()]
        words += str(getattr(action, "complete", "")).split()
        file = next((w for w in words if w.startswith("FILE")), "")
        found.append(
            Argument(
                tuple(action.option_strings),
                (action.help or "").partition(";")[0] % {"default": action.default},
                str(action.metavar or action.dest),
                action.nargs != 0,
                tuple(w for w in words if w != file),
                bool(file),
                tuple(filter(None, file.partition(":")[2].split(","))),
                isinstance(action.default, list),
            )
        )
    return found


BASH = """\
# bash completion of pyinfer: eval "$(pyinfer completion bash)"
_pyinfer_add() {{ # adds the lines of stdin
    local line
    while IFS= read -r line; do COMPREPLY+=("$line"); done
}}

_pyinfer_files() {{ # CURRENT [ENDING...]: folders, and files with the endings if there are any
    local current=$1 ending before=${{#COMPREPLY[@]}}
    shift
    for ending in "$@"; do
        _pyinfer_add < <(compgen -f -X "!*.$ending" -- "$current")
    done
    (($#)) && _pyinfer_add < <(compgen -d -- "$current")
    ((${{#COMPREPLY[@]}} > before)) || _pyinfer_add < <(compgen -f -- "$current")
    compopt -o filenames 2>/dev/null
}}

_pyinfer_words() {{ # CURRENT WORDS
    _pyinfer_add < <(compgen -W "$2" -- "$1")
}}

_pyinfer() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} flag=${{COMP_WORDS[COMP_CWORD - 1]}}
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        _pyinfer_words "$current" "{commands} --help --version"
        return
    fi
    if [[ $current == "=" || $flag == "=" ]]; then # --flag=VALUE or NAME=VALUE: three words
        [[ $current == "=" ]] && current= || flag=${{COMP_WORDS[COMP_CWORD - 2]}}
        [[ $flag == -* ]] || flag=--input
    fi
    case $flag in
{values}
    esac
    if [[ $current == -* ]]; then
        case ${{COMP_WORDS[1]}} in
{flags}
        esac
        return
    fi
    case ${{COMP_WORDS[1]}} in
{positionals}
    esac
}}
complete -F _pyinfer pyinfer"""


def _bash_value(argument: Argument) -> str:
    calls = []
    if argument.words:
        calls.append(f'_pyinfer_words "$current" "{" ".join(argument.words)}"')
    if argument.files:
        calls.append(" ".join(['_pyinfer_files "$current"', *argument.endings]))
    return "; ".join(calls)


def bash(table: dict[str, list[Argument]]) -> str:
    values: dict[str, list[str]] = {}  # flags by what is done behind them
    flags, positionals = [], []
    for command, arguments in table.items():
        names = " ".join(name for a in arguments for name in a.names)
        flags.append(f'            {command}) _pyinfer_words "$current" "{names}" ;;')
        for a in arguments:
            if not a.names and _bash_value(a):
                positionals.append(f"        {command}) {_bash_value(a)} ;;")
            elif a.names and a.takes:
                same = values.setdefault(_bash_value(a), [])
                same += [name for name in a.names if name not in same]
    cases = [
        f"        {' | '.join(names)}) {do}{'; ' * bool(do)}return ;;"
        for do, names in values.items()
    ]
    return BASH.format(
        commands=" ".join(table),
        values="\n".join(cases),
        flags="\n".join(flags),
        positionals="\n".join(positionals),
    )


ZSH = """\
#compdef pyinfer
# zsh completion of pyinfer: eval "$(pyinfer completion zsh)", behind compinit
_pyinfer() {{
    local -a commands
    if (( CURRENT == 2 )); then
        commands=(
{commands}
        )
        _describe command commands
        return
    fi
    local command=$words[2]
    shift words
    (( CURRENT-- ))
    case $command in
{cases}
    esac
}}
if [[ $funcstack[1] == _pyinfer ]]; then _pyinfer "$@"; else compdef _pyinfer pyinfer; fi"""


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _zsh_said(text: str) -> str:
    return "".join("\\" + c if c in "[]:\\" else c for c in text)


def _zsh_argument(a: Argument) -> str:
    files = f"_files -g '*.({'|'.join(a.endings)})(-.)'" if a.endings else "_files"
    words = f"({' '.join(a.words)})" if a.words else ""
    how = files if a.files else words
    if a.files and words:
        how = f' _alternative "words\\:word\\:{words}" "files\\:file\\:_files"'
    tail = f":{_zsh_said(a.label)}:{how}" if a.takes else ""
    if not a.names:
        return _quoted(f":{_zsh_said(a.label)}:{how}")
    parts = []
    for name in a.names:
        star = "*" if a.often else ""
        parts.append(_quoted(f"{star}{name}[{_zsh_said(a.help)}]{tail}"))
    return " ".join(parts)


def zsh(table: dict[str, list[Argument]]) -> str:
    commands = [f"            {_quoted(f'{c}:{_zsh_said(COMMANDS[c])}')}" for c in table]
    cases = []
    for command, arguments in table.items():
        rows = " \\\n".join(f"                {_zsh_argument(a)}" for a in arguments)
        cases.append(f"        {command})\n            _arguments \\\n{rows} ;;")
    return ZSH.format(commands="\n".join(commands), cases="\n".join(cases))


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def fish(table: dict[str, list[Argument]]) -> str:
    lines = [
        "# fish completion of pyinfer, for ~/.config/fish/completions/pyinfer.fish",
        "complete -c pyinfer -f",
        "complete -c pyinfer -n __fish_use_subcommand -l help -d 'print help'",
        "complete -c pyinfer -n __fish_use_subcommand -l version -d 'print the version'",
    ]
    for command in table:
        said = _fish_quoted(COMMANDS[command])
        lines.append(f"complete -c pyinfer -n __fish_use_subcommand -a {command} -d {said}")
    for command, arguments in table.items():
        for a in arguments:
            parts = [f"complete -c pyinfer -n '__fish_seen_subcommand_from {command}'"]
            parts += [f"-{'s' if len(n) == 2 else 'l'} {n.lstrip('-')}" for n in a.names]
            parts += ["-r"] if a.names and a.takes else []
            if a.takes:
                parts.append("-F" if a.files else "-f")
            parts += [f"-a {_fish_quoted(' '.join(a.words))}"] if a.words else []
            parts += [f"-d {_fish_quoted(a.help)}"]
            lines.append(" ".join(parts))
    return "\n".join(lines)


def script(shell: str) -> str:
    """The script of a shell: bash, zsh or fish."""
    table = {command: arguments_of(command) for command in COMMANDS}
    return {"bash": bash, "zsh": zsh, "fish": fish}[shell](table)
