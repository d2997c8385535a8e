"""Categories of several datasets as one table of classes, joined by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from maskspace.types import Category


@dataclass(frozen=True, kw_only=True)
class Classes:
    """The classes that a model tells apart.

    table: the categories, by class: class k is `table[k]`. They keep their source's ids, but where
        two of several datasets would then share one all are numbered from 1.
    index: class of each category id, by dataset.

    Example:
        >>> classes = joint_classes({"streets": (Category(id=7, name="car"),)})
        >>> classes.index["streets"][7], classes.table[0].name
        (0, 'car')
    """

    table: tuple[Category, ...]
    index: Mapping[str, Mapping[int, int]]


def joint_classes(tables: Mapping[str, Sequence[Category]]) -> Classes:
    """Return the classes of several datasets: categories of one name are one class.

    Classes are numbered from 0 in the order in which the datasets name them. ValueError where one
    name is a thing here and stuff there.

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
    found: dict[str, Category] = {}
    classes: dict[str, int] = {}
    index: dict[str, dict[int, int]] = {}
    for dataset, table in tables.items():
        for one in table:
            known = found.setdefault(one.name, one)
            classes.setdefault(one.name, len(classes))
            if known.is_thing != one.is_thing:
                raise ValueError(
                    f"{dataset}: {one.name} is {'a thing' if one.is_thing else 'stuff'}, another "
                    "dataset says the other; rename one"
                )
            index.setdefault(dataset, {})[one.id] = classes[one.name]
    table = tuple(found.values())
    if len({one.id for one in table}) < len(table):
        table = tuple(replace(one, id=number) for number, one in enumerate(table, start=1))
    return Classes(table=table, index=index)
