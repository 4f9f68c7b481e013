"""A local page on which raters choose the odd one out of three faces, and what comes of it."""
