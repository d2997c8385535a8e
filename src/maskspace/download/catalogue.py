"""Where the datasets are published, and under which terms: one frozen record a dataset.

Sizes and hashes of COCO and LVIS are those of TensorFlow Datasets' checksum files; the MD5 of DAVIS
2016 is in its authors' script (fperazzi/davis). Where no hash is certain none is given.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, kw_only=True)
class Licence:
    """The terms of a dataset: the licence's name, its terms in one line, and a link to its text.

    Example:
        >>> OFFICIAL["hypersim"].licence.name
        'CC BY-SA 3.0'
    """

    name: str
    terms: str
    link: str


@dataclass(frozen=True, kw_only=True)
class OfficialFile:
    """A published file.

    Args:
        url: where it is.
        size: its number of bytes (default None: not certain).
        hash: "sha256:..." or "md5:..." of the whole file (default None: none is published).
        into: folder of the dataset into which an archive is unpacked (default: the dataset's
            folder).
        strip: leading folder that is cut off the members' names (default: none).
        nested: names of archives in the archive; each is unpacked beside itself (default: none).
        records: regular expression that finds the record of a member by its groups, so that some
            records can be fetched alone; members in which it finds nothing are always fetched
            (default None: only the whole file is fetched).

    Example:
        >>> file = OfficialFile(url="https://example.org/data/val2017.zip?key=1", into="images")
        >>> file.name
        'val2017.zip'
    """

    url: str
    size: int | None = None
    hash: str | None = None
    into: str = ""
    strip: str = ""
    nested: tuple[str, ...] = ()
    records: str | None = None

    @property
    def name(self) -> str:
        """The last part of the URL's path."""
        return urlsplit(self.url).path.rsplit("/", 1)[-1]


@dataclass(frozen=True, kw_only=True)
class Scenes:
    """Archives whose names are in a CSV, and of which only some members are read.

    Args:
        listing: the CSV.
        column: its column with the names of the archives.
        base: URL of the folder of the archives.
        members: regular expression of the members that the reader needs; its groups are the record
            that a member belongs to.
        records: regular expression of members of every kind, with the same groups; it is used where
            the request names words.

    Example:
        >>> import re
        >>> scenes = OFFICIAL["hypersim"].scenes
        >>> name = "ai_001_001/images/scene_cam_00_final_preview/frame.0000.color.jpg"
        >>> [group for group in re.search(scenes.members, name).groups() if group]
        ['ai_001_001', 'cam_00', '0000']
    """

    listing: OfficialFile
    column: str
    base: str
    members: str
    records: str


@dataclass(frozen=True, kw_only=True)
class OfficialDataset:
    """A dataset that can be downloaded. Exactly one of `files`, `scenes`, `links` is given.

    Args:
        kind: the reader that it is for, a name in `READERS`.
        licence: its terms.
        size: its size in words.
        files: its files (default: none).
        scenes: its archives, of which some members are read (default None).
        links: how to get the file of links that its licence gives (default None).
        note: what is left to do by hand (default: nothing).

    Example:
        >>> coco = OFFICIAL["coco"]
        >>> coco.kind, coco.size, [file.name for file in coco.files]
        ('coco', '20.4 GB', ['annotations_trainval2017.zip', 'val2017.zip', 'train2017.zip'])
    """

    kind: str
    licence: Licence
    size: str
    files: tuple[OfficialFile, ...] = ()
    scenes: Scenes | None = None
    links: str | None = None
    note: str = ""


_COCO = "http://images.cocodataset.org"
_COCO_LICENCE = Licence(
    name="annotations CC BY 4.0, images under Flickr's terms",
    terms="attribution; COCO does not own the copyright of the images, each has its own licence",
    link="https://cocodataset.org/#termsofuse",
)
_COCO_IMAGES = (
    OfficialFile(
        url=f"{_COCO}/zips/val2017.zip",
        size=815585330,
        hash="sha256:4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
    ),
    OfficialFile(
        url=f"{_COCO}/zips/train2017.zip",
        size=19336861798,
        hash="sha256:69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
    ),
)
_PANOPTIC = OfficialFile(
    url=f"{_COCO}/annotations/panoptic_annotations_trainval2017.zip",
    size=860725834,
    hash="sha256:c05f76d2129b6b561eb70efe16e7006df62f73fb92889132d373b9d90e31a370",
    nested=(
        "annotations/panoptic_train2017.zip",
        "annotations/panoptic_val2017.zip",
    ),
)
_LVIS = tuple(
    OfficialFile(
        url=f"https://s3-us-west-2.amazonaws.com/dl.fbaipublicfiles.com/LVIS/"
        f"lvis_v1_{split}.json.zip",
        size=size,
        hash=digest,
        into="annotations",
    )
    for split, size, digest in (
        (
            "val",
            64026968,
            "sha256:5cae9a3c79aadb667550c2b5dcf7f4d86e059a41ec91ef690225b667e28e9ba5",
        ),
        (
            "train",
            350264821,
            "sha256:334a4caa374030a7817cf050364525e910f7960f9b6968cef47cffbf3893f8ba",
        ),
    )
)
_DAVIS_LICENCE = Licence(
    name="no licence is stated for the data",
    terms="made for research: treat it as non-commercial, and cite the two papers",
    link="https://davischallenge.org",
)
_DAVIS_FRAME = r"(?:JPEGImages|Annotations)/[^/]+/([^/]+)/([^/]+)\.(?:jpg|png)$"
_HQSEG = "https://huggingface.co/sam-hq-team/sam-hq-training/resolve/main/data"
_HYPERSIM_FRAME = r"(ai_\d+_\d+)/images/scene_(cam_\d+)_{}/frame\.(\d+)\.{}"

