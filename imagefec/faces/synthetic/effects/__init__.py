"""What a photo does to faces: light, lens, camera, resolution, colour, JPEG; and their boxes."""
