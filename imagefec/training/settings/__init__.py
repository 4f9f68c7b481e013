"""The table of all settings, its reference page, and gin files read and checked against it."""
