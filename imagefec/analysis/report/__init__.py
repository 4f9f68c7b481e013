"""Comparison of runs: tables, plots and answers, as a Markdown and an HTML page."""
