# SPDX-License-Identifier: Apache-2.0
"""Ticks and pages for data of every kind: flat, narrow, wide."""

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from tools.figures import NARROW, WIDE, at_least, grid, linear, logarithmic, plain
from tools.page import page, paragraph, picture, section, table
from verif.pages import check_axis, check_figure, check_page

FLAT_NARROW_WIDE = [
    (1.0, 1.0), (94.44, 94.44), (94.4, 94.7), (2.30258, 2.30259), (1.38, 2.36), (0.07, 0.66),
    (2004, 2004), (1002, 8016), (159, 60_000), (1e-6, 3.0), (100, 101), (0.5, 40), (99_000, 4e6)]


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("data", FLAT_NARROW_WIDE, ids=str)
@pytest.mark.parametrize("scale", [linear, logarithmic])
def test_no_two_ticks_are_alike_or_overlap(scale, data, width):
    figure, ((axes,),) = grid(width, 3.0)
    axes.plot(data, data)
    for axis in (axes.xaxis, axes.yaxis):
        scale(axis, 4)
    FigureCanvasAgg(figure).draw()
    for axis in (axes.xaxis, axes.yaxis):
        check_axis(axis)
        low, high = axis.get_view_interval()
        assert sum(low <= place <= high for place in axis.get_majorticklocs()) >= 2


def test_an_overlap_and_equal_labels_are_noticed():
    figure, ((axes,),) = grid(NARROW, 2.0)
    for labels, message in ((["94 %", "94 %"], "equal"), (["0.0000001", "0.0000002"], "overlap")):
        axes.set_xticks([0.5, 0.51], labels)
        FigureCanvasAgg(figure).draw()
        with pytest.raises(AssertionError, match=message):
            check_axis(axes.xaxis)


def test_limits():
    assert at_least([94.0, 94.0], 2.0) == (93.0, 95.0)
    assert at_least([0.0, 100.0], 2.0) == (-6.0, 106.0)
    assert at_least([float("nan")], 2.0) == (0.0, 2.0)


def test_plain_numbers():
    assert [plain(v) for v in (1000.0, 0.025, 0.1 + 0.2, 4e6)] == ["1,000", "0.025", "0.3",
                                                                   "4,000,000"]


def test_a_page_is_escaped_and_fits(tmp_path):
    def draw(width):
        figure, ((axes,),) = grid(width, 2.0)
        axes.plot([1, 2], [1, 2])
        return figure

    text = page("A < B", "A & B", [
        section("One", paragraph("x <y>", "lead")),
        table([["a", "1"], ["<b>", "2"]], ["what", "how much"], about='"much"',
              muted=lambda i: i == 1),
        picture(draw, "A line that rises from 1 to 2.", "The line rises.")], "a > b")
    found = check_page(text)
    assert (found.title, found.headline) == ("A < B", "A & B")
    assert "x &lt;y&gt;" in text and "&lt;b&gt;" in text and 'class="muted"' in text
    assert 'aria-label="&quot;much&quot;"' in text and "a &gt; b" in text
    assert text.count("data:image/svg+xml") == 2  # for a desk and for a phone
    assert text == page("A < B", "A & B", [
        section("One", paragraph("x <y>", "lead")),
        table([["a", "1"], ["<b>", "2"]], ["what", "how much"], about='"much"',
              muted=lambda i: i == 1),
        picture(draw, "A line that rises from 1 to 2.", "The line rises.")], "a > b")
    check_figure(draw)


@pytest.mark.parametrize("broken, message", [
    ('<meta name="viewport" content="width=1200">', "viewport width=1200"),
    ('<meta name="viewport" content="width=device-width, initial-scale=1"><table></table>',
     "1 tables do not scroll")])
def test_a_page_that_does_not_fit_is_noticed(broken, message):
    with pytest.raises(AssertionError, match=message):
        check_page(f"<html>{broken}<title>t</title><h1>h</h1></html>")
