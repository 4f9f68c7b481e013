"""Query faces with their nearest neighbours, as a PNG and an HTML page."""
