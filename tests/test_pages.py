"""The pages for readers: links lead somewhere, lines are short, the first example runs."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))]
SHORT = [*sorted(ROOT.glob("*.md")), *(ROOT / "docs" / f"{name}.md" for name in (
    "architecture", "extending", "index", "pipeline", "serving",
))]  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", prose)
    files = [link for link in links if "://" not in link]
    assert [link for link in files if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", SHORT, ids=lambda page: page.name)
def test_lines_have_at_most_120_characters(page):
    """A row of a table cannot be broken: only README's, which are read first, are kept short."""
    lines = page.read_text().splitlines()
    breakable = [x for x in lines if page.name == "README.md" or not x.startswith("|")]
    assert [line for line in breakable if len(line) > 120] == []


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "index.md").read_text()
    pages = {page.name for page in ROOT.glob("docs/*.md")} - {"index.md"}
    assert {name for name in pages if f"({name})" not in index} == set()


def test_the_first_example_runs(tmp_path, monkeypatch):
    (code,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(code, names)
    partition = names["tree"].partition(24)
    assert set(np.unique(partition)) == set(range(1, 25))
