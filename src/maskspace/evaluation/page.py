"""Parts of an HTML page: the page itself, its tables and its pictures, all in one file.

The page forbids the browser to fetch anything and to run scripts.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;padding:1rem 1.5rem 4rem;max-width:76rem}
h1{font-size:1.7rem}h2{font-size:1.3rem;margin-top:2.5rem;border-bottom:1px solid #8886}
h3{font-size:1.05rem;margin-bottom:.3rem}
nav a{margin-right:1rem}a{color:LinkText}
.wide{overflow-x:auto}
table{border-collapse:collapse;margin:.5rem 0 1rem;font-variant-numeric:tabular-nums}
caption{text-align:left;padding-bottom:.4rem}
th,td{border-bottom:1px solid #8886;padding:.3rem .7rem;text-align:right;vertical-align:top}
th.t,td.t{text-align:left;overflow-wrap:anywhere;min-width:6rem}
td small{display:block;white-space:nowrap}
td strong{font-weight:700}
dt{font-weight:600}dd{margin:0 0 .5rem 0;overflow-wrap:anywhere}
figure{margin:1rem 0 2rem}figcaption{margin:.4rem 0}
img{max-width:100%;height:auto;background:#fff;border-radius:4px}
summary{cursor:pointer}
"""


def html_page(title: str, sections: Mapping[str, str]) -> str:
    """Return a page with links to its sections; the sections' texts are HTML already.

    Example:
        >>> page = html_page("Results", {"Clicks": "<p>none</p>"})
        >>> page.count("Clicks"), "http" in page.partition("<body>")[2]  # nothing is fetched
        (2, False)
    """
    links = "".join(f'<a href="#{_anchor(name)}">{escape(name)}</a>' for name in sections)
    body = "".join(
        f'<section id="{_anchor(name)}"><h2>{escape(name)}</h2>{text}</section>\n'
        for name, text in sections.items()
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}'
        f'</title><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{STYLE}</style></head>\n<body><h1>{escape(title)}</h1><nav>{links}</nav>\n"
        f"<main>{body}</main></body></html>\n"
    )


def html_table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str = "", text: int = 1
) -> str:
    """Return a table; the cells are HTML already.

    Args:
        heads: the headings of the columns.
        rows: the cells.
        caption: text above the table (default: none).
        text: number of columns, from the first, that hold words (default 1); the others hold
            numbers.

    Example:
        >>> "<td>0.800</td>" in html_table(["model", "IoU"], [["student", "0.800"]])
        True
    """
    kinds = [' class="t"' if index < text else "" for index in range(len(heads))]
    top = "".join(
        f'<th scope="col"{kind}>{head}</th>' for kind, head in zip(kinds, heads, strict=True)
    )
    lines = "".join(
        "<tr>"
        + "".join(f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds, row, strict=True))
        + "</tr>\n"
        for row in rows
    )
    caption_html = f"<caption>{caption}</caption>" if caption else ""
    return (
        f'<div class="wide"><table>{caption_html}<thead><tr>{top}</tr></thead>\n'
        f"<tbody>{lines}</tbody></table></div>\n"
    )


def definitions(entries: Iterable[tuple[str, str]]) -> str:
    """Return a list of terms and their meanings.

    Example:
        >>> definitions([("IoU", "intersection < union")])
        '<dl><dt>IoU</dt><dd>intersection &lt; union</dd></dl>'
    """
    return (
        "<dl>"
        + "".join(f"<dt>{escape(name)}</dt><dd>{escape(told)}</dd>" for name, told in entries)
        + "</dl>"
    )


def figure(picture: Path, title: str, seen: str, *, told: str = "") -> str:
    """Return a PNG inside the HTML, with a title and a caption.

    Example:
        >>> import tempfile
        >>> picture = Path(tempfile.mkdtemp()) / "curve.png"
        >>> _ = picture.write_bytes(b"a PNG")
        >>> figure(picture, "Curve", "IoU by proposals.")[:28]
        '<figure><h3>Curve</h3><img a'
    """
    content = picture.read_bytes()
    encoded = base64.b64encode(content).decode()
    caption = f"{seen} {f'{told}. ' if told else ''}({picture.name}, {len(content) / 1e3:.0f} kB)"
    return (
        f'<figure><h3>{escape(title)}</h3><img alt="{escape(f"{title}. {seen}")}" '
        f'src="data:image/png;base64,{encoded}"><figcaption>{escape(caption)}</figcaption></figure>'
    )


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")
