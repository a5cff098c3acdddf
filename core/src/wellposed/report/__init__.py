"""The report of a run: one self-contained HTML page."""

from __future__ import annotations

from .page import Page, render

__all__ = ["Page", "render"]
