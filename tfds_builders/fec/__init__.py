"""The `fec` dataset: see README.md."""
