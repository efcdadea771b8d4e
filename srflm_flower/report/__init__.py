"""The report of a run for people: one self-contained HTML file.

matplotlib is imported when a report is written, not before.
"""

from srflm_flower.report.page import write_report

__all__ = ["write_report"]
