"""Load a section of params.yaml into a frozen dataclass; bind a named choice to its function."""

import inspect
import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import lru_cache, partial
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, dataclass_transform, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

Section = TypeVar("Section")
Value = TypeVar("Value")
Bound = TypeVar("Bound", bound=Callable[..., object])


@dataclass_transform(kw_only_default=True, frozen_default=True)
def section(kind: type[Section]) -> type[Section]:
    """Make a params section of a class: frozen, keyword-only, no unknown keys, no conversions.

    Example:
        >>> @section
        ... class Training:
        ...     steps: int
        >>> Training(steps=3)
        Training(steps=3)
    """
    rules = ConfigDict(extra="forbid", strict=True)
    return pydantic_dataclass(frozen=True, kw_only=True, config=rules)(kind)  # pyright: ignore[reportReturnType]


@section
class Choice:
    """One entry of a table with its options: `{name: triplet, options: {margin: 0.3}}`.

    Example:
        >>> Choice(name="triplet", options={"margin": 0.3})
        Choice(name='triplet', options={'margin': 0.3})
    """

    name: str
    options: dict[str, Any]


def read_params(path: Path) -> dict[str, Any]:
    """Return params.yaml as plain dictionaries (YAML 1.2, as DVC reads it).

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "params.yaml")
        >>> _ = path.write_text("train: {steps: 3}")
        >>> read_params(path)
        {'train': {'steps': 3}}
    """
    try:
        params = deepcopy(_parsed(path.read_text()))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; run from the repository's root") from None
    except YAMLError as error:
        raise ValueError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
    if not isinstance(params, dict):
        raise ValueError(f"{path}: expected a mapping of sections, got {type(params).__name__}")
    return params


@lru_cache(maxsize=8)
def _parsed(text: str) -> Any:
    """Return what YAML says; a stage asks for its file ten times, and each takes half a second."""
    return YAML(typ="safe", pure=True).load(text)


def load_section(kind: type[Section], *keys: str, path: Path = Path("params.yaml")) -> Section:
    """Return the section under `keys` as the frozen dataclass `kind`.

    ValueError in one line, with the path of the key, for an unknown or missing key or a wrong type.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "params.yaml")
        >>> _ = path.write_text("train: {model: {name: unet, options: {depth: 2}}}")
        >>> load_section(Choice, "train", "model", path=path)
        Choice(name='unet', options={'depth': 2})
    """
    value: Any = read_params(path)
    for depth, key in enumerate(keys):
        if not isinstance(value, Mapping) or key not in value:
            known = ", ".join(sorted(map(str, value))) if isinstance(value, Mapping) else "nothing"
            place = ".".join(keys[: depth + 1])
            raise ValueError(f"{path}: {place}: missing; this level holds {known}")
        value = value[key]
    return build_section(kind, value, place=f"{path}: {'.'.join(keys)}")


def build_section(kind: type[Section], value: object, *, place: str) -> Section:
    """Return plain dictionaries as the dataclass `kind`; `place` names them in the error.

    Example:
        >>> build_section(Choice, {"name": "unet", "options": {}}, place="params.yaml: model")
        Choice(name='unet', options={})
        >>> build_section(Choice, {"name": "unet", "option": {}}, place="params.yaml: model")
        Traceback (most recent call last):
            ...
        ValueError: params.yaml: model.option: unknown key; remove it or correct its spellin...
    """
    try:
        # JSON's strict mode takes a mapping for a section and a list for a tuple, Python's does not
        return TypeAdapter(kind).validate_json(json.dumps(value))
    except ValidationError as error:
        # a misspelt key is also a missing one; what stands in the file says more
        misspelt = [e for e in error.errors() if e["type"] == "unexpected_keyword_argument"]
        first = (misspelt or error.errors())[0]
        key = ".".join([place, *map(str, first["loc"])])
        message = {
            "unexpected_keyword_argument": "unknown key; remove it or correct its spelling",
            "missing_argument": "missing key; add it",
            "missing": "missing key; add it",
        }.get(first["type"], f"{first['msg'][:1].lower()}{first['msg'][1:]}")
        got = "" if "missing" in first["type"] else f"; got {first['input']!r}"
        raise ValueError(f"{key}: {message}{got}") from None


def lookup(table: Mapping[str, Value], name: str, *, kind: str) -> Value:
    """Return `table[name]`; ValueError that lists the known names.

    Example:
        >>> lookup({"disk": 1, "square": 2}, "disk", kind="shape")
        1
        >>> lookup({"disk": 1, "square": 2}, "disc", kind="shape")
        Traceback (most recent call last):
            ...
        ValueError: shape 'disc' is unknown; choose one of disk, square
    """
    if name not in table:
        raise ValueError(f"{kind} {name!r} is unknown; choose one of {', '.join(sorted(table))}")
    return table[name]


