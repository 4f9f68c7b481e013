"""Connections, addresses and proxies, and what their failures mean."""
