import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagefec.maths.tones import Goal
from imagefec.serving.live import session
from imagefec.serving.live.session import Session, SessionError

A = np.array([1, 0, 0, 0], np.float32)
B = np.array([0, 1, 0, 0], np.float32)  # 2 ** 0.5 from A


def at(angle):
    """A unit vector at an angle from A, degrees; its distance from A is 2 sin(angle / 2)."""
    return np.array([math.cos(math.radians(angle)), math.sin(math.radians(angle)), 0, 0], "f")


def with_goal(vector=A, dead_band=0.1):
    made = Session()
    made.set_goal("calm", Goal(vector, dead_band))
    return made


def feed(made, vector, start_s, seconds, fps=20):
    """Feeds the same frame for some seconds; returns the readings."""
    return [
        made.observe(vector, start_s + i / fps) for i in range(1, math.floor(seconds * fps) + 1)
    ]


def test_without_a_goal_there_is_silence_and_no_distance():
    reading = Session().observe(A, 0)
    assert (reading.distance, reading.smoothed, reading.relative_error) == (None, None, None)
    assert (reading.tone.hz, reading.tone.gain) == (220, 0)


def test_a_captured_goal_is_silent_on_itself_and_sounds_on_another_expression():
    made = Session()
    made.capture(session.GOAL, 0.0, "calm")
    capture = feed(made, A, 0.0, 1.05)[-1].capture
    assert capture.result is not None and capture.share == 1 and made.active == "calm"
    np.testing.assert_allclose(made.goals["calm"].embedding, A)
    assert feed(made, A, 2.0, 1)[-1].tone.gain == 0
    on_b = feed(made, B, 3.0, 3)[-1]
    assert on_b.distance == pytest.approx(2**0.5)
    assert on_b.relative_error == 1 and on_b.tone.hz == pytest.approx(880) and on_b.tone.gain == 0.2


def test_a_capture_averages_one_second_from_the_first_face():
    made = Session()
    made.capture(session.GOAL, 0.0)
    assert feed(made, None, 0.0, 2)[-1].capture.share == 0
    readings = feed(made, at(-10), 2.0, 0.5) + feed(made, at(10), 2.5, 0.55)
    assert [r.capture.result is not None for r in readings] == [False] * 20 + [True]
    # 10 frames on one side and 11 on the other: the mean lies close to the middle.
    assert np.linalg.norm(made.goals["goal"].embedding - A) < 0.02


def test_a_capture_with_few_pictures_waits_for_five():
    made = Session()
    made.capture(session.GOAL, 0.0)
    readings = [made.observe(A, now) for now in (0.5, 1.5, 2.5, 3.5, 4.5)]
    assert [r.capture.result is not None for r in readings] == [False] * 4 + [True]
    assert [r.capture.share for r in readings[:2]] == [0, pytest.approx(2 / 5)]


def test_a_capture_without_faces_fails_with_what_to_do_and_leaves_the_old_goal():
    made = with_goal()
    made.capture(session.GOAL, 0.0, "calm")
    last = feed(made, None, 0.0, 6)[-1].capture
    assert last.result is None
    assert last.failure.startswith("only 0 pictures of the last 6 s") and "light" in last.failure
    assert made.observe(A, 7).capture is None and list(made.goals) == ["calm"]


def test_a_capture_of_opposite_faces_fails():
    made = Session()
    made.capture(session.GOAL, 0.0)
    readings = [made.observe(A if i % 2 else -A, i / 5) for i in range(6)]
    assert "differ too much" in readings[-1].capture.failure and made.goals == {}


def test_while_a_capture_goes_on_the_tone_fades():
    made = with_goal()
    feed(made, B, 0, 2)
    made.capture(session.GOAL, 2.0, "calm")
    gains = [r.tone.gain for r in feed(made, B, 2.0, 0.9)]
    assert gains == sorted(gains, reverse=True) and gains[-1] < 0.02


def test_the_neutral_face_sets_the_scale():
    made = with_goal()
    made.neutral = Goal(at(60), 0.05)  # distance 1
    assert made.scale == pytest.approx(1)
    reading = feed(made, at(2 * math.degrees(math.asin(0.55 / 2))), 0, 5)[-1]  # distance .55
    assert reading.relative_error == pytest.approx((0.55 - 0.1) / (1 - 0.1), abs=1e-6)
    assert reading.tone.hz == pytest.approx(440, rel=1e-6)
    assert reading.tone.gain == pytest.approx(0.1, rel=1e-6)


