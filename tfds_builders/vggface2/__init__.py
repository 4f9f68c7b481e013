"""The `vggface2` dataset: see README.md."""
