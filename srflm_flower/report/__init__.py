"""The report of a run for people: one self-contained HTML file.

Importing this package does not import matplotlib; writing a report does.
"""

from srflm_flower.report.page import write_cases, write_report

__all__ = ["write_cases", "write_report"]