def test_the_smoothed_distance_follows_with_its_time_constant():
    made = with_goal()
    made.observe(A, 0.0)
    reading = made.observe(B, 0.3)  # one time constant later
    assert reading.smoothed == pytest.approx(2**0.5 * (1 - math.exp(-1)))


def test_without_a_face_the_gain_fades_and_the_pitch_holds():
    made = with_goal()
    loud = feed(made, B, 0, 2)[-1].tone
    readings = feed(made, None, 2.0, 3)
    assert all(r.distance is None and r.tone.hz == loud.hz for r in readings)
    assert readings[5].tone.gain == pytest.approx(loud.gain * math.exp(-6 / 20 / 0.3), rel=1e-6)
    assert readings[-1].tone.gain == 0


def test_a_face_that_returns_is_heard_at_once():
    made = with_goal()
    feed(made, B, 0, 2)
    feed(made, None, 2, 5)
    reading = made.observe(A, 7.1)
    assert reading.smoothed < 1e-3 and reading.tone.gain == 0


def test_another_goal_starts_with_its_own_distance():
    made = with_goal()
    made.set_goal("joy", Goal(B, 0.1))
    feed(made, B, 0, 2)
    made.use("calm")
    assert made.observe(B, 2.05).smoothed == pytest.approx(2**0.5)


def test_several_goals_are_used_and_forgotten_by_name():
    made = with_goal()
    made.set_goal("joy", Goal(B, 0.1))
    assert made.active == "joy" and list(made.goals) == ["calm", "joy"]
    with pytest.raises(SessionError, match="no goal 'rest'; the goals are 'calm', 'joy'"):
        made.use("rest")
    made.forget("joy")
    made.forget("joy")
    assert made.active is None and made.observe(B, 0).distance is None
    made.use("calm")
    assert made.observe(A, 1).distance == 0


def test_the_number_of_goals_is_limited_but_one_can_be_replaced():
    made = Session()
    for i in range(session.MAX_GOALS):
        made.set_goal(f"goal {i}", Goal(A, 0.1))
    made.set_goal("goal 3", Goal(B, 0.1))
    for add in (
        lambda: made.set_goal("one more", Goal(A, 0.1)),
        lambda: made.capture("goal", 0, "more"),
    ):
        with pytest.raises(SessionError, match="32 goals already"):
            add()


def test_reset_forgets_all_but_the_preset():
    made = with_goal()
    made.set_preset("deep")
    made.reset()
    assert made.goals == {} and made.active is None and made.preset == "deep"
    assert made.observe(A, 0).tone.hz == 110


def test_presets_change_pitch_gain_and_smoothing():
    made = with_goal()
    made.set_preset("deep")
    tone = feed(made, B, 0, 5)[-1].tone
    assert (tone.hz, tone.gain) == (pytest.approx(440), 0.3)
    with pytest.raises(SessionError, match="no preset 'loud'; the presets are 'standard', "):
        made.set_preset("loud")


def test_every_preset_smooths_within_the_range_found_by_listening():
    assert all(0.25 <= preset.smoothing_s <= 0.35 for preset in session.PRESETS.values())


EVENTS = st.one_of(
    st.tuples(st.just("frame"), st.one_of(st.none(), st.floats(0, 180))),
    st.tuples(st.just("capture"), st.sampled_from([session.GOAL, session.NEUTRAL])),
    st.tuples(st.just("forget"), st.just("goal")),
    st.tuples(st.just("reset"), st.none()),
    st.tuples(st.just("preset"), st.sampled_from(sorted(session.PRESETS))),
)


@given(st.lists(st.tuples(EVENTS, st.floats(-0.1, 2)), max_size=80))
def test_no_order_of_events_gives_a_tone_outside_the_range(events):
    made, now = Session(), 0.0
    for (kind, value), step in events:
        now += step
        if kind == "capture":
            made.capture(value, now)
        elif kind == "forget":
            made.forget(value)
        elif kind == "reset":
            made.reset()
        elif kind == "preset":
            made.set_preset(value)
        else:
            reading = made.observe(None if value is None else at(value), now)
            assert 110 <= reading.tone.hz <= 880 + 1e-6 and 0 <= reading.tone.gain <= 0.3
            assert reading.relative_error is None or 0 <= reading.relative_error <= 1
            assert reading.smoothed is None or 0 <= reading.smoothed <= 2 + 1e-6
            if reading.distance is None:
                assert value is None or made.active is None
