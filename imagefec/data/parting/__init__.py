"""Parts the triplets of csv files, so that no photo and no person is in two parts."""
