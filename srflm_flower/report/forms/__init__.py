"""The report of a run in other forms than a page: Markdown, PDF, and JSON.

All say the same as the page, the outcome first.  It imports the report's own tables and figures.
"""
