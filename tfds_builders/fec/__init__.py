"""The `fec` dataset; README.md describes it."""
