"""External links: `python -m helpers.course.check.links` asks each once and lists the answers with the date.

Not part of `course test`, which needs no network; a workflow runs it weekly. Red is what says that
it is gone (404, 410) or has no address; what refuses robots or is down today is listed as unknown.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime

import httpx

from helpers.course.check import prose
from helpers.model import notebooks

GONE = {404, 410}
AT_ONCE = 8
SECONDS = 20
AGENT = "backend-by-experiment link check"


async def answers(urls: list[str]) -> dict[str, str]:
    """What each address answers: "200", or the kind of error."""
    limit = asyncio.Semaphore(AT_ONCE)
    headers = {"User-Agent": AGENT}
    async with httpx.AsyncClient(follow_redirects=True, timeout=SECONDS, headers=headers) as client:

        async def ask(url: str) -> str:
            async with limit:
                try:
                    async with client.stream("GET", url) as answer:  # some refuse HEAD
                        return str(answer.status_code)
                except httpx.HTTPError as error:
                    return type(error).__name__

        return dict(zip(urls, await asyncio.gather(*map(ask, urls)), strict=True))


def verdict(answer: str) -> str:
    """ok, gone or unknown."""
    if answer.startswith("2"):
        return "ok"
    return "gone" if answer.isdigit() and int(answer) in GONE else "unknown"


def report(places: dict[str, list[str]], answered: dict[str, str]) -> list[str]:
    """The list: what is gone first, then what could not be told, with the places that link there."""
    today = datetime.now(UTC).date().isoformat()
    order = {"gone": 0, "unknown": 1, "ok": 2}
    lines = []
    for url, answer in sorted(
        answered.items(), key=lambda item: (order[verdict(item[1])], item[0])
    ):
        where = "" if verdict(answer) == "ok" else f" in {', '.join(places[url])}"
        lines.append(f"{today} {verdict(answer)} {answer} {url}{where}")
    return lines


def main() -> None:
    """Check every external link of the course. Exit code 1 if one is gone."""
    books = [notebooks.load(path) for path in notebooks.sources()]
    places = prose.external(books, prose.pages())
    answered = asyncio.run(answers(sorted({url.partition("#")[0] for url in places})))
    by_page: dict[str, list[str]] = {}
    for url, where in places.items():
        by_page.setdefault(url.partition("#")[0], []).extend(where)
    print("\n".join(report(by_page, answered)))
    sys.exit(any(verdict(answer) == "gone" for answer in answered.values()))


if __name__ == "__main__":
    main()
