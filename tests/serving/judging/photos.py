"""Small photo sets for the tests of judging: drawn faces by expression, and a rater by HTTP."""

import functools

import numpy as np

from imagefec.faces.synthetic import photo
from imagefec.faces.synthetic.heads import expressions, people

WORDS = ("amusement", "anger", "surprise")


@functools.cache
def jpeg(word, person):
    """A JPEG of one drawn head."""
    rng = np.random.default_rng([person, expressions.WORDS.index(word)])
    head = people.sample_person(np.random.default_rng(person))
    rendered, _ = photo.render_photo(rng, [(head, expressions.PROTOTYPES[word])])
    return photo.encode_jpeg(rng, rendered)


def write_photos(folder, n=6, words=WORDS, by_label=True):
    """Writes n photos of each expression, in a folder per expression."""
    for word in words:
        place = folder / word if by_label else folder
        place.mkdir(parents=True, exist_ok=True)
        for person in range(n):
            (place / f"{word}{person}.jpg").write_bytes(jpeg(word, person))
    return folder


class Rater:
    """Judges by HTTP, as the page does."""

    def __init__(self, server, name):
        self.server, self.name = server, name

    def post(self, path, **message):
        import json

        body = json.dumps({"rater": self.name, **message}).encode()
        return self.server.json("POST", path, body)

    def state(self):
        status, state = self.post("/state")
        assert status == 200, state
        return state

    def answer(self, trial, choice=0, ms=1500, **more):
        return self.post(
            "/answer", number=trial["number"], id=trial["id"], choice=choice, ms=ms, **more
        )

    def judge(self, n, choose=lambda trial: 0, ms=1500):
        """Answers n trials; returns them."""
        state, trials = self.state(), []
        for _ in range(n):
            trials.append(state["trials"][0])
            status, state = self.answer(trials[-1], choose(trials[-1]), ms)
            assert status == 200, state
        return trials
