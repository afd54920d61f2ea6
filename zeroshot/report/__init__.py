"""The report: one self-contained HTML page about one or several runs.

Modules are in reading order of a page: `runs` (what is read), `series` (what is computed from
it), `verdict`, `charts` and `heat` (SVG), the sections, and `page`, which puts them together.
"""

from zeroshot.report.page import page, write_report
from zeroshot.results import REPORT

__all__ = ["REPORT", "page", "write_report"]
