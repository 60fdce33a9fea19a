# SPDX-License-Identifier: Apache-2.0
"""Self-contained HTML pages that fit a phone: sections of text, tables and pictures.

Texts are escaped here; what the functions return is HTML and is not escaped again.
"""

from collections.abc import Callable, Iterable, Sequence
from html import escape

from matplotlib.figure import Figure

from tools import figures

# A table or a long word that is too wide scrolls or breaks in its own box, so that the page never
# moves sideways. Pictures have light ground in the dark, too: their colours are made for that.
PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
  :root {{ --ink: #212529; --muted: #5c636a; --ground: #fff; --rule: #dee2e6;
          --absent: #b02a37; --first: #00639c; --second: #b34700; }}
  @media (prefers-color-scheme: dark) {{
    :root {{ --ink: #e9ecef; --muted: #adb5bd; --ground: #16191d; --rule: #3b4148;
            --absent: #ff8787; --first: #6cc4f5; --second: #ffa066; }}
  }}
  body {{ font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--ground);
         max-width: 60rem; margin: 2.5rem auto; padding: 0 1.25rem; overflow-wrap: anywhere; }}
  h1 {{ font-size: 1.7rem; line-height: 1.25; margin-bottom: 0.4rem; }}
  h2 {{ font-size: 1.15rem; margin: 2.6rem 0 0.4rem; }}
  p, figcaption {{ max-width: 46rem; }}
  .lead, figcaption, .note, .muted, thead th {{ color: var(--muted); }}
  .lead {{ margin-top: 0; }}
  .subset {{ border-left: 0.25rem solid var(--second); padding-left: 0.75rem; }}
  .scroll {{ overflow-x: auto; margin: 1rem 0; }}
  table {{ border-collapse: collapse; width: 100%; font-size: 0.92rem; overflow-wrap: normal; }}
  th, td {{ text-align: left; padding: 0.3rem 0 0.3rem 0.9rem; font-weight: normal;
           border-bottom: 1px solid var(--rule); font-variant-numeric: tabular-nums; }}
  th:first-child, td:first-child {{ padding-left: 0; }}
  .number {{ text-align: right; }}
  td.number {{ white-space: nowrap; }}
  td.words {{ min-width: 7rem; }}
  thead th {{ font-size: 0.85rem; vertical-align: bottom; }}
  .headline td {{ font-size: 1.2rem; }}
  .headline td:nth-child(2) {{ color: var(--first); font-weight: 600; }}
  .headline td:nth-child(3) {{ color: var(--second); }}
  figure {{ margin: 0.8rem 0; }}
  img {{ max-width: 100%; height: auto; display: block; margin: 0 auto 0.4rem; background: #fff;
        border-radius: 0.25rem; }}
  figcaption, .note {{ font-size: 0.9rem; }}
  .absent {{ color: var(--absent); }}
  .note {{ margin-top: 3rem; }}
  @media (max-width: 40rem) {{
    body {{ margin-top: 1.25rem; }}
    h1 {{ font-size: 1.4rem; }}
    .headline td {{ font-size: 1rem; }}
  }}
</style>
<h1>{headline}</h1>
{body}
<p class="note">{note}</p>
</html>
"""
BREAKPOINT = "40rem"  # where PAGE changes to a phone's, too


def page(title: str, headline: str, body: Iterable[str], note: str) -> str:
    """A whole page; `title` is the browser's, `headline` the page's own, `body` HTML."""
    return PAGE.format(title=escape(title), headline=escape(headline), body="\n".join(body),
                       note=escape(note))


def section(title: str, *parts: str) -> str:
    """A heading and the HTML below it."""
    return "\n".join((f"<h2>{escape(title)}</h2>", *parts))


def paragraph(text: str, kind: str = "") -> str:
    """`kind` : a class of the style sheet: lead, subset, absent, muted."""
    return f"<p{_class(kind)}>{escape(text)}</p>"


def table(rows: Iterable[Sequence[str]], head: Sequence[str] = (), *, about: str,
          words: Sequence[int] = (), kind: str = "", muted: Callable[[int], bool] | None = None,
          ) -> str:
    """A table in a box of its own, in which it scrolls where it is too wide.

    `about` : what a screen reader calls the box. The first column and those in `words` hold words,
    the others numbers. `muted` : whether the row of an index is printed in grey.
    """
    def line(cells: Sequence[str], tag: str, kind: str = "") -> str:
        found = ""
        for i, cell in enumerate(cells):
            name, scope = (tag, "") if tag == "td" else ("th", ' scope="col"')
            if tag == "td" and i == 0:
                name, scope = "th", ' scope="row"'
            found += (f"<{name}{scope}{_class('words' if i == 0 or i in words else 'number')}>"
                      f"{escape(cell)}</{name}>")
        return f"<tr{_class(kind)}>{found}</tr>"

    top = f"<thead>{line(head, 'th')}</thead>" if head else ""
    body = "\n".join(line(row, "td", "muted" if muted and muted(i) else "")
                     for i, row in enumerate(rows))
    # With a tab stop the keyboard, too, can scroll it.
    return (f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(about)}">'
            f"<table{_class(kind)}>{top}<tbody>{body}</tbody></table></div>")


def picture(draw: Callable[[float], Figure], alt: str, caption: str) -> str:
    """A figure drawn for a desk and for a phone, and below it a sentence that says what one sees.

    `draw` : makes the figure of a width in inches, see `tools.figures.narrow`. `alt` : what it
    shows, for those who cannot see it.
    """
    wide, slim = draw(figures.WIDE), draw(figures.NARROW)
    share = wide.get_figwidth() / figures.WIDE  # so that text has one size in all figures
    return (f'<figure><picture><source media="(max-width: {BREAKPOINT})" '
            f'srcset="{figures.data_uri(slim)}"><img alt="{escape(alt)}" '
            f'style="width: max({share:.0%}, min(100%, 24rem))" src="{figures.data_uri(wide)}">'
            f"</picture><figcaption>{escape(caption)}</figcaption></figure>")


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
