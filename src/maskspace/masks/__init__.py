"""Mask algebra, in one room: every form of a mask, and what is computed of it.

    dense.py        bool arrays: boxes, areas, intersections, label maps
    coded.py        COCO's run-length strings <-> runs <-> dense masks
    runs.py         runs of pixels: label maps, components and boxes without a dense mask
    rings.py        label maps as polygons on the edges of pixels
    nesting.py      which mask lies in which
    iou_table.py    IoU of many proposals with many truths
    shared_area.py  areas that unions of the same pieces share

What is used most, the dense masks and their strings, can be imported from here.
"""

from maskspace.masks.coded import decode as decode
from maskspace.masks.coded import encode as encode
from maskspace.masks.coded import run_lengths as run_lengths
from maskspace.masks.dense import Priority as Priority
from maskspace.masks.dense import areas as areas
from maskspace.masks.dense import boxes_xywh as boxes_xywh
from maskspace.masks.dense import enlarge as enlarge
from maskspace.masks.dense import from_label_map as from_label_map
from maskspace.masks.dense import keep_areas as keep_areas
from maskspace.masks.dense import nearest_index as nearest_index
from maskspace.masks.dense import pairwise_intersections as pairwise_intersections
from maskspace.masks.dense import pairwise_iou as pairwise_iou
from maskspace.masks.dense import reduce as reduce
from maskspace.masks.dense import split_components as split_components
from maskspace.masks.dense import strings_to_label_map as strings_to_label_map
from maskspace.masks.dense import to_label_map as to_label_map
from maskspace.masks.nesting import evenly_spread as evenly_spread
from maskspace.masks.nesting import nested_chain as nested_chain
