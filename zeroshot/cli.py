"""`zeroshot`: suites, runs, experts, data and films from the command line."""

from __future__ import annotations

import io
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr

OK, FAILED, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes."""

DESCRIPTION = (
    "Zero-shot control: fit methods on the experts of some contexts, score them on contexts that "
    "nobody trained on. `zeroshot --version` prints the version, `zeroshot "
    "--tyro-print-completion {bash,zsh,tcsh}` a completion script for the shell. Exit codes: 0 "
    "done, 1 a method or an expert failed, 2 bad usage, 130 interrupted."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code.

    Bad usage is one line on stderr. A method that raises leaves its traceback there, and so does
    what nobody foresaw. Import paths are found in the current folder, as by `python -m`.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        if words == ["--version"]:
            print(f"zeroshot {_version()}")
            return OK
        return _parse(words)()
    except _BadUsage as error:
        return _complain(str(error), BAD_USAGE)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `zeroshot suites | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except (ValueError, OSError) as error:
        if not _foreseen(error):
            traceback.print_exc()
            return FAILED
        return _complain(str(error), BAD_USAGE)
    except ModuleNotFoundError as error:
        hint = "" if "pip install" in str(error) else ": pip install 'param-envs[zeroshot]'"
        return _complain(f"{error}{hint}", BAD_USAGE)
    except Exception as error:
        if _expected(error):
            return _complain(str(error), FAILED)
        traceback.print_exc()
        return FAILED


class _BadUsage(Exception):
    """The command line makes no sense."""


def _parse(words: list[str]) -> Callable[[], int]:
    import tyro

    from zeroshot.commands import Command

    said = io.StringIO()
    try:
        with redirect_stderr(said):
            command: Callable[[], int] = tyro.cli(
                Command,
                prog="zeroshot",
                description=DESCRIPTION,
                args=words,
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
            )
    except SystemExit as stop:
        if stop.code in (None, OK):
            return lambda: OK
        raise _BadUsage(_one_line(said.getvalue())) from None
    return command


def _one_line(boxed: str) -> str:
    """Tyro's box of text as one line."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", boxed)
    lines = [line.strip("│|╭╮╰╯─ \t") for line in plain.splitlines()[1:]]
    return re.sub(r"\s+", " ", " ".join(line if line else ";" for line in lines)).strip(" ;")


def _foreseen(error: Exception) -> bool:
    """Whether the system refused something, or a line of some package says `raise` itself.

    A ValueError from the middle of an expression is nobody's message to a user.
    """
    line = traceback.extract_tb(error.__traceback__)[-1].line
    return isinstance(error, OSError) or not line or line.startswith("raise")


def _expected(error: Exception) -> bool:
    from experts import BuildError
    from zeroshot.workers import WorkerFailed

    return isinstance(error, (BuildError, WorkerFailed))


def _complain(text: str, code: int) -> int:
    print(f"zeroshot: error: {text}", file=sys.stderr)
    return code


def _version() -> str:
    from importlib.metadata import version

    return version("param-envs")


if __name__ == "__main__":
    sys.exit(main())
