"""Categories of several datasets as one table of classes, joined by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from maskspace.types import Category


@dataclass(frozen=True, kw_only=True)
class Classes:
    """The classes that a model tells apart.

    table: class k is `table[k]`. Categories keep their source's ids, unless two of them would share
        one: then all are numbered from 1.
    index: dataset -> id of a category -> class.

    Example:
        >>> classes = joint_classes({"streets": (Category(id=7, name="car"),)})
        >>> classes.index["streets"][7], classes.table[0].name
        (0, 'car')
    """

    table: tuple[Category, ...]
    index: Mapping[str, Mapping[int, int]]


def joint_classes(tables: Mapping[str, Sequence[Category]]) -> Classes:
    """Return the classes of several datasets; categories with the same name are one class.

    Classes are numbered from 0 in the order in which the datasets name them. ValueError if a name
    is a thing in one dataset and stuff in another.

    Example:
        >>> joint = joint_classes(
        ...     {
        ...         "coco": (Category(id=1, name="person"), Category(id=3, name="car")),
        ...         "streets": (Category(id=0, name="car"),),
        ...     }
        ... )
        >>> [category.name for category in joint.table]
        ['person', 'car']
        >>> dict(joint.index)
        {'coco': {1: 0, 3: 1}, 'streets': {0: 1}}
    """
    by_name: dict[str, Category] = {}
    classes: dict[str, int] = {}
    index: dict[str, dict[int, int]] = {}
    for dataset, table in tables.items():
        for one in table:
            known = by_name.setdefault(one.name, one)
            classes.setdefault(one.name, len(classes))
            if known.is_thing != one.is_thing:
                raise ValueError(
                    f"{dataset}: {one.name} is {'a thing' if one.is_thing else 'stuff'}, another "
                    "dataset says the other; rename one"
                )
            index.setdefault(dataset, {})[one.id] = classes[one.name]
    table = tuple(by_name.values())
    if len({one.id for one in table}) < len(table):
        table = tuple(replace(one, id=number) for number, one in enumerate(table, start=1))
    return Classes(table=table, index=index)
