"""The truth of a batch of images: instances that may overlap and nest, classes, annotators.

The truth is kept as layers. A layer is a label map: its instances share no pixel. Masks that
overlap or nest, and masks of several annotators, lie in different layers.

Input: masks of one image, which may overlap.
Steps: from the largest mask to the smallest, put each one layer above those that it overlaps; each
    annotator has a stack of layers.
Result: `labels` is the view from above: one label map with the smallest mask at each pixel.
Cost: one integer for each pixel and layer. Most images need one layer, a nest as many as it is
    deep.
"""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int, Int64
from torch import Tensor
from torch.nn import functional as F

#: The label of pixels of which nobody knows what they are.
UNLABELLED = -1
#: The class of an instance that has none, and the annotator of a layer that is padding.
NONE = -1


class Targets(NamedTuple):
    """The truth of a batch of b images, in l layers of h rows and w columns.

    It is a tuple of tensors, so that it can be pinned, sent to a worker and moved to a device.

    layers: at each pixel of a layer the label of an instance (1 or more), 0 for background,
        UNLABELLED (-1) where nobody knows. A label stands for one instance of an image only.
    classes: column j is the class of the instance with label j, from 0, or NONE (-1). Column 0 is
        not used.
    annotators: who drew each layer, from 0; NONE (-1) for a layer that only pads the batch and is
        UNLABELLED everywhere. The layers of an annotator follow each other, the coarsest first.

    Example:
        >>> import torch
        >>> masks = torch.zeros(2, 1, 4, dtype=torch.bool)
        >>> masks[0, 0, :3] = True  # an object of three pixels ...
        >>> masks[1, 0, 1] = True  # ... and a part of it
        >>> truth = Targets.of_masks(masks.numpy(), classes=[7, 5])
        >>> truth.layers.tolist()
        [[[[1, 1, 1, 0]], [[0, 2, 0, 0]]]]
        >>> truth.labels().tolist()
        [[[1, 2, 1, 0]]]
        >>> truth.instances(0).classes.tolist()
        [7, 5]
    """

    layers: Int[Tensor, "b l h w"]
    classes: Int[Tensor, "b m"]
    annotators: Int[Tensor, "b l"]

    @classmethod
    def of_labels(
        cls, labels: Int[Tensor, "b h w"], classes: Int[Tensor, "b m"] | None = None
    ) -> "Targets":
        """Return the targets of label maps: one layer, drawn by one annotator.

        Args:
            labels: the label maps.
            classes: the class of each label, a column a label (default None: no instance has a
                class).
        """
        if classes is None:
            classes = torch.full((len(labels), 1), NONE, device=labels.device)
        annotators = torch.zeros(len(labels), 1, dtype=torch.long, device=labels.device)
        return cls(labels[:, None], classes, annotators)

    @classmethod
    def of_masks(
        cls,
        masks: Bool[np.ndarray, "n h w"],
        *,
        classes: Sequence[int] | None = None,
        annotators: Sequence[int] | None = None,
        unknown: Bool[np.ndarray, "h w"] | None = None,
    ) -> "Targets":
        """Return the targets of one image, a batch of one: mask k gets the label k + 1.

        ValueError if a list has another length than `masks`.

        Args:
            masks: the masks of the image.
            classes: class of each mask, NONE without one (default None: no mask has a class).
            annotators: who drew each mask, from 0 (default None: one person drew all).
            unknown: pixels that are UNLABELLED where no mask is (default None: no pixel).
        """
        drawn_by = np.zeros(len(masks), np.int64) if annotators is None else np.array(annotators)
        named = np.full(len(masks), NONE) if classes is None else np.array(classes)
        if not len(masks) == len(drawn_by) == len(named):
            raise ValueError(
                f"{len(masks)} masks, {len(named)} classes and {len(drawn_by)} annotators: "
                "give one of each a mask"
            )
        people = np.unique(drawn_by)
        stacks = [_stacked(masks, np.flatnonzero(drawn_by == person)) for person in people]
        layers = np.concatenate(stacks or [np.zeros((1, *masks.shape[1:]), np.int64)])
        if unknown is not None:
            layers = np.where((layers == 0) & unknown, UNLABELLED, layers)
        owners = np.repeat(np.arange(len(people)), [len(stack) for stack in stacks])
        return cls(
            torch.from_numpy(layers)[None],
            torch.from_numpy(np.concatenate([[NONE], named]).astype(np.int64))[None],
            torch.from_numpy(owners if len(owners) else np.zeros(1, np.int64))[None],
        )

    @classmethod
    def join(cls, parts: Sequence["Targets"]) -> "Targets":
        """Return several targets of one size as one batch, padded to the most layers and labels."""
        most = max(part.layers.shape[1] for part in parts)
        columns = max(part.classes.shape[1] for part in parts)

        def widened(tensor: Tensor, width: int) -> Tensor:
            missing = width - tensor.shape[1]
            return F.pad(tensor, (0,) * (2 * tensor.ndim - 3) + (missing,), value=-1)

        return cls(
            torch.cat([widened(part.layers, most) for part in parts]),
            torch.cat([widened(part.classes, columns) for part in parts]),
            torch.cat([widened(part.annotators, most) for part in parts]),
        )

    @property
    def size_hw(self) -> tuple[int, int]:
        """Return the number of rows and columns."""
        return self.layers.shape[2], self.layers.shape[3]

    def rows(self, index: Tensor | slice) -> "Targets":
        """Return the targets of some images: a slice, their numbers, or a mask of them."""
        return Targets(self.layers[index], self.classes[index], self.annotators[index])

    def to(self, device: torch.device | str) -> "Targets":
        """Return the targets on a device."""
        return Targets(*(tensor.to(device) for tensor in self))

    def at(self, stride: int) -> "Targets":
        """Return the targets of cells of `stride` x `stride` pixels, as `labels_at` has them."""
        if stride == 1:
            return self
        batch, number = self.layers.shape[:2]
        cells = labels_at(self.layers.flatten(0, 1), stride)
        return self._replace(layers=cells.unflatten(0, (batch, number)))

    def labels(self, annotator: int = 0) -> Int[Tensor, "b h w"]:
        """Return a label map for each image: the smallest of an annotator's masks at each pixel.

        A pixel without an instance is 0 if some layer says background, else UNLABELLED; an image
        that the annotator did not see is UNLABELLED. Targets of one layer return it unchanged.
        """
        if self.layers.shape[1] == 1 and annotator == 0:
            return self.layers[:, 0]
        view = torch.full_like(self.layers[:, 0], UNLABELLED)
        for layer, owner in zip(self.layers.unbind(1), self.annotators.unbind(1), strict=True):
            drawn = (owner == annotator)[:, None, None]
            # an instance covers what is below it, background only what is unknown
            view = torch.where(drawn & ((layer > 0) | (layer > view)), layer, view)
        return view

    def by_annotator(self) -> Int[Tensor, "b a h w"]:
        """Return the label map of each annotator; UNLABELLED if an image has fewer."""
        most = int(self.annotators.max()) + 1
        return torch.stack([self.labels(person) for person in range(max(most, 1))], dim=1)

    def nested_label_maps(self) -> Int[Tensor, "b l h w"]:
        """Return a label map for each layer: the layer on top of its annotator's lower layers.

        So each map is a whole partition. The finer maps of an annotator are nested in the coarser
        ones; a region without finer parts is the same in all. UNLABELLED where nobody knows, and
        where an image has fewer layers.
        """
        maps = [self.layers[:, 0]]
        for k in range(1, self.layers.shape[1]):
            layer, same = self.layers[:, k], self.annotators[:, k] == self.annotators[:, k - 1]
            below = torch.where(same[:, None, None], maps[-1], layer)
            maps.append(torch.where(layer > 0, layer, below))
        return torch.stack(maps, dim=1)

    def instances(self, image: int) -> "InstanceMasks":
        """Return the instances of one image as masks that may overlap, ordered by label."""
        layers = self.layers[image].flatten(1)  # l p
        numbers = torch.arange(len(layers), device=layers.device)[:, None].expand_as(layers)
        pairs = torch.stack([layers, numbers], dim=2)[layers > 0]
        label_and_layer = torch.unique(pairs, dim=0)  # n 2: label, layer
        labels, layer = label_and_layer[:, 0], label_and_layer[:, 1]
        layer_of_instance = self.layers[image][layer]  # n h w
        columns = self.classes.shape[1]
        known = labels < columns
        classes = self.classes[image][torch.where(known, labels, 0)]
        return InstanceMasks(
            labels=labels,
            masks=layer_of_instance == labels[:, None, None],
            known=layer_of_instance >= 0,
            classes=torch.where(known, classes, NONE),
            annotators=self.annotators[image][layer],
        )


