"""Counts of faces and triplets against a loop that asks one question at a time."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from imagefec.data.crop.csv_triplets import CsvTriplets, why_lost
from imagefec.data.crop.face_folder import FaceRecord
from imagefec.data.fec_csv import FaceRef, Row
from imagefec.fec import TYPE_KEYS, TripletType
from imagefec.maths.geometry import Box

REASONS = ("", "no face found", "box too small", "photo not fetched: http 404", "excluded")
FACES = [FaceRef(f"http://photos/{k // 2}.jpg", Box(0, 0.5, 0, 0.1 + k / 20)) for k in range(8)]
CHOICES = {"tie": (0, 1), "no votes": (), None: (2, 2)}

rows = st.lists(
    st.tuples(
        st.sampled_from(("train", "test")),
        st.permutations(range(8)).map(lambda order: order[:3]),
        st.sampled_from(list(TripletType)),
        st.sampled_from(list(CHOICES)),
    ),
    min_size=1,
    max_size=30,
)


def summarise(described, reasons, labels=None):
    triplets = CsvTriplets()
    for split, numbers, kind, unlabelled in described:
        faces = tuple(FACES[number] for number in numbers)
        row = Row(1, faces, kind, ("a", "b")[: len(CHOICES[unlabelled])], CHOICES[unlabelled])
        triplets.add(split, row, [face.face_id for face in faces])
        triplets.rows_refused[split] += 0
    records = {
        face.face_id: FaceRecord(not reason, reason, "haar", None, False, None)
        for face, reason in zip(FACES, reasons)
    }
    by_id = {FACES[number].face_id: label for number, label in (labels or {}).items()}
    return triplets.summarise_crop(records, by_id)


@given(rows, st.lists(st.sampled_from(REASONS), min_size=8, max_size=8))
def test_every_triplet_is_counted_once_and_by_type(described, reasons):
    report = summarise(described, reasons)
    for split in {split for split, *_ in described}:
        counts = report.triplets[split]
        lost, only = Counter(), Counter()
        by_type = {key: Counter() for key in TYPE_KEYS}
        whole = 0
        for _, numbers, kind, unlabelled in (each for each in described if each[0] == split):
            causes = [unlabelled] * (unlabelled is not None)
            causes += [reasons[n] for n in numbers if reasons[n] == "excluded"]
            causes += [reasons[n] for n in numbers if reasons[n] not in ("", "excluded")]
            if not causes:
                whole += 1
                continue
            lost[causes[0]] += 1
            by_type[kind.key][causes[0]] += 1
            if len(set(causes)) == 1:
                only[causes[0]] += 1
        assert counts["whole"] == whole and counts["lost"] == lost
        assert counts["n_triplets"] == whole + lost.total()
        assert counts["lost_by_type"] == by_type
        assert {reason: n for reason, n in counts["lost_only"].items() if n} == only


@given(rows, st.lists(st.sampled_from(REASONS), min_size=8, max_size=8))
def test_the_detector_answers_only_for_what_it_alone_lost(described, reasons):
    used = {number for _, numbers, *_ in described for number in numbers}
    searched = {n for n in used if reasons[n] in ("", "no face found")}
    missed = {n for n in used if reasons[n] == "no face found"}
    labels = {0: "joy", 1: "joy", 2: "fear"}
    cost = summarise(described, reasons, labels).detector
    assert (cost["n_faces"], cost["n_missed"]) == (len(searched), len(missed))
    theirs = [
        (kind.key, bool(missed & set(numbers)))
        for _, numbers, kind, unlabelled in described
        if unlabelled is None and set(numbers) <= searched
    ]
    assert (cost["n_triplets"], cost["n_lost"]) == (len(theirs), sum(lost for _, lost in theirs))
    for key in TYPE_KEYS:
        of_type = [lost for kind, lost in theirs if kind == key]
        assert cost["by_type"][key] == {"n": len(of_type), "missed": sum(of_type)}
    for label in {labels[n] for n in used if n in labels}:
        named = {n for n in used if labels.get(n) == label}
        expected = {"n": len(named & searched), "missed": len(named & missed)}
        assert cost["by_class"][label] == expected


def test_without_labels_nothing_is_said_about_classes():
    described = [("train", (0, 1, 2), TripletType.ONE_CLASS, None)]
    cost = summarise(described, [""] * 8).detector
    assert "by_class" not in cost and "uneven_class" not in cost
    assert cost["uneven_type"] is None


def test_a_triplet_is_lost_under_its_label_then_the_exclusion_then_its_first_face():
    assert why_lost("tie", ("a", "excluded", "")) == "tie"
    assert why_lost(None, ("a", "excluded", "b")) == "excluded"
    assert why_lost(None, ("", "b", "a")) == "b"
    assert why_lost(None, ("", "", "")) is None
