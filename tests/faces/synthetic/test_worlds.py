"""Worlds and their aspects: what is accepted, what differs, and folders that hold one world."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagefec.errors import UserError
from imagefec.faces.synthetic import photo, render_dataset, split_plans
from imagefec.faces.synthetic.heads.expressions import PROTOTYPES
from imagefec.faces.synthetic.heads.people import sample_person
from imagefec.faces.synthetic.variations import NOTHING, Variations
from imagefec.faces.synthetic.worlds import ASPECTS, HARD, VARIED, World, make_world
from tests.faces.synthetic.test_settings import bytes_of, draw

SIZE = {"faces": 200, "identities": 8, "triplets": 6, "test_fraction": 0.5}
FLAGS = ["--faces=200", "--identities=8", "--triplets=6", "--test_fraction=0.5"]
CHECKOUT = pathlib.Path(__file__).parents[3]
# Aspects that change something else than the pixels of a photo of a given head.
PEOPLE, FILES = ("looks", "partial"), ("jpeg", "box")


def taken(world, seed=0):
    """A photo, its box and its JPEG in a world."""
    variations = Variations(world, [seed])
    head = sample_person(np.random.default_rng(5)), PROTOTYPES["elation"]
    rng = np.random.default_rng(seed)
    image, (box,) = photo.render_photo(rng, [head], 4.0, variations)
    return image, box, photo.encode_jpeg(rng, image, variations)


def test_without_a_request_nothing_varies():
    assert make_world() == make_world("plain") == World("plain", ())


def test_a_world_varies_all_aspects_or_those_named_in_one_order():
    assert make_world("varied").aspects == make_world("hard").aspects == ASPECTS
    assert make_world("hard", "light, pose") == World("hard", ("pose", "light"))
    assert make_world(vary=["light"]) == World("varied", ("light",))


@pytest.mark.parametrize(
    ("name", "vary", "message"),
    [
        ("easy", None, r"--world is 'easy'; allowed are plain, varied, hard\."),
        ("", None, r"--world is ''"),
        (None, "nonsense", r"--vary has 'nonsense'; allowed are pose, looks,"),
        (None, "pose,", r"--vary has ''"),
        (None, "", r"--vary has ''"),
        (None, (), r"--vary names no aspect"),
        ("hard", "Pose", r"--vary has 'Pose'"),
        ("plain", "pose", r"nothing varies in --world=plain; use --world=varied"),
    ],
)
def test_unknown_worlds_and_aspects_are_refused_in_one_sentence(name, vary, message):
    with pytest.raises(UserError, match=message):
        make_world(name, vary)


@pytest.mark.parametrize(("name", "vary"), [(3, None), (None, 7)])
def test_a_wrong_type_is_a_callers_bug(name, vary):
    with pytest.raises(ValueError, match="must be a text"):
        make_world(name, vary)


@given(st.text(alphabet="posebxlight, ,\x00", max_size=30))
def test_any_text_is_aspects_or_one_sentence(text):
    if all(name.strip() in ASPECTS for name in text.split(",")):
        assert make_world(vary=text).aspects
    else:
        with pytest.raises(UserError, match=r"^--vary has .*separated by commas\.$"):
            make_world(vary=text)


@pytest.mark.parametrize(
    "flag", ["--world=easy", "--vary=nonsense", "--vary=pose;light", "--vary="]
)
def test_a_wrong_flag_is_exit_code_2_and_writes_nothing(tmp_path, flag):
    code, error = draw(tmp_path / "out", *FLAGS, flag)
    assert code == 2 and "allowed are" in error and "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_nothing_leaves_everything_as_it_is():
    plain, box, jpeg = taken(make_world())
    again, (same,) = photo.render_photo(
        np.random.default_rng(0), [(sample_person(np.random.default_rng(5)), PROTOTYPES["elation"])]
    )
    np.testing.assert_array_equal(plain, again)
    assert box == same and NOTHING.jpeg_quality(91) == 91 and jpeg.startswith(b"\xff\xd8")


@pytest.mark.parametrize("world", [VARIED, HARD])
@pytest.mark.parametrize("aspect", [name for name in ASPECTS if name not in PEOPLE])
def test_each_aspect_changes_what_it_should_and_only_that(aspect, world):
    plain, other = taken(make_world()), [taken(make_world(world, aspect), s) for s in range(4)]
    plains = [plain, *(taken(make_world(), seed) for seed in range(1, 4))]
    pixels = [np.abs(a[0].astype(int) - b[0]).mean() for a, b in zip(plains, other)]
    boxes = [a[1] != b[1] for a, b in zip(plains, other)]
    assert (max(pixels) > 0.2) == (aspect not in FILES)
    assert any(boxes) == (aspect == "box")
    assert any(a[2] != b[2] for a, b in zip(plains, other)) == (aspect != "box")


def test_one_aspect_does_not_change_anothers_random_numbers():
    alone, both = (taken(make_world(VARIED, names)) for names in ("box", "box,camera,pose"))
    assert alone[1] == both[1]
    qualities = [
        [Variations(make_world(VARIED, names), [3]).jpeg_quality(0) for _ in range(1)]
        for names in ("jpeg", "light,blur,jpeg")
    ]
    assert qualities[0] == qualities[1]


@pytest.mark.parametrize("name", ["pose", "looks"])
def test_the_first_aspects_random_numbers_are_not_the_photos(name):
    # NumPy's seeds [7] and [7, 0] are the same, so no aspect may have the number 0.
    rng = Variations(make_world(VARIED, name), [7])._rngs[name]
    assert rng.random() != np.random.default_rng([7]).random()


def test_the_hard_world_has_people_and_expressions_of_its_own(tmp_path, monkeypatch):
    skins = {}
    for world in ("plain", "varied", "hard"):
        people = []
        monkeypatch.setattr(
            split_plans,
            "sample_person",
            lambda rng, people=people: people.append(sample_person(rng)) or people[-1],
        )
        render_dataset(tmp_path / world, **SIZE, workers=1, world=world)
        skins[world] = {tuple(person.skin) for person in people}
    assert skins["plain"] == skins["varied"] and len(skins["hard"]) == 8
    assert not skins["plain"] & skins["hard"]


def test_raters_judge_the_true_expression_not_the_pixels(tmp_path):
    sets = {}
    for name, options in {
        "plain": {},
        "dark": {"vary": "light,pose,box"},
        "weak": {"vary": "partial"},
    }.items():
        out = render_dataset(tmp_path / name, **SIZE, workers=1, url_root="http://x", **options)
        rows = (out / "faceexp-comparison-data-test-public.csv").read_text().splitlines()
        votes = [row.split("_TRIPLET,")[1] for row in rows]
        sets[name] = (out / "controls.csv").read_bytes(), votes
    assert sets["plain"] == sets["dark"]
    assert sets["plain"][0] != sets["weak"][0]  # a partial expression is another true expression


def test_the_bytes_do_not_depend_on_the_number_of_workers(tmp_path):
    one, two = (
        render_dataset(tmp_path / str(n), **SIZE, workers=n, url_root="http://x", world="hard")
        for n in (1, 2)
    )
    assert bytes_of(one) == bytes_of(two)


def test_settings_record_the_world_and_a_folder_takes_one_world(tmp_path):
    code, _ = draw(tmp_path, *FLAGS, "--vary=grey,jpeg", "--url_root=http://x")
    assert code == 0
    found = json.loads((tmp_path / "settings.json").read_text())
    assert found["world"] == "varied" and found["vary"] == ["grey", "jpeg"]
    before = bytes_of(tmp_path)
    for flags, asked in (
        ([], "now world plain, vary"),
        (["--world=hard"], "now world hard, vary"),
        (["--vary=grey"], "now vary"),
    ):
        code, error = draw(tmp_path, *FLAGS, *flags)
        assert code == 2 and asked in error.replace("'", "") and "must not be mixed" in error
    assert bytes_of(tmp_path) == before
    assert draw(tmp_path, *FLAGS, "--vary=jpeg,grey", "--url_root=http://x")[0] == 0
    assert bytes_of(tmp_path) == before


def test_a_folder_of_plain_photos_takes_no_varied_ones_but_plain_by_any_name(tmp_path):
    assert draw(tmp_path, *FLAGS)[0] == 0
    assert "world" not in json.loads((tmp_path / "settings.json").read_text())
    code, error = draw(tmp_path, *FLAGS, "--world=varied")
    assert code == 2 and "drawn with world plain, vary []" in error
    assert draw(tmp_path, *FLAGS, "--world=plain")[0] == 0


def test_a_killed_draw_of_the_hard_world_is_completed_with_the_same_bytes(tmp_path):
    command = [sys.executable, "-m", "imagefec", "draw", tmp_path / "killed", *FLAGS]
    command += ["--world=hard", "--url_root=http://x"]
    process = subprocess.Popen(
        command,
        cwd=CHECKOUT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not list(tmp_path.glob("killed/images/*/*.jpg")):
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for name in ("killed", "whole"):
        render_dataset(tmp_path / name, **SIZE, workers=1, url_root="http://x", world="hard")
    assert bytes_of(tmp_path / "killed") == bytes_of(tmp_path / "whole")


@pytest.mark.parametrize("world", [VARIED, HARD])
def test_photos_of_every_world_are_jpegs_with_boxes_inside(world):
    for seed in range(12):
        image, box, jpeg = taken(make_world(world), seed)
        decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert decoded.shape == image.shape and image.dtype == np.uint8
        assert 0 <= box.left < box.right <= 1 and 0 <= box.top < box.bottom <= 1
        assert box.width > 0.2 and box.height > 0.2
        assert image.std() > 8  # something is to be seen
