"""The page in a real browser with a fake camera: goals, tone, mute, reload, restart."""

import json
import signal

import pytest

from tests.browser.conftest import FAKE, launched, visiting
from tests.browser.video import write_video
from tests.serving.servers import running


def test_a_goal_on_one_expression_is_silent_there_and_sounds_on_another(server, two_expressions):
    with visiting(two_expressions) as visitor:
        visitor.open(server.url)
        visitor.wait_for_start_of(0)
        visitor.page.wait_for_timeout(500)
        visitor.capture("goal", "calm")
        visitor.wait(lambda: visitor.word == "At the goal")
        assert visitor.tone["gain"] == 0

        visitor.wait_for_start_of(1)
        visitor.wait(lambda: visitor.tone["gain"] > 0.01, what="a tone")
        tone = visitor.wait(lambda: visitor.tone["hz"] > 240 and visitor.tone)
        assert 220 < tone["hz"] <= 880 and tone["gain"] <= 0.2 * 0.7 + 1e-9
        assert int(visitor.page.get_attribute("#meter", "aria-valuenow")) > 0
        assert visitor.word != "At the goal"

        visitor.page.keyboard.press("m")
        assert visitor.tone["gain"] == 0
        assert visitor.page.get_attribute("#mute", "aria-pressed") == "true"
        visitor.page.keyboard.press("m")
        visitor.wait(lambda: visitor.tone["gain"] > 0.01, what="a tone after mute")
        visitor.page.fill("#volume", "0")
        assert visitor.tone["gain"] == 0

        visitor.page.fill("#volume", "70")
        visitor.wait_for_start_of(0)
        visitor.wait(lambda: visitor.tone["gain"] == 0, what="silence back at the goal")
        assert visitor.errors == []


def test_goals_survive_a_reload_and_can_be_forgotten(server, two_expressions):
    with visiting(two_expressions) as visitor:
        visitor.open(server.url)
        visitor.capture("neutral")
        visitor.capture("goal", "calm")
        visitor.page.fill("#name", "joy")
        visitor.page.click("#goal")
        visitor.wait(lambda: visitor.page.locator("#goal-list li").count() == 2)
        visitor.page.select_option("#preset", "deep")
        visitor.page.get_by_role("radio", name="calm").check()

        visitor.open(server.url)
        assert visitor.page.locator("#goal-list li").all_inner_texts() == [
            "calm\nForget",
            "joy\nForget",
        ]
        assert visitor.page.get_by_role("radio", name="calm").is_checked()
        assert visitor.page.input_value("#preset") == "deep"
        assert "set" in visitor.page.inner_text("#neutral-state")
        visitor.wait(lambda: "“calm”" in visitor.page.inner_text("#detail"))

        visitor.page.get_by_role("button", name="Forget calm").click()
        visitor.wait(lambda: visitor.word == "Choose a goal")
        visitor.page.reload()
        visitor.wait(lambda: visitor.page.locator("#goal-list li").count() == 1)
        assert visitor.errors == []


def test_a_server_that_went_away_is_said_and_found_again(model, two_expressions):
    with visiting(two_expressions) as visitor:
        with running(model=model) as first:
            visitor.open(first.url)
            visitor.capture("goal", "calm")
            first.stop(signal.SIGTERM)
            visitor.wait(lambda: visitor.status == "The server is gone. Trying again …")
            assert visitor.page.is_disabled("#goal")
            visitor.wait(lambda: visitor.tone["gain"] == 0, what="silence")
        with running(f"--port={first.port}", model=model):
            visitor.wait(lambda: visitor.status == "Connected · small.onnx")
            visitor.wait(lambda: "“calm”" in visitor.page.inner_text("#detail"))


def test_without_websockets_the_page_posts(server, two_expressions):
    with visiting(two_expressions) as visitor:
        visitor.page.route_web_socket("**/ws", lambda socket: socket.close())
        visitor.page.add_init_script(
            """WebSocket = class extends EventTarget {
              constructor() {
                super();
                setTimeout(() => this.dispatchEvent(new CloseEvent("close", {code: 1006})), 10);
              }
            };"""
        )
        visitor.open(server.url)
        visitor.capture("goal", "calm")
        visitor.wait(lambda: "“calm”" in visitor.page.inner_text("#detail"))


def test_the_session_is_saved_as_csv(server, two_expressions):
    with visiting(two_expressions) as visitor:
        visitor.open(server.url)
        visitor.capture("goal", "=calm")
        visitor.wait(lambda: "“=calm”" in visitor.page.inner_text("#detail"))
        with visitor.page.expect_download() as download:
            visitor.page.click("#save")
        lines = download.value.path().read_text().splitlines()
        assert lines[0] == "seconds,goal,distance,smoothed,relative_error,tone_hz,tone_gain"
        assert lines[1].startswith('0.000,"",,,,220,0')
        assert '"\'=calm"' in lines[-1] and len(lines[-1].split(",")) == 7


