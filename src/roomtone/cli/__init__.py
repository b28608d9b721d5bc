"""The command line: `roomtone`.

Nothing heavy is imported here: Ctrl-C in the first half second ends a command as quietly as later.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

from roomtone.cli.exits import CliError, ExitCode

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. Errors come out as one line on standard error."""
    try:
        _open_standard_files()
        return _run(arguments)
    except CliError as error:
        return _fail(str(error), error.code)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone: nothing more can be said to it, nor at the interpreter's end.
        _discard_output()
        return ExitCode.FAILED
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        _discard_output()
        return _fail(f"standard output cannot be written ({error.strerror}): make room, or send it elsewhere")


def _run(arguments: Sequence[str] | None) -> int:
    import typer

    from roomtone.cli.commands import app

    command = typer.main.get_command(app)
    try:
        result = command.main(
            args=None if arguments is None else list(arguments), prog_name="roomtone", standalone_mode=False
        )
        sys.stdout.flush()  # here it can still be told that it fails
    except typer.Abort:
        return ExitCode.INTERRUPTED
    except (OSError, CliError):
        raise
    except Exception as error:
        # The root of the process: typer's own errors are usage, everything else is a fault of ours.
        text = _usage_error(error)
        if text is None:
            raise
        return _fail(text, ExitCode.USAGE)
    return int(result) if isinstance(result, int) else ExitCode.OK


def _usage_error(error: Exception) -> str | None:
    message = getattr(error, "format_message", None)
    if message is None:
        return None
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError" and context is not None:
        print(context.get_help(), file=sys.stderr)
        return "a command is missing"
    mend = f" (see {context.command_path} --help)" if context is not None else ""
    return f"{' '.join(str(message()).split())}{mend}"


def _open_standard_files() -> None:
    """Where a file was closed (`>&-`) the next socket would get its number, and be taken for it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gives the lowest free number: this one
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - for as long as the process
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _discard_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(text: str, code: ExitCode = ExitCode.FAILED) -> int:
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(Text("error: ", style="bold red") + Text(text))
    return code
