"""FEC's names of types and files, compared with those in its csv files and in the paper."""

import pytest

from imagefec import fec
from imagefec.fec import SPLITS, TYPE_KEYS, TYPE_OF_CSV_NAME, TripletType, csv_file_name


def test_each_type_has_its_code_and_its_three_spellings():
    assert [(kind.value, kind.csv_name, kind.key, kind.display_name) for kind in TripletType] == [
        (0, "ONE_CLASS_TRIPLET", "one_class", "one-class"),
        (1, "TWO_CLASS_TRIPLET", "two_class", "two-class"),
        (2, "THREE_CLASS_TRIPLET", "three_class", "three-class"),
    ]
    assert TYPE_OF_CSV_NAME["TWO_CLASS_TRIPLET"] is TripletType.TWO_CLASS
    assert TYPE_KEYS == ("one_class", "two_class", "three_class")


def test_the_csv_files_are_named_as_google_names_them():
    assert [csv_file_name(split) for split in SPLITS[:2]] == [
        "faceexp-comparison-data-train-public.csv",
        "faceexp-comparison-data-test-public.csv",
    ]


@pytest.mark.parametrize(
    ("names", "source"),
    [
        ((), None),
        (("simulated", "simulated01"), "simulated"),
        (("rater00", "rater39"), "simulated"),  # those of `imagefec draw`
        (("rater00", "ann"), "people"),
        (("rater40",), "people"),
        (("simulated", "ann"), "mixed"),
    ],
)
def test_simulated_raters_are_known_by_their_names(names, source):
    assert fec.rater_source(names) == source
