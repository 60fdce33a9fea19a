# SPDX-License-Identifier: Apache-2.0
"""What is asked of every figure and every page, whatever its data: legible labels, no overflow."""

from collections.abc import Callable
from html.parser import HTMLParser
from itertools import combinations

from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from tools.figures import NARROW, WIDE


def check_figure(draw: Callable[[float], Figure]) -> None:
    """AssertionError unless the figure's labels are legible at both widths.

    On every axis one tick is enough: all that is asked is that no two have the same label, that no
    two labels in the axes or beside them overlap, and that nothing sticks out of the picture.
    """
    for width in (WIDE, NARROW):
        figure = draw(width)
        assert figure.get_figwidth() <= width
        FigureCanvasAgg(figure).draw()
        for axes in figure.axes:
            for axis in (axes.xaxis, axes.yaxis):
                check_axis(axis)
            check_apart([text for text in axes.texts if text.get_text()])
        # The layout places axes so that their labels fit, and gives up where they cannot.
        box = figure.get_tightbbox()
        assert box.x0 > -0.05 and box.y0 > -0.05, f"cut off at {box}"
        assert box.x1 < figure.get_figwidth() + 0.05 and box.y1 < figure.get_figheight() + 0.05, (
            f"cut off at {box}")


def check_axis(axis: Axis) -> None:
    """AssertionError where two labels of its ticks are alike or overlap; after a drawing."""
    low, high = sorted(axis.get_view_interval())
    shown = [tick.label1 for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
             if tick.label1.get_visible() and tick.label1.get_text()
             and low <= tick.get_loc() <= high]
    texts = [label.get_text() for label in shown]
    assert len(texts) == len(set(texts)), f"equal labels: {texts}"
    check_apart(shown)


def check_apart(labels: list[Text]) -> None:
    """AssertionError where two labels overlap; after a drawing."""
    texts = [label.get_text() for label in labels]
    boxes = [label.get_window_extent() for label in labels]
    for (one, a), (other, b) in combinations(zip(texts, boxes, strict=True), 2):
        assert not a.overlaps(b), f"{one!r} and {other!r} overlap, of {texts}"


class Outline(HTMLParser):
    """What a page has: its title and h1, tables outside boxes that scroll, pictures without text.
    """

    def __init__(self, page: str):
        super().__init__()
        self.title = self.headline = ""
        self.viewport: str | None = None
        self.open: list[str] = []  # names of tags, boxes that scroll as "scroll"
        self.bare_tables = self.tables = self.pictures = self.captions = 0
        self.alts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag == "meta" and found.get("name") == "viewport":
            self.viewport = found["content"]
        if tag == "table":
            self.tables += 1
            self.bare_tables += "scroll" not in self.open
        if tag == "img":
            self.pictures += 1
            self.alts.append(found.get("alt", ""))
        self.captions += tag == "figcaption"
        if tag not in ("meta", "img", "source"):
            self.open.append("scroll" if found.get("class") == "scroll" else tag)

    def handle_endtag(self, tag):
        assert self.open.pop() in (tag, "scroll"), f"</{tag}> closes something else"

    def handle_data(self, text):
        if self.open[-1:] == ["title"]:
            self.title += text
        if self.open[-1:] == ["h1"]:
            self.headline += text


def check_page(page: str) -> Outline:
    """AssertionError unless the page fits a phone and says what its pictures show."""
    found = Outline(page)
    assert found.viewport == "width=device-width, initial-scale=1", f"viewport {found.viewport}"
    assert found.tables and not found.bare_tables, f"{found.bare_tables} tables do not scroll"
    assert found.captions == found.pictures
    assert all(len(alt.split()) > 5 for alt in found.alts), found.alts
    assert found.title and found.headline
    assert found.open == []
    return found
