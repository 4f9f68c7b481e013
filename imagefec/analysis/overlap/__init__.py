"""Faces of one split that another split shows too: by the URL of the photo, or by the picture."""
