"""The system's Chromium, headless, driven by Playwright: for experiments that need a real browser."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
GET = "no Chromium here; install your system's (Debian: apt-get install chromium)"


def missing() -> str:
    """Why there is no browser and how to get one; empty where there is one."""
    if not find_spec("playwright"):
        return "Playwright is not installed; `make setup` installs it"
    return "" if found() else GET


def found() -> str | None:
    """Where a Chromium is that Playwright can drive; None if one of them is missing."""
    if not find_spec("playwright"):
        return None
    return next(filter(None, map(shutil.which, NAMES)), None)


@asynccontextmanager
async def pages() -> AsyncIterator[Any]:
    """A fresh browser profile: `await profile.new_page()` opens a tab. The browser ends with the block.

    No proxy and no network but loopback. It runs without Chromium's own sandbox, which containers
    forbid: open only pages of your own.
    """
    from playwright.async_api import async_playwright

    if problem := missing():
        raise RuntimeError(problem)
    options = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--no-proxy-server",
    ]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=found(), args=options)
        try:
            yield await browser.new_context()
        finally:
            await browser.close()
