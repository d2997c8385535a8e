"""Datasets: from files or a generator to samples, to shards, to validated shards."""

from collections.abc import Mapping

from maskspace.data.readers.bsds500 import read_bsds500
from maskspace.data.readers.camvid import read_camvid
from maskspace.data.readers.coco import read_coco
from maskspace.data.readers.coco_lvis import read_coco_lvis
from maskspace.data.readers.coco_panoptic import read_coco_panoptic
from maskspace.data.readers.davis import read_davis
from maskspace.data.readers.davis_interactive import read_davis_interactive
from maskspace.data.readers.dsb2018 import read_dsb2018
from maskspace.data.readers.folder import read_folder
from maskspace.data.readers.grabcut import read_grabcut
from maskspace.data.readers.hqseg44k import read_hqseg44k
from maskspace.data.readers.hypersim import read_hypersim
from maskspace.data.readers.mosaics import read_mosaics
from maskspace.data.readers.rectangles import read_rectangles
from maskspace.data.readers.sa1b import read_sa1b
from maskspace.data.readers.sav import read_sav
from maskspace.data.readers.scenes import read_scenes
from maskspace.types import Reader

#: Readers by the name that commands and params.yaml use.
READERS: Mapping[str, Reader] = {
    "bsds500": read_bsds500,
    "camvid": read_camvid,
    "coco": read_coco,
    "coco_lvis": read_coco_lvis,
    "coco_panoptic": read_coco_panoptic,
    "davis": read_davis,
    "davis_interactive": read_davis_interactive,
    "dsb2018": read_dsb2018,
    "folder": read_folder,
    "grabcut": read_grabcut,
    "hqseg44k": read_hqseg44k,
    "hypersim": read_hypersim,
    "mosaics": read_mosaics,
    "rectangles": read_rectangles,
    "sa1b": read_sa1b,
    "sav": read_sav,
    "scenes": read_scenes,
}
