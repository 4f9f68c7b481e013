"""Data before training: csv files, photos, faces and the examples made of them."""
