"""The ``nlpcli`` command: the verbs, the options of all verbs, the exit codes."""

from __future__ import annotations

import errno
import importlib
import signal
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import typer

from nlpcli.cli.command import Group
from nlpcli.cli.console import (
    Settings,
    configure,
    error_lines,
    settings,
    show_error,
    show_traceback,
)
from nlpcli.cli.standard import drop, drop_gone, open_standard_streams
from nlpcli.errors import NlpcliError, UsageError

EXAMPLES = """\
Examples:
  nlpcli train ner                            the shipped sample, the tiny encoder
  nlpcli train ner --model rbt3 --data train.jsonl --dev dev.jsonl
  nlpcli predict ner "王小明在北京大学读书"
  nlpcli generate couplet "海内存知己" --num 5
  nlpcli chat dialog
  nlpcli evaluate ner --data test.jsonl --json
  nlpcli runs show runs/NAME

`nlpcli VERB --help` shows the examples and options of a verb; -q, -v, --debug and
--log-format may stand anywhere on the line.
"""

# in the order a person meets them; each is a module of nlpcli.cli, loaded when named
VERBS = (
    "recipes",
    "config",
    "data",
    "train",
    "evaluate",
    "predict",
    "generate",
    "chat",
    "fill",
    "models",
    "runs",
    "export",
    "index",
    "doctor",
)

# of names that no file can have, wherever they are looked up
_UNUSABLE = {errno.ENAMETOOLONG, errno.ELOOP}

# these hold for every verb, so they may stand before or after it
_ANYWHERE = {"-q", "--quiet", "-v", "--verbose", "--debug"}


class Root(Group):
    """The group of all verbs; turns errors into one line and an exit code."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line and leave with its exit code."""
        words = hoist(sys.argv[1:] if args is None else args)
        configure(_early(words))
        try:
            code = self._guarded(words, prog_name or "nlpcli", complete_var, extra)
            sys.stdout.flush()
        except BrokenPipeError:
            code = _drop_stdout()
        except NlpcliError as error:  # stdout's own
            code = _fail(error_lines(error), error.exit_code)
        except SystemExit as leaving:
            # how Click tells that the reader of our output went away
            if not isinstance(leaving.__context__, BrokenPipeError):
                raise
            code = _drop_stdout()
        sys.exit(code)

    def list_commands(self, ctx: Any) -> list[str]:
        """All verbs."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a verb; None, and all of them loaded, for another word."""
        for name in [cmd_name] if cmd_name in VERBS else VERBS:
            if name not in self.commands:
                module = importlib.import_module(f"nlpcli.cli.{name}")
                self.commands[name] = typer.main.get_command(module.app)
        return self.commands.get(cmd_name)

    def _guarded(
        self,
        words: list[str],
        prog_name: str,
        complete_var: str | None,
        extra: dict[str, Any],
    ) -> int:
        try:
            code = super().main(
                words, prog_name, complete_var, standalone_mode=False, **extra
            )
            return code if isinstance(code, int) else 0
        except NlpcliError as error:
            return _fail(error_lines(error), error.exit_code)
        except (KeyboardInterrupt, typer.Abort):
            return 130
        except BrokenPipeError:
            raise
        except Exception as error:  # noqa: BLE001 - the last place that can tell
            if hasattr(error, "format_message"):  # Click's errors, wherever they live
                return _fail([f"nlpcli: error: {_usage(error)}"], 2)
            if isinstance(error, OSError) and error.errno in _UNUSABLE:
                name, reason = error.filename, error.strerror
                return _fail([f"nlpcli: error: {name}: {reason}"], 2)
            told = " ".join(str(error).split()) or "no message"
            line = f"nlpcli: internal error: {type(error).__name__}: {told}"
            hint = "" if settings.debug else " (run with --debug for the traceback)"
            return _fail([line + hint], 1)


def hoist(args: Sequence[str]) -> list[str]:
    """Move the options that hold for every verb to the front of the line."""
    front: list[str] = []
    rest: list[str] = []
    words = iter(args)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word in _ANYWHERE or word.startswith("--log-format="):
            front.append(word)
        elif word == "--log-format":
            front.append(f"{word}={next(words, '')}")
        else:
            rest.append(word)
    return front + rest


def _early(words: Sequence[str]) -> Settings:
    """The settings of the line, for errors met before it is parsed."""
    return Settings(
        quiet=not {"-q", "--quiet"}.isdisjoint(words),
        verbose=not {"-v", "--verbose"}.isdisjoint(words),
        debug="--debug" in words,
        json_logs="--log-format=json" in words,
    )


app = typer.Typer(
    name="nlpcli",
    cls=Root,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from nlpcli import __version__

        typer.echo(f"nlpcli {__version__}")
        raise typer.Exit()


@app.callback(
    invoke_without_command=True,
    help="Train, evaluate and run Chinese NLP tasks.",
    epilog=EXAMPLES,
)
def root(
    context: typer.Context,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Warnings and errors only.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Details, TensorFlow's too.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Details, and the traceback of an error.")
    ] = False,
    log_format: Annotated[
        Literal["text", "json"],
        typer.Option("--log-format", help="How messages look on stderr."),
    ] = "text",
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version."
        ),
    ] = False,
) -> None:
    if quiet and (verbose or debug):
        raise UsageError("-q: does not go together with -v or --debug")
    configure(Settings(quiet, verbose, debug, log_format == "json"))
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run() -> None:
    """The console script."""
    _leave_in_order()
    open_standard_streams()
    app()


def _leave_in_order() -> None:
    """SIGTERM and SIGHUP clean up on the way out; a second SIGTERM does not wait."""
    left: list[int] = []

    def leave(number: int, frame: Any) -> None:
        hangup = number != signal.SIGTERM
        # the system and the shell both send a hangup, some send it with SIGTERM:
        # neither may disturb the cleaning up that the other began
        signal.signal(number, signal.SIG_IGN if hangup else signal.SIG_DFL)
        if hangup:
            drop_gone()
        if not left:
            left.append(number)
            raise SystemExit(128 + number)

    for name in ("SIGTERM", "SIGHUP"):  # Windows has no hangup
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, leave)


def _fail(lines: list[str], code: int) -> int:
    try:
        sys.stdout.flush()
    except (ValueError, OSError, NlpcliError):
        drop(sys.stdout)
    if settings.debug and sys.exc_info()[0] is not None and code != 2:
        show_traceback()
    show_error(lines, code)
    return code


def _usage(error: Any) -> str:
    """Click's message as one line, with where help is."""
    message = " ".join(error.format_message().split()).rstrip(".")
    message = message.replace("Value error, ", "")  # pydantic's own words
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "nlpcli"
    return f"{message[:1].lower()}{message[1:]}; see `{path} --help`"


def _drop_stdout() -> int:
    """The reader has seen what it wanted."""
    drop(sys.stdout)
    return 0
