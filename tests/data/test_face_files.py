import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image

from imagefec.data import face_folder, face_worker
from imagefec.data.face_files import crop_faces, read_faces
from imagefec.data.fec_csv import TYPES, FaceRef, Row, write_rows
from imagefec.data.fetch import fetch_photos
from imagefec.errors import UserError
from imagefec.faces.detectors import make_detector
from imagefec.faces.photos import read_photo
from imagefec.maths.geometry import Box

TRAIN = "faceexp-comparison-data-train-public.csv"
TEST = "faceexp-comparison-data-test-public.csv"
FACE = Box(170 / 512, 275 / 512, 60 / 512, 180 / 512)
NO_FACE = Box(0.6, 0.9, 0.65, 0.95)
TINY = Box(0.4, 0.41, 0.2, 0.21)


class World:
    """A folder with photos, csv files and a fetched cache."""

    def __init__(self, root: Path):
        self.root, self.cache, self.faces = root, root / "cache", root / "faces"
        (root / "photos").mkdir()

    def photo(self, name: str, picture: np.ndarray | bytes) -> str:
        path = self.root / "photos" / name
        if isinstance(picture, bytes):
            path.write_bytes(picture)
        else:
            Image.fromarray(picture).save(path)
        return path.as_uri()

    def astronauts(self, n: int) -> list[str]:
        """Photos of one face, each of another brightness so that each is another file."""
        face = skimage.data.astronaut()[:256, 96:352]
        brighter = (np.clip(face.astype(int) + k, 0, 255).astype(np.uint8) for k in range(n))
        return [self.photo(f"{k}.png", picture) for k, picture in enumerate(brighter)]

    def csv(self, triplets: list, name: str = TRAIN) -> Path:
        """Writes triplets of (three FaceRefs, votes) and fetches their photos."""
        rows = [Row(k, tuple(faces), TYPES[k % 3], ("a", "b", "c")[: len(votes)], votes)
                for k, (faces, votes) in enumerate(triplets)]
        write_rows(self.root / name, rows)
        fetch_photos([self.root / name], self.cache)
        return self.root / name

    def crop(self, *paths: Path, **options):
        faces_dir = options.pop("faces_dir", self.faces)
        return crop_faces(paths, self.cache, faces_dir, **{"workers": 1} | options)


    def exclude(self, *names: str, path: str = "exclude.txt") -> Path:
        (self.root / path).write_text("# whom not to show\n" + "".join(f"{name}\n" for name in names))
        return self.root / path


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setenv("IMAGEFEC_MODELS", str(tmp_path / "no_models"))
    return World(tmp_path)


@pytest.fixture
def many(world):
    """60 faces on 30 photos, a few of them dropped."""
    urls = world.astronauts(30)
    boxes = [Box(0.29, 0.70, 0.24, 0.70), Box(0.05, 0.15, 0.05, 0.4)]
    faces = [FaceRef(url, box) for url in urls for box in boxes]
    world.path = world.csv([(faces[k : k + 3], (0, 0, 1)) for k in range(0, 60, 3)])
    world.refs = faces
    return world


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def astronaut_triplet(world, votes=(2, 2), third=None):
    url = world.photo("astronaut.png", skimage.data.astronaut())
    boxes = FACE, Box(0.335, 0.54, 0.12, 0.36), Box(0.33, 0.53, 0.11, 0.35)
    first, second, last = (FaceRef(url, box) for box in boxes)
    return (first, second, third or last), votes


def test_faces_are_cut_as_rgb_from_the_grown_box(world):
    colours = np.zeros((200, 200, 3), np.uint8)
    colours[50:150, 50:150] = (255, 0, 0)  # a red box in a black photo
    url = world.photo("red.png", colours)
    inner = FaceRef(url, Box(0.35, 0.65, 0.35, 0.65))  # 60 px grow to 69, all red
    path = world.csv([((inner, FaceRef(url, Box(0, 0.5, 0, 0.5)), FaceRef(url, Box(0, 1, 0, 1))), (0,))])
    report = world.crop(path, detector="none")
    assert (report.n_faces, report.n_kept, report.n_upscaled) == (3, 3, 2)
    record = read_faces(world.faces)[inner.face_id]
    assert record.kept and record.upscaled and record.score == 1 and record.detector == "none"
    assert record.path == world.faces / inner.face_id[:2] / f"{inner.face_id}.png"
    face = read_photo(record.path)
    assert face.shape == (128, 128, 3) and (face == (255, 0, 0)).all()