class InstanceMasks(NamedTuple):
    """The instances of one image.

    labels: label of each instance.
    masks: where it is.
    known: where its annotator could tell.
    classes: its class, or NONE.
    annotators: who drew it.

    Example:
        >>> one = Targets.of_labels(torch.tensor([[[1, 1, 0, 4]]])).instances(0)
        >>> one.labels.tolist(), one.masks.int().tolist()
        ([1, 4], [[[1, 1, 0, 0]], [[0, 0, 0, 1]]])
    """

    labels: Int[Tensor, " n"]
    masks: Bool[Tensor, "n h w"]
    known: Bool[Tensor, "n h w"]
    classes: Int[Tensor, " n"]
    annotators: Int[Tensor, " n"]


def labels_at(labels: Int[Tensor, "b h w"], stride: int) -> Int[Tensor, "b i j"]:
    """Return the label of each cell of stride x stride pixels; UNLABELLED if it has several.

    A cell that reaches over the edge of the image has the pixels inside the image.

    Example:
        >>> import torch
        >>> labels_at(torch.tensor([[[1, 1, 2, 3], [1, 1, 2, 3]]]), 2).tolist()
        [[[1, -1]]]
    """
    if stride == 1:
        return labels
    height, width = labels.shape[1:]
    rows, columns = (
        torch.arange(-(-length // stride) * stride, device=labels.device).clamp(max=length - 1)
        for length in (height, width)
    )
    if len(rows) > height or len(columns) > width:  # cells over the edge are of the last pixels
        labels = labels[:, rows][:, :, columns]
    first = labels[:, ::stride, ::stride]
    same = torch.ones_like(first, dtype=torch.bool)
    for row, column in product(range(stride), repeat=2):
        same &= labels[:, row::stride, column::stride] == first
    return torch.where(same, first, UNLABELLED)


def _stacked(
    masks: Bool[np.ndarray, "n h w"], chosen: Int64[np.ndarray, " k"]
) -> Int64[np.ndarray, "l h w"]:
    """Return the layers of one annotator's masks, each mask above all larger ones it overlaps."""
    areas = masks[chosen].sum((1, 2))
    depth = np.zeros(masks.shape[1:], np.int64)  # layers in use at a pixel
    layers: list[Int64[np.ndarray, "h w"]] = [np.zeros(masks.shape[1:], np.int64)]
    for index in chosen[np.lexsort((-chosen, -areas))].tolist():
        mask = masks[index]
        if not mask.any():
            continue
        level = int(depth[mask].max())
        if level == len(layers):
            layers.append(np.zeros(masks.shape[1:], np.int64))
        layers[level][mask] = index + 1
        depth[mask] = level + 1
    return np.stack(layers)