def test_a_picture_without_a_face_fades_to_silence(server, playwright_, tmp_path):
    video = write_video(tmp_path / "none.y4m", [None], seconds=2)
    with (
        launched(playwright_, *FAKE, f"--use-file-for-fake-video-capture={video}") as browser,
        visiting(browser) as visitor,
    ):
        visitor.open(server.url)
        visitor.wait(lambda: visitor.word == "No face seen")
        assert visitor.tone["gain"] == 0 and visitor.page.is_hidden("#box")
        visitor.page.click("#goal")
        visitor.wait(lambda: "showed a face" in visitor.trouble)
        assert visitor.page.is_enabled("#goal")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([FAKE[1]], "The browser was not allowed to use the camera."),
        ([FAKE[0]], "No camera was found."),
    ],
    ids=["denied", "no camera"],
)
def test_a_camera_that_is_denied_or_missing_is_said_plainly(server, playwright_, flags, words):
    with launched(playwright_, *flags) as browser, visiting(browser) as visitor:
        visitor.open(server.url, start=False)
        visitor.page.click("#start")
        visitor.wait(lambda: visitor.trouble.startswith(words), what=words)
        assert visitor.page.is_visible("#start") and visitor.page.is_disabled("#goal")


def test_a_camera_in_use_and_an_insecure_page_are_said_plainly(server, two_expressions):
    for script, words in (
        (
            "navigator.mediaDevices.getUserMedia = async () => {"
            " throw new DOMException('busy', 'NotReadableError'); };",
            "The camera is in use by another program.",
        ),
        ("delete Navigator.prototype.mediaDevices;", "Browsers give a camera only to https"),
    ):
        with visiting(two_expressions) as visitor:
            visitor.page.add_init_script(script)
            visitor.open(server.url, start=False)
            visitor.page.click("#start")
            visitor.wait(lambda words=words, v=visitor: v.trouble.startswith(words), what=words)


@pytest.mark.parametrize(("hz", "gain"), [(220, 0.05), (440, 0.1), (880, 0.2)])
def test_the_pitch_and_gain_that_are_heard_are_those_of_the_tone(server, two_expressions, hz, gain):
    """Measured in the samples: zero crossings and the peak of the second half second."""
    script = """async ([hz, gain]) => {
      const { Sound } = await import("/static/sound.js");
      const context = new OfflineAudioContext(1, 48000, 48000);
      new Sound(context).play({ hz, gain }, 0);
      const samples = (await context.startRendering()).getChannelData(0).slice(24000);
      let crossings = 0;
      for (let i = 1; i < samples.length; i++) crossings += samples[i - 1] < 0 && samples[i] >= 0;
      return [crossings / 0.5, Math.max(...samples)];
    }"""
    with visiting(two_expressions) as visitor:
        visitor.open(server.url, start=False)
        heard_hz, heard_gain = visitor.page.evaluate(script, [hz, gain])
    assert heard_hz == pytest.approx(hz, abs=2) and heard_gain == pytest.approx(gain, rel=1e-3)


def test_nothing_is_loaded_from_elsewhere_and_no_rule_of_the_policy_is_broken(
    server, two_expressions
):
    with visiting(two_expressions) as visitor:
        requested = []
        visitor.page.on("request", lambda request: requested.append(request.url))
        visitor.open(server.url)
        visitor.wait(lambda: visitor.word == "Choose a goal")
        assert all(url.startswith((server.url, "blob:")) for url in requested)
        assert visitor.errors == []


def test_another_page_of_the_browser_cannot_reach_the_service(server, two_expressions, tmp_path):
    """A page of another origin, as a stranger's site is."""
    with visiting(two_expressions) as visitor:
        visitor.page.goto(f"http://localhost:{server.port}/healthz")
        script = """async (host) => {
          const post = await fetch(`http://${host}/embed`, {method: "POST", body: "x"})
            .then(() => "answered").catch(() => "failed");
          const socket = await new Promise((done) => {
            const made = new WebSocket(`ws://${host}/ws`);
            made.onopen = () => done("opened");
            made.onerror = () => done("failed");
          });
          return [post, socket];
        }"""
        visitor.page.context.add_init_script("")
        page = visitor.page.context.new_page()
        page.goto("about:blank")
        assert page.evaluate(script, server.host) == ["failed", "failed"]
        assert json.loads(visitor.page.inner_text("body"))["status"] == "ok"