def test_one_photo_is_decoded_once_for_all_its_faces(world, monkeypatch):
    reads = []
    monkeypatch.setattr(face_worker, "read_photo", lambda path: reads.append(path) or read_photo(path))
    report = world.crop(world.csv([astronaut_triplet(world)] * 3))
    assert len(reads) == 1 and report.n_faces == 3


def test_every_drop_is_counted_with_its_reason(world):
    gone = FaceRef((world.root / "photos/none.jpg").as_uri(), FACE)
    astronaut = FaceRef(world.photo("astronaut.png", skimage.data.astronaut()), FACE)
    path = world.csv([
        astronaut_triplet(world),
        astronaut_triplet(world, votes=(0, 1)),
        astronaut_triplet(world, votes=()),
        astronaut_triplet(world, third=gone),
        astronaut_triplet(world, third=FaceRef(astronaut.url, TINY)),
        astronaut_triplet(world, third=FaceRef(astronaut.url, NO_FACE)),
    ])
    report = world.crop(path)
    (not_fetched,) = [reason for reason in report.dropped if reason.startswith("photo not fetched: ")]
    assert report.dropped == {"box too small": 1, "no face found": 1, not_fetched: 1}
    assert report.n_faces == 6 and report.n_kept == 3
    train = report.triplets["train"]
    assert train["n_triplets"] == 6 and train["whole"] == 1
    assert train["lost"] == {"box too small": 1, "no face found": 1, "no votes": 1, "tie": 1, not_fetched: 1}
    assert train["by_type"] == {
        "one_class": {"n_triplets": 2, "whole": 1}, "two_class": {"n_triplets": 2, "whole": 0},
        "three_class": {"n_triplets": 2, "whole": 0}}
    assert json.loads((world.faces / "report.json").read_text()) == report.as_json()


def test_a_cached_file_that_is_no_photo_is_counted_and_not_fatal(world):
    path = world.csv([astronaut_triplet(world)])
    for cached in (world.cache / "objects").rglob("*"):
        if cached.is_file():
            cached.write_bytes(_jpeg_head_only().ljust(cached.stat().st_size, b"\0"))
    report = world.crop(path)
    assert report.dropped == {"not a photo": 3} and report.triplets["train"]["lost"] == {"not a photo": 1}


def test_faces_whose_photo_came_later_are_cut_then(world):
    late = world.root / "photos/late.png"
    triplet = astronaut_triplet(world, third=FaceRef(late.as_uri(), FACE))
    path = world.csv([triplet])
    assert world.crop(path).n_kept == 2
    Image.fromarray(skimage.data.astronaut()).save(late)
    fetch_photos([path], world.cache, retry_failed=True)
    assert world.crop(path).n_kept == 3
    assert len((world.faces / "faces.csv").read_text().splitlines()) == 4


def test_two_splits_share_a_folder_and_are_counted_apart(world):
    train, test = world.csv([astronaut_triplet(world)]), world.csv([astronaut_triplet(world)] * 2, TEST)
    report = world.crop(test, train)
    assert report.triplets["train"]["whole"] == 1 and report.triplets["test"]["whole"] == 2
    assert world.crop(test).triplets.keys() == {"test"}


def test_the_folder_has_the_same_bytes_for_any_order_of_work_and_number_of_processes(many):
    report = many.crop(many.path)
    assert (report.n_faces, report.n_kept) == (60, 30)
    spawned = many.crop(many.path, faces_dir=many.root / "spawned", workers=2)
    assert spawned == report
    assert contents(many.root / "spawned") == contents(many.faces)


def test_a_second_run_cuts_only_what_is_missing(many, monkeypatch):
    report = many.crop(many.path)
    before = contents(many.faces)
    next(many.faces.glob("??/*.png")).unlink()
    next(many.faces.glob("??/*.png")).write_bytes(b"")
    cut = []
    crop_photo = face_worker.crop_photo
    monkeypatch.setattr(face_worker, "crop_photo", lambda *job: cut.extend(job[1]) or crop_photo(*job))
    assert many.crop(many.path) == report
    assert len(cut) == 2 and contents(many.faces) == before


