"""A client's live session: its goals and tone, its messages, and its websocket."""
