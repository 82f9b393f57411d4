"""The card of a claim: verdict, sentence, figure against its bound, and the reader's predictions.

A notebook shows the card; a terminal, nbval and the tools that read outputs get the line of text.
Colours are JupyterLab's own variables, so that a card is at home in each of its themes; the values
behind them serve where there are none. A word and a sign say what a colour says.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

_GREEN = "var(--jp-success-color1, #2e8540)"
_RED = "var(--jp-error-color1, #d32f2f)"
_GREY = "var(--jp-ui-font-color2, #808080)"
_VERDICTS = {True: (_GREEN, "✔", "held"), False: (_RED, "✘", "FALSE"), None: (_GREY, "○", "unmeasured")}  # fmt: skip
_BOX = (
    "box-sizing:border-box; max-width:56em; margin:4px 0; padding:6px 12px; line-height:1.5;"
    " border:1px solid var(--jp-border-color2, #8886); border-left:5px solid {colour};"
    " font-family:var(--jp-content-font-family, sans-serif); white-space:normal;"
    " overflow-wrap:anywhere; word-break:normal"
)


@dataclass(frozen=True)
class Guess:
    """What the reader predicted of a question, and what the measurement said; texts without letters."""

    choice: str | None
    text: str
    right: str
    truth: str
    late: bool = False
    sure: bool = False

    @property
    def counts(self) -> bool:
        """Whether it was made, and before the measurement."""
        return self.choice is not None and not self.late

    def plain(self) -> str:
        """One line for a terminal."""
        truth = f"{self.right}. {self.truth}"
        if self.choice is None:
            return f"no prediction made; measured: {truth}"
        if self.late:
            return f"you predicted {self.choice} after the measurement, not counted; measured: {truth}"  # fmt: skip
        sure = ", and were sure" if self.sure else ""
        if self.choice == self.right:
            return f"you predicted {self.choice}{sure}, and so it is: {truth}"
        return f"you predicted {self.choice}{sure}; measured: {truth}"

    def html(self) -> str:
        """A line of the card."""
        truth = f"<b>{self.right}</b> {_inline(self.truth)}"
        if self.choice is None:
            return _line(_GREY, "○", "no prediction made", f"measured {truth}")
        chosen = f"<b>{self.choice}</b> {_inline(self.text)}"
        if self.late:
            word = "predicted after the measurement, not counted"
            return _line(_GREY, "○", word, f"{chosen} · measured {truth}")
        sure = " (you were sure)" if self.sure else ""
        if self.choice == self.right:
            return _line(_GREEN, "✔", f"your prediction was right{sure}", truth)
        return _line(_RED, "✘", f"your prediction was wrong{sure}", f"{chosen} · measured {truth}")


def card(
    id: str,
    sentence: str,
    held: bool | None,
    figure: str,
    bound: str,
    guesses: Sequence[Guess] = (),
) -> str:
    """The HTML of a claim's card. `figure` is the value as printed, or why there is none."""
    colour, sign, word = _VERDICTS[held]
    lines = [f"<div>{_badge(colour, sign, word)} <b>{_inline(sentence)}</b></div>"]
    measured = f"measured <b>{html.escape(figure)}</b>" if held is not None else _inline(figure)
    about = f"{measured} · {html.escape(bound)} · <code>{html.escape(id)}</code>"
    lines.append(f'<div style="font-size:92%">{about}</div>')
    lines += [guess.html() for guess in guesses]
    style = _BOX.format(colour=colour)
    return f'<div class="course-card" style="{style}">{"".join(lines)}</div>'


def _badge(colour: str, sign: str, word: str) -> str:
    return f'<span style="white-space:nowrap"><b style="color:{colour}">{sign}</b> {word}</span>'


def _line(colour: str, sign: str, word: str, text: str) -> str:
    mark = f'<b style="color:{colour}">{sign}</b>'
    return f'<div style="font-size:92%">{mark} {word}: {text}</div>'


def _inline(text: str) -> str:
    """Text with its `code` and *emphasis*, as Markdown has them."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))
    return re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", text)
