"""Labels, counts and ratings of photos to FEC's csv files."""
