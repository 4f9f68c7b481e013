"""The cache of fetched photos: the files, and the ledger of what became of each URL."""