def test_a_torn_last_line_is_cut_off(many):
    many.crop(many.path)
    before = contents(many.faces)
    book = many.faces / "faces.csv"
    book.write_bytes(before["faces.csv"][:-30])
    many.crop(many.path)
    assert contents(many.faces) == before


def test_a_killed_crop_goes_on_and_leaves_no_process_behind(many):
    script = many.root / "crop_it.py"
    script.write_text(
        "import sys, time\n"
        "from imagefec.data.face_files import crop_faces\n"
        "class Slow:\n"
        "    def update(self, n): print('cut', n, flush=True); time.sleep(30 if n else 0)\n"
        "    def set_postfix(self, **counts): pass\n"
        "if __name__ == '__main__':\n"
        f"    crop_faces([{str(many.path)!r}], {str(many.cache)!r}, {str(many.faces)!r}, workers=2,\n"
        "               progress=Slow())\n")
    env = os.environ | {"PYTHONPATH": str(Path(face_worker.__file__).parents[2])}
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, env=env, text=True)
    try:
        assert process.stdout.readline().startswith("cut")  # the first batch is in the book
        workers = _children(process.pid)
        assert len(workers) >= 2
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert not (many.faces / "report.json").exists()
    n_listed = len((many.faces / "faces.csv").read_text().splitlines()) - 1
    assert 0 < n_listed < 60
    deadline = time.monotonic() + 10
    while any(_is_alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_is_alive(pid) for pid in workers)

    many.crop(many.path)
    many.crop(many.path, faces_dir=many.root / "whole")
    assert contents(many.faces) == contents(many.root / "whole")


def test_a_crop_killed_again_and_again_ends_with_the_same_bytes(many):
    listed = many.exclude(many.refs[4].url, many.refs[9].face_id, many.refs[20].face_id)
    script = many.root / "crop_it.py"
    script.write_text(
        "import os, signal, sys\n"
        "from imagefec.data.face_files import crop_faces\n"
        "from imagefec.faces import photos\n"
        "class Killed:\n"
        "    left = int(sys.argv[1])\n"
        "    def update(self, n):\n"
        "        self.left -= n\n"
        "        if self.left < 0: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    def set_postfix(self, **counts): pass\n"
        "if __name__ == '__main__':\n"
        f"    crop_faces([{str(many.path)!r}], {str(many.cache)!r}, {str(many.faces)!r}, workers=int(sys.argv[2]),\n"
        f"               progress=Killed(), exclude={str(listed)!r})\n")
    env = os.environ | {"PYTHONPATH": str(Path(face_worker.__file__).parents[2])}
    for left, workers in ((0, 1), (3, 2), (17, 1), (30, 2), (45, 1)):
        done = subprocess.run([sys.executable, script, str(left), str(workers)], env=env)
        assert done.returncode == -signal.SIGKILL
    many.crop(many.path, exclude=listed)
    many.crop(many.path, exclude=listed, faces_dir=many.root / "whole")
    assert contents(many.faces) == contents(many.root / "whole")


