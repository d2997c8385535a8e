"""`maskspace registry`: look at the versions of a model, promote one, take a promotion back."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maskspace.tracking import Version

NAME, ALIAS = "maskspace-student", "champion"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options of `maskspace registry`.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add(parser)
        >>> parser.parse_args("promote 3".split()).version
        3
    """
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, run, does in (
        ("show", show, "its versions, with what each was measured by"),
        ("promote", promote, f"let a version be {ALIAS}, whatever it measured"),
        ("rollback", rollback, f"let the version that was {ALIAS} before be it again"),
    ):
        command = commands.add_parser(name, help=does, description=does)
        command.add_argument(
            "--name", default=NAME, help=f"the registered model's name (default: {NAME})"
        )
        if run is promote:
            command.add_argument("version", type=int, help="the version's number")
        command.set_defaults(run=run)


def show(options: argparse.Namespace) -> int:
    """Print a line a version, the newest first.

    Example:
        >>> from maskspace.cli import main
        >>> main("registry show --name nobody".split())
        2
    """
    from maskspace import tracking

    present = tracking.champion(options.name)
    for one in _versions(options.name):
        alias = ALIAS if present is not None and present.version == one.version else ""
        value = "" if one.value is None else f"{one.value:.4f}"
        print(f"{one.version:>4}  {value:>7}  {one.metric}  {alias}".rstrip())
    return 0


def promote(options: argparse.Namespace) -> int:
    """Move the alias to a version."""
    from maskspace import tracking

    known = {one.version: one for one in _versions(options.name)}
    chosen = known.get(str(options.version))
    if chosen is None:
        raise ValueError(
            f"models:/{options.name}/{options.version}: no such version in "
            f"{tracking.store_name()}, which has {', '.join(sorted(known, key=int))}"
        )
    tracking.promote(chosen)
    print(f"{chosen.uri} is {ALIAS}")
    return 0


def rollback(options: argparse.Namespace) -> int:
    """Move the alias back to the champion before."""
    from maskspace import tracking

    found = tracking.roll_back(options.name)
    told = f"{found.uri} is" if found else f"models:/{options.name}: no version is"
    print(f"{told} {ALIAS}")
    return 0


def _versions(name: str) -> "list[Version]":
    from maskspace import tracking

    found = tracking.versions(name)
    if not found:
        raise ValueError(
            f"models:/{name}: not in the registry {tracking.store_name()}; set MLFLOW_TRACKING_URI "
            "to the store that has it, or give its --name"
        )
    return found
