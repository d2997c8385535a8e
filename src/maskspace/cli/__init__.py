"""The `maskspace` command: parse, call one function of the library, write, print.

Exit status 0, or 2 for what the caller got wrong, with one line on standard error that names the
file and the mend. Heavy imports wait until a command runs, so that `--help` is immediate. A command
is a module here: `add` gives a parser its options, `run` does it.
"""

from collections.abc import Sequence

from maskspace.cli import click, download, evaluate, finetune, registry, segment, shards, train
from maskspace.cli.frame import OneLineParser, complain
from maskspace.files import transfer_errors

#: Commands in the order of `--help`: name, what adds its options, what it does.
COMMANDS = (
    ("segment", segment.add, "images -> regions or ranked proposals"),
    ("click", click.add, "clicks on one image -> one mask"),
    ("evaluate", evaluate.add, "models x datasets -> metrics and plots"),
    ("train", train.add, "an objective + datasets -> a student"),
    ("finetune", finetune.add, "a clicker or student + datasets -> another one"),
    ("download", download.add, "a published dataset -> a folder"),
    ("shards", shards.add, "look into folders of shards"),
    ("registry", registry.add, "versions of a registered model: look, promote, take back"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    Example:
        >>> main(["segment", "photo.jpg", "--out", "out", "--model", "nobody"])
        2
    """
    options = parser().parse_args(arguments)
    try:
        return options.run(options)
    except ValueError as error:
        return complain(str(error))
    except transfer_errors() as error:  # a full disk, a folder that may not be written to, a store
        name = getattr(error, "filename", None)
        if isinstance(error, OSError) and name is None and error.errno is None:
            raise
        return complain(f"{name}: {error.strerror}" if isinstance(error, OSError) else str(error))


def parser() -> OneLineParser:
    """Return the parser of all commands; each sets `run` to its function.

    Example:
        >>> parser().parse_args(["segment", "photo.jpg", "--out", "out"]).model
        'student'
    """
    top = OneLineParser(
        prog="maskspace",
        description="Segment images into any number of regions, objects and parts.",
    )
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for name, add, does in COMMANDS:
        add(commands.add_parser(name, help=does))
    return top