def choose(table: Mapping[str, Callable[..., Value]], choice: Choice, *, kind: str) -> Any:
    """Return the chosen function with its options bound.

    Options are checked against the function's keyword-only parameters and their types; options that
    are not given have the function's defaults. ValueError in one line for an unknown name or
    option, and for a value of a wrong type.

    Example:
        >>> def power(base, *, exponent: int = 2):
        ...     return base**exponent
        >>> cube = choose(
        ...     {"power": power}, Choice(name="power", options={"exponent": 3}), kind="function"
        ... )
        >>> cube(2)
        8
    """
    function = lookup(table, choice.name, kind=kind)
    allowed = keyword_options(function)
    for name in choice.options:
        if name not in allowed:
            known = ", ".join(allowed) or "none"
            raise ValueError(f"{kind} {choice.name}: unknown option {name!r}; it takes {known}")
    options = {key: _tuples(value) for key, value in choice.options.items()}
    for name, value in options.items():
        _check_type(function, name, value, place=f"{kind} {choice.name}")
    return partial(function, **options)


def _check_type(function: Callable[..., object], name: str, value: object, *, place: str) -> None:
    """Raise ValueError for an option of another type than its parameter is annotated with."""
    annotation = inspect.signature(function, eval_str=True).parameters[name].annotation
    if annotation is inspect.Parameter.empty:
        return
    kind = TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
    try:
        kind.validate_python(value, strict=True)
    except ValidationError as error:
        message = error.errors()[0]["msg"]
        raise ValueError(
            f"{place}: option {name}: {message[:1].lower()}{message[1:]}; got {value!r}"
        ) from None


def bind_texts(function: Bound, options: Mapping[str, str], *, place: str) -> Bound:
    """Return a function with keyword-only options bound that are given as text.

    Each text is read as the type of its parameter; ValueError that begins with `place` if it cannot
    be.

    Example:
        >>> def power(base, *, exponent: int = 2):
        ...     return base**exponent
        >>> bind_texts(power, {"exponent": "3"}, place="power@exponent=3")(2)
        8
    """
    return cast("Bound", partial(function, **read_texts(function, options, place=place)))


def section_of_texts(kind: type[Section], options: Mapping[str, str], *, place: str) -> Section:
    """Return a section with some fields given as text and the others at their defaults.

    The values of a tuple are separated by +. ValueError that begins with `place`.

    Example:
        >>> @section
        ... class Grid:
        ...     per_side: int = 16
        ...     levels: tuple[float, ...] = (0.5,)
        >>> section_of_texts(Grid, {"levels": "0.25+0.75"}, place="grid")
        Grid(per_side=16, levels=(0.25, 0.75))
    """
    known = keyword_options(kind)
    for name in options:
        if name not in known:
            raise ValueError(f"{place}: unknown option {name!r}; it takes {', '.join(known)}")
    return build_section(kind, read_texts(kind, options, place=place), place=place)


def option_texts(text: str, *, place: str) -> dict[str, str]:
    """Return OPTION=VALUE,... as a dictionary; `place` begins the ValueError.

    Example:
        >>> option_texts("scale=200,min_size=50", place="felzenszwalb@scale=200,min_size=50")
        {'scale': '200', 'min_size': '50'}
    """
    options: dict[str, str] = {}
    for pair in text.split(","):
        option, _, value = pair.partition("=")
        if not (option and value) or option in options:
            raise ValueError(f"{place}: expected NAME@OPTION=VALUE,... with each option once")
        options[option] = value
    return options


def read_texts(
    function: Callable[..., object], options: Mapping[str, str], *, place: str
) -> dict[str, Any]:
    """Return options given as text as values of their parameters' types.

    Example:
        >>> def power(base, *, exponent: int = 2):
        ...     return base**exponent
        >>> read_texts(power, {"exponent": "3"}, place="power@exponent=3")
        {'exponent': 3}
    """
    values: dict[str, Any] = {}
    for name, text in options.items():
        annotation = inspect.signature(function, eval_str=True).parameters[name].annotation
        kind = TypeAdapter(annotation)
        choices = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else ()
        is_tuple = any(get_origin(one) is tuple for one in (annotation, *choices))
        try:
            if NoneType in choices and text.lower() in ("none", "null"):
                values[name] = None
            elif is_tuple:
                values[name] = kind.validate_python(text.split("+"))
            else:
                values[name] = kind.validate_strings(text)
        except ValidationError as error:
            message = error.errors()[0]["msg"]
            raise ValueError(
                f"{place}: option {name}: {message[:1].lower()}{message[1:]}; got {text!r}"
            ) from None
    return values


def keyword_options(function: Callable[..., object]) -> dict[str, Any]:
    """Return the keyword-only parameters of a function with their defaults.

    Example:
        >>> def power(base, *, exponent: int = 2):
        ...     return base**exponent
        >>> keyword_options(power)
        {'exponent': 2}
    """
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


def _tuples(value: object) -> Any:
    """Return lists as tuples, which is what the functions of the tables take."""
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    return value