def test_a_crop_killed_at_any_instant_ends_with_the_same_bytes(many):
    # Python tells an audit hook of every file opened, renamed and deleted: a kill at the n-th of them.
    script = many.root / "crop_it.py"
    script.write_text(
        "import os, signal, sys\n"
        "from imagefec.data.face_files import crop_faces\n"
        "left = [int(sys.argv[1])]\n"
        "def count(event, _):\n"
        "    left[0] -= 1\n"
        "    if left[0] == 0: os.kill(os.getpid(), signal.SIGKILL)\n"
        "sys.addaudithook(count)\n"
        f"crop_faces([{str(many.path)!r}], {str(many.cache)!r}, sys.argv[2], workers=1)\n"
        "print(10**9 - left[0])\n")
    env = os.environ | {"PYTHONPATH": str(Path(face_worker.__file__).parents[2])}

    def start(n):
        return subprocess.Popen([sys.executable, script, str(n), many.root / str(n)], env=env, stdout=subprocess.PIPE)

    whole = start(10**9)
    n_events = int(whole.communicate()[0])
    assert n_events > 60
    # Evenly, and at each of the last, which sort the book and write the report.
    for n, child in [(n, start(n)) for n in (*range(1, n_events, n_events // 6), *range(n_events - 6, n_events, 2))]:
        assert child.wait() == -signal.SIGKILL, n
        child.stdout.close()
        many.crop(many.path, faces_dir=many.root / str(n))
        assert contents(many.root / str(n)) == contents(many.root / str(10**9)), f"killed at event {n} of {n_events}"


def test_the_excluded_are_dropped_with_their_reason_and_their_photos_stay_closed(many, monkeypatch):
    reads = []
    monkeypatch.setattr(face_worker, "read_photo", lambda path: reads.append(path) or read_photo(path))
    by_url, by_id = many.refs[0], many.refs[2]  # the first photo with its two faces; one kept face of the second
    report = many.crop(many.path, exclude=many.exclude(by_url.url, by_id.face_id))
    assert len(reads) == 29
    assert report.dropped["excluded"] == 3 and report.n_kept == 28 and report.n_faces == 60
    assert report.triplets["train"]["lost"]["excluded"] == 1  # faces 0, 1, 2 make one triplet
    records = read_faces(many.faces)
    for ref in many.refs[:3]:
        assert records[ref.face_id] == face_folder.FaceRecord(False, "excluded", records[ref.face_id].detector, None, False, None)
    assert json.loads((many.faces / "report.json").read_text())["dropped"]["excluded"] == 3


def test_a_grown_list_deletes_what_was_cut_and_without_a_list_all_is_cut_again(many):
    everything = contents_after(many, "everything")
    first, second, third = (many.refs[k] for k in (0, 4, 8))
    few, more = many.exclude(first.face_id), many.exclude(first.face_id, second.url, third.face_id, path="more.txt")
    assert many.crop(many.path).n_kept == 30
    assert many.crop(many.path, exclude=few).n_kept == 29
    assert contents(many.faces) == contents_after(many, "few", exclude=few)
    assert many.crop(many.path, exclude=more).n_kept == 27
    assert contents(many.faces) == contents_after(many, "more", exclude=more)
    assert not any(list(many.faces.rglob(f"{ref.face_id}*")) for ref in (first, second, third))
    assert many.crop(many.path, exclude=few).n_kept == 29
    assert contents(many.faces) == contents_after(many, "few")
    assert many.crop(many.path, exclude=many.exclude(path="empty.txt")).n_kept == 30
    assert contents(many.faces) == everything


def contents_after(world, name, **options):
    """What one crop into a folder of its own leaves there; cropped once a name."""
    if not (world.root / name).exists():
        world.crop(world.path, faces_dir=world.root / name, **options)
    return contents(world.root / name)


def test_the_excluded_are_the_same_for_any_number_of_processes(many):
    listed = many.exclude(many.refs[0].url, *(ref.face_id for ref in many.refs[4:40:6]))
    report = many.crop(many.path, exclude=listed)
    assert many.crop(many.path, exclude=listed, faces_dir=many.root / "spawned", workers=2) == report
    assert contents(many.root / "spawned") == contents(many.faces)


def test_faces_cut_there_for_another_csv_are_excluded_too(world):
    train, other = world.csv([astronaut_triplet(world)]), world.photo("other.png", skimage.data.astronaut()[:, ::-1])
    mirrored = FaceRef(other, Box(1 - FACE.right, 1 - FACE.left, FACE.top, FACE.bottom))
    test = world.csv([astronaut_triplet(world, third=mirrored)], TEST)
    assert world.crop(test).n_kept == 3
    report = world.crop(train, exclude=world.exclude(other))
    assert "excluded" not in report.dropped  # the report speaks of the csv files asked for
    assert read_faces(world.faces)[mirrored.face_id].reason == "excluded"
    assert not list(world.faces.rglob(f"{mirrored.face_id}*"))
    assert world.crop(train, test).n_kept == 4


def test_a_png_that_a_killed_crop_had_not_listed_is_deleted_when_excluded(world):
    path = world.csv([astronaut_triplet(world)])
    world.crop(path)
    book = world.faces / "faces.csv"
    face_id = book.read_text().splitlines()[-1].split(",")[0]
    book.write_text("".join(book.read_text().splitlines(keepends=True)[:-1]))
    report = world.crop(path, exclude=world.exclude(face_id))
    assert report.dropped == {"excluded": 1} and not face_folder.face_path(world.faces, face_id).exists()


def test_a_crop_killed_while_it_deletes_leaves_none_of_the_excluded_when_run_again(many):
    many.crop(many.path)
    listed = many.exclude(*(ref.face_id for ref in many.refs[:12]))
    script = many.root / "exclude_it.py"
    script.write_text(
        "import os, signal\n"
        "from imagefec.data import face_files, face_folder\n"
        "delete, done = face_folder.delete_face, []\n"
        "def delete_and_die(faces_dir, face_id):\n"
        "    delete(faces_dir, face_id)\n"
        "    done.append(face_id)\n"
        "    if len(done) == 5: os.kill(os.getpid(), signal.SIGKILL)\n"
        "face_folder.delete_face = delete_and_die\n"
        f"face_files.crop_faces([{str(many.path)!r}], {str(many.cache)!r}, {str(many.faces)!r}, workers=1,\n"
        f"                      exclude={str(listed)!r})\n")
    env = os.environ | {"PYTHONPATH": str(Path(face_worker.__file__).parents[2])}
    assert subprocess.run([sys.executable, script], env=env).returncode == -signal.SIGKILL
    assert not (many.faces / "report.json").exists()
    many.crop(many.path, exclude=listed)
    assert contents(many.faces) == contents_after(many, "whole", exclude=listed)


def test_a_list_that_cannot_be_read_stops_the_work_before_it_begins(world):
    path = world.csv([astronaut_triplet(world)])
    with pytest.raises(UserError, match=r"gone\.txt.*nothing was done"):
        world.crop(path, exclude=world.root / "gone.txt")
    assert not world.faces.exists()


def test_a_detector_with_files_of_its_own_crops_and_is_recorded(many, write_faced):
    models = write_faced(many.root / "models")
    report = many.crop(many.path, model_dir=models)
    assert report.n_kept == 60  # these graphs see a face in everything
    settings = json.loads((many.faces / "settings.json").read_text())
    assert (settings["detector"], settings["min_score"]) == ("faced", 0.7)
    assert settings["detector_version"] == make_detector("faced", None, models).version


@pytest.mark.slow
def test_a_detectors_files_are_found_in_the_worker_processes_too(many, write_faced):
    models = write_faced(many.root / "models")
    many.crop(many.path, detector="faced", model_dir=models)
    many.crop(many.path, detector="auto", model_dir=models, workers=2, faces_dir=many.root / "spawned")
    assert contents(many.root / "spawned") == contents(many.faces)


def test_another_model_file_on_the_same_folder_is_refused(world, write_faced):
    path = world.csv([astronaut_triplet(world)])
    world.crop(path, detector="faced", model_dir=write_faced(world.root / "models"))
    with pytest.raises(UserError, match=r"cut with detector_version \w+\+\w+-1, and now detector_version"):
        world.crop(path, detector="faced", model_dir=write_faced(world.root / "others", prob=0.9))


@pytest.fixture
def write_faced():
    """Writes graphs of faced's signature that report one face over half of the picture's middle."""
    tf = pytest.importorskip("tensorflow")

    def write(folder, prob=0.8):
        folder.mkdir()
        grid = np.zeros((1, 9, 9), np.float32)
        grid[0, 4, 4] = prob
        half = np.full((1, 9, 9), 0.5, np.float32)
        values = {"prob": grid, "x_center": half, "y_center": half, "w": half, "h": half}
        for name, side, outputs in (("face_yolo.pb", 288, values), ("face_corrector.pb", 50, dict.fromkeys("XYWH", 0.5))):
            with tf.Graph().as_default() as graph:
                tf.compat.v1.placeholder(tf.float32, [1, side, side, 3], name="img")
                tf.compat.v1.placeholder(tf.bool, [], name="training")
                for output, value in outputs.items():
                    tf.constant(value, name=output)
                (folder / name).write_bytes(graph.as_graph_def().SerializeToString(deterministic=True))
        return folder

    return write


def test_a_worker_imports_nothing_heavy():
    code = "import sys, imagefec.data.face_worker; print(*sys.modules)"
    env = os.environ | {"PYTHONPATH": str(Path(face_worker.__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    heavy = {"tensorflow", "jax", "trax", "tensorflow_datasets", "skimage", "scipy", "urllib3", "matplotlib"}
    assert not heavy & set(done.stdout.split())


def test_another_detector_on_the_same_folder_is_refused(world):
    path = world.csv([astronaut_triplet(world)])
    world.crop(path, detector="none")
    with pytest.raises(UserError, match=r"cut with detector none.*now detector lbp.*another --faces"):
        world.crop(path, detector="lbp")
    with pytest.raises(UserError, match=r"min_score 0\.0.*min_score 0\.5"):
        world.crop(path, detector="none", min_score=0.5)


def test_a_second_crop_at_once_is_refused(world):
    path = world.csv([astronaut_triplet(world)])
    with face_folder.locked(world.faces), pytest.raises(UserError, match="another crop is at work"):
        world.crop(path)


def test_a_folder_that_cannot_be_written_is_the_users_to_mend(world):
    path = world.csv([astronaut_triplet(world)])
    (world.root / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write the faces.*--faces"):
        world.crop(path, faces_dir=world.root / "file" / "faces")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_disk_that_fills_up_is_the_users_to_mend_and_then_the_crop_goes_on(many, small_disk, workers):
    small_disk.resize("256k")
    with pytest.raises(UserError, match=r"No space left.*make room.*goes on"):
        many.crop(many.path, faces_dir=small_disk.path, workers=workers)
    assert not (small_disk.path / "report.json").exists()
    small_disk.resize("64m")
    many.crop(many.path, faces_dir=small_disk.path)
    many.crop(many.path)
    assert contents(small_disk.path) == contents(many.faces)


def test_bad_rows_are_refused_or_counted(world):
    path = world.csv([astronaut_triplet(world)])
    with open(path, "a") as file:
        file.write("no,row\n")
    with pytest.raises(UserError, match="line 2"):
        world.crop(path)
    assert world.crop(path, skip_bad_rows=True).triplets["train"]["rows_refused"] == 1


def test_progress_is_told_of_every_face(many):
    class Bar:
        total, n, counts = None, 0, None

        def update(self, n):
            self.n += n

        def set_postfix(self, **counts):
            self.counts = counts

    for _ in range(2):  # the second time all are done already
        bar = Bar()
        many.crop(many.path, progress=bar)
        assert (bar.total, bar.n, bar.counts) == (60, 60, {"kept": 30, "dropped": 30})


def test_a_folder_without_faces_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match="run `imagefec crop` first"):
        read_faces(tmp_path)


@pytest.mark.parametrize(("line", "found"), [("a,b,c", "line 2"), ("\xe9", "UTF-8")])
def test_a_damaged_book_names_the_line(tmp_path, line, found):
    (tmp_path / "faces.csv").write_bytes(f"{face_folder.HEADER}\n{line}\n".encode("latin-1"))
    with pytest.raises(UserError, match=found):
        read_faces(tmp_path)


def test_a_book_without_settings_is_refused(world):
    path = world.csv([astronaut_triplet(world)])
    world.crop(path)
    (world.faces / "settings.json").unlink()
    with pytest.raises(UserError, match=r"no settings\.json"):
        world.crop(path)


def test_a_crop_by_nobody_or_of_nothing_is_a_callers_bug(world):
    path = world.csv([astronaut_triplet(world)])
    for paths, workers in (((path,), 0), ((), 1)):
        with pytest.raises(ValueError, match="at least one csv file and workers"):
            world.crop(*paths, workers=workers)


def test_opencvs_threads_are_left_as_they_were(world):
    n_threads = cv2.getNumThreads()
    world.crop(world.csv([astronaut_triplet(world)]))
    assert cv2.getNumThreads() == n_threads


def _jpeg_head_only() -> bytes:
    _, data = cv2.imencode(".jpg", np.zeros((64, 64, 3), np.uint8))
    return data.tobytes()[:30]


def _children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
        except OSError:
            continue
    return found


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