#: The datasets by the name that `maskspace download` takes.
OFFICIAL: Mapping[str, OfficialDataset] = {
    "bsds500": OfficialDataset(
        kind="bsds500",
        licence=Licence(
            name="no licence file",
            terms="non-commercial research and education; cite Arbelaez et al. 2011",
            link="https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/resources.html",
        ),
        size="70.8 MB",
        files=(
            OfficialFile(
                url="https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/BSR/"
                "BSR_bsds500.tgz",
                strip="BSR/BSDS500/data",
            ),
        ),
        note="the server is often down: fetch BSR_bsds500.tgz elsewhere and give --mirror",
    ),
    "coco": OfficialDataset(
        kind="coco",
        licence=_COCO_LICENCE,
        size="20.4 GB",
        files=(
            OfficialFile(
                url=f"{_COCO}/annotations/annotations_trainval2017.zip",
                size=252907541,
                hash="sha256:113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
            ),
            *_COCO_IMAGES,
        ),
    ),
    "coco_lvis": OfficialDataset(
        kind="coco_lvis",
        licence=_COCO_LICENCE,
        size="21.4 GB",
        files=(_PANOPTIC, *_LVIS, *_COCO_IMAGES),
        note="COCO's and LVIS's own files, of which the reader makes the union",
    ),
    "coco_panoptic": OfficialDataset(
        kind="coco_panoptic",
        licence=_COCO_LICENCE,
        size="21.0 GB",
        files=(
            _PANOPTIC,
            *_COCO_IMAGES,
        ),
    ),
    "davis": OfficialDataset(
        kind="davis",
        licence=_DAVIS_LICENCE,
        size="0.8 GB",
        files=(
            OfficialFile(
                url="https://data.vision.ee.ethz.ch/csergi/share/davis/DAVIS-2017-trainval-480p.zip",
                strip="DAVIS",
                records=_DAVIS_FRAME,
            ),
        ),
        note="DAVIS 2017, train and val at 480p; the sequences of 2016 are among them",
    ),
    "davis2016": OfficialDataset(
        kind="davis",
        licence=_DAVIS_LICENCE,
        size="1.9 GB",
        files=(
            OfficialFile(
                url="https://graphics.ethz.ch/Downloads/Data/Davis/DAVIS-data.zip",
                hash="md5:0cb3cf9c5617209fa3cc4794e52a2ffa",
                strip="DAVIS",
                records=_DAVIS_FRAME,
            ),
        ),
    ),
    "davis_interactive": OfficialDataset(
        kind="davis_interactive",
        licence=_DAVIS_LICENCE,
        size="43 MB",
        files=(
            OfficialFile(
                url="https://github.com/saic-vul/fbrs_interactive_segmentation/releases/download/"
                "v1.0/DAVIS.zip",
                strip="DAVIS",
            ),
        ),
    ),
    "hqseg44k": OfficialDataset(
        kind="hqseg44k",
        licence=Licence(
            name="each of its sources has its own",
            terms="research: DIS5K, ThinObject-5K, FSS-1000, DUTS, ECSSD, MSRA-10K, COIFT, HRSOD",
            link="https://huggingface.co/sam-hq-team/sam-hq-training/tree/main/data",
        ),
        size="not stated",
        files=tuple(
            OfficialFile(url=f"{_HQSEG}/{name}.zip", into=name, strip=name)
            for name in ("DIS5K", "thin_object_detection", "cascade_psp")
        ),
        note="if Hugging Face refuses, fetch the three zips in a browser and give --mirror",
    ),
    "hypersim": OfficialDataset(
        kind="hypersim",
        licence=Licence(
            name="CC BY-SA 3.0",
            terms="share and adapt with attribution, under the same licence",
            link="https://creativecommons.org/licenses/by-sa/3.0/",
        ),
        size="1.9 TB in 457 scenes, of which the reader needs two small files a frame",
        scenes=Scenes(
            listing=OfficialFile(
                url="https://raw.githubusercontent.com/apple/ml-hypersim/"
                "c85b2879c8da8ded2f4c24d2630c1ab4451999b2/evermotion_dataset/analysis/"
                "metadata_images_split_scene_v1.csv"
            ),
            column="scene_name",
            base="https://docs-assets.developer.apple.com/ml-research/datasets/hypersim/v1/scenes",
            members=f"{_HYPERSIM_FRAME.format('final_preview', 'color')}\\.jpg$|"
            f"{_HYPERSIM_FRAME.format('geometry_hdf5', 'render_entity_id')}\\.hdf5$",
            records=_HYPERSIM_FRAME.format(r"\w+?", ""),
        ),
    ),
    "lvis": OfficialDataset(
        kind="coco",
        licence=Licence(
            name="annotations CC BY 4.0, images as COCO's",
            terms="attribution; the images are COCO's, each with its own licence",
            link="https://www.lvisdataset.org/dataset",
        ),
        size="20.6 GB",
        files=(
            *_LVIS,
            *_COCO_IMAGES,
        ),
    ),
    "sa1b": OfficialDataset(
        kind="sa1b",
        licence=Licence(
            name="SA-1B Dataset Research License",
            terms="research only; accepted on the page that gives the links",
            link="https://ai.meta.com/datasets/segment-anything-downloads/",
        ),
        size="about 11 TB in 1000 tars",
        links="accept the licence at https://ai.meta.com/datasets/segment-anything-downloads/, "
        "save the text file with file_name and cdn_link, and give it with --links FILE",
    ),
}
