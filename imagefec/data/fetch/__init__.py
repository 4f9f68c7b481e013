"""Fetches FEC's photos into a local cache; the entry point is `stage.fetch_photos`."""
