"""From the URLs of FEC's csv files to photos in a local cache; `stage.fetch_photos` does it."""
