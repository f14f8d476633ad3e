"""The command `zsbench`: finds the subcommand, turns errors into one sentence and an exit code."""

from __future__ import annotations

import atexit
import os
import signal
import sqlite3
import sys
import traceback
import warnings
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn, TextIO

import click
from click.shell_completion import shell_complete

import robustbench_zs
from robustbench_zs.cli.archive import pack, unpack
from robustbench_zs.cli.attack import attack
from robustbench_zs.cli.check import baseline, check
from robustbench_zs.cli.command import fail_to_standard_error
from robustbench_zs.cli.compare import compare
from robustbench_zs.cli.corruptions import corruptions
from robustbench_zs.cli.curve import curve
from robustbench_zs.cli.evaluate import evaluate
from robustbench_zs.cli.gap import gap
from robustbench_zs.cli.listing import list_
from robustbench_zs.cli.masking import masking
from robustbench_zs.cli.networks import networks
from robustbench_zs.cli.output import spell_what_cannot_be_shown
from robustbench_zs.cli.report import report
from robustbench_zs.cli.roots import roots
from robustbench_zs.cli.run import run
from robustbench_zs.cli.schema import schema
from robustbench_zs.cli.train import train
from robustbench_zs.errors import ZsbenchError, ZsbenchWarning

COMPLETE = "_ZSBENCH_COMPLETE"
"""The variable by which a shell asks for completions."""

DONE, REQUEST_WRONG, UNFINISHED, INTERRUPTED = 0, 2, 3, 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(robustbench_zs.__version__, prog_name="zsbench")
def cli() -> None:
    """Do the roots of a network's characteristic polynomial predict how it degrades?

    \b
    A first look:  zsbench run digits
    Step by step:  zsbench train
                   zsbench evaluate --noise gaussian --delta 0.02
                   zsbench attack --pgd
    """


COMMANDS = (
    *(list_, roots, networks, train),
    *(evaluate, attack, curve, corruptions, masking, gap, compare),
    *(run, report, pack, unpack, baseline, check, schema),
)
for command in COMMANDS:
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 the request was wrong, 3 it could not be finished, 130 interrupted."""
    if arguments is None:
        if COMPLETE in os.environ:
            sys.exit(shell_complete(cli, {}, "zsbench", COMPLETE, os.environ[COMPLETE]))
        signal.signal(signal.SIGINT, _interrupt)
    spell_what_cannot_be_shown()
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        code = _run(arguments)
    sys.exit(code)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if issubclass(category, ZsbenchWarning):
        click.echo(f"Warning: {message}", err=True)
    else:
        click.echo(warnings.formatwarning(message, category, filename, lineno, line), err=True, nl=False)


def _interrupt(signum: int, frame: FrameType | None) -> NoReturn:
    """Raise KeyboardInterrupt, and again every few seconds: an import or a callback that it hits may swallow it."""
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, _interrupt)
        signal.setitimer(signal.ITIMER_REAL, 5)
    raise KeyboardInterrupt


def _end_interrupted() -> NoReturn:
    """End at once: worker processes are stopped, and no exit handler waits for what they had in the works."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0)
    click.echo("\nInterrupted. Run the same command again: it resumes from the last saved state.", err=True)
    if "multiprocessing" in sys.modules:
        from multiprocessing import active_children

        for process in active_children():
            process.kill()
    sys.stdout.flush()
    atexit._run_exitfuncs()  # gives back semaphores, which would be reported as leaked
    os._exit(INTERRUPTED)


def _run(arguments: Sequence[str] | None) -> int:
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with cli.make_context("zsbench", arguments) as context:
            cli.invoke(context)
        return DONE
    except click.exceptions.Exit as error:
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _end_interrupted()
    except click.ClickException as error:
        error.show()
        return REQUEST_WRONG
    except BrokenPipeError:
        # whoever read our output has closed it, as in `zsbench networks | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        if "--debug" in arguments:
            traceback.print_exc()  # not raised: Python would exit with 1, which is a regression's
        return _failed(error)


def _failed(error: Exception) -> int:
    if isinstance(error, ZsbenchError):
        fail_to_standard_error(str(error))
        return error.exit_code
    reasons = {MemoryError: "out of memory", OSError: "a file could not be used", sqlite3.Error: "the results store failed"}
    reason = next((text for kind, text in reasons.items() if isinstance(error, kind)), "internal error")
    detail = " ".join(str(error).split())[:300]
    fail_to_standard_error(f"{reason}: {type(error).__name__}: {detail} (--debug shows where)")
    return UNFINISHED
