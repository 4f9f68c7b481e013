"""Streams and signals of the command line, tested with real processes, pipes and signals."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

import imagefec

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(pathlib.Path(imagefec.__file__).parents[1])}
PYTHON = sys.executable


def shell(command, **options):
    """Runs a shell command in which $imagefec is the program."""
    environment = {**ENVIRONMENT, "imagefec": f"{PYTHON} -m imagefec", **options.pop("env", {})}
    return subprocess.run(
        ["bash", "-c", command], env=environment, capture_output=True, text=True, **options
    )


def python(code, *arguments, **options):
    command = [PYTHON, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, env=ENVIRONMENT, text=True, **options)


def test_closed_streams_are_opened_so_that_no_data_file_gets_their_number(tmp_path):
    code = (
        "import os, sys\nfrom imagefec.process import open_standard_streams\n"
        "open_standard_streams()\n"
        "file = open(sys.argv[1], 'w')\nassert file.fileno() > 2, file.fileno()\n"
        "print('lost'); print('lost', file=sys.stderr); os.write(2, b'lost')\n"
        "file.write('whole')\n"
    )
    path = tmp_path / "data"
    done = subprocess.run(["bash", "-c", f"{PYTHON} -c \"{code}\" {path} 0<&- 1>&- 2>&-"],
                          env=ENVIRONMENT)  # fmt: skip
    assert done.returncode == 0 and path.read_text() == "whole"


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&- 2>&-"])
def test_a_verb_works_with_closed_streams(closed, tmp_path):
    done = shell(f"$imagefec draw {tmp_path}/a --faces=450 --identities=9 --triplets=9 {closed}")
    assert done.returncode == 0
    assert len(list((tmp_path / "a").glob("*.csv"))) == 6


@pytest.mark.parametrize("arguments", ["--help", "draw --help", "doctor --quiet"])
def test_a_reader_that_stops_reading_causes_no_noise(arguments):
    done = shell(f"set -o pipefail; $imagefec {arguments} | true", timeout=120)
    assert done.returncode in (0, 141) and done.stderr == ""


def test_text_that_the_terminal_cannot_show_is_escaped(tmp_path):
    folder = tmp_path / "größer"
    done = shell(
        f"$imagefec draw '{folder}' --faces=450 --identities=9 --triplets=9",
        env={"PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == str(folder).replace("ö", "\\xf6").replace("ß", "\\xdf")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_stops_a_verb_with_one_line_and_no_temporary_files(number, code, tmp_path):
    command = [PYTHON, "-m", "imagefec", "draw", tmp_path / "a", "--faces=4000"]
    process = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.rglob("*.jpg")):
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait(timeout=60) == code
    *progress, line = process.stderr.read().strip().splitlines()
    assert line == "imagefec draw: stopped; rerun the same command to resume."
    assert all(said.startswith("draw:") or not said for said in progress)


def test_a_signal_that_is_ignored_stays_ignored():
    code = (
        "import os, signal\nfrom imagefec.process import StopSignals\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "with StopSignals():\n  os.kill(os.getpid(), signal.SIGHUP)\n"
        "print('alive')\n"
    )
    process = python(code, stdout=subprocess.PIPE)
    assert process.communicate()[0] == "alive\n" and process.returncode == 0


def test_a_child_started_in_the_block_survives_ctrl_c_and_the_parent_does_not():
    code = (
        "import signal, subprocess, sys, time\n"
        "from imagefec.process import children_ignore_ctrl_c\n"
        "with children_ignore_ctrl_c():\n"
        "  child = subprocess.Popen([sys.executable, '-c',\n"
        "    'import time; print(1, flush=True); time.sleep(2)'], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "try: print('ready', flush=True); time.sleep(60)\n"
        "except KeyboardInterrupt: print(child.wait(), flush=True)\n"
    )
    process = python(code, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGINT)
    assert process.stdout.readline() == "0\n"
    assert process.wait(timeout=30) == 0


def test_ctrl_c_in_the_block_reaches_the_parent_at_its_end():
    code = (
        "import os, signal\n"
        "from imagefec.process import children_ignore_ctrl_c\n"
        "try:\n"
        "  with children_ignore_ctrl_c():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('in the block', flush=True)\n"
        "  print('lost', flush=True)\n"
        "except KeyboardInterrupt: print('stopped', flush=True)\n"
    )
    process = python(code, stdout=subprocess.PIPE)
    assert process.communicate()[0] == "in the block\nstopped\n"


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_that_a_librarys_thread_gets_waits_until_the_child_has_started(name):
    code = (
        "import signal, threading, time\n"
        "from imagefec.process import Stopped, StopSignals, children_ignore_ctrl_c\n"
        "go = threading.Event()\n"
        "def get():\n"
        "  go.wait()\n"
        "  for _ in range(2): signal.pthread_kill(threading.get_ident(), signal.NAME)\n"
        "thread = threading.Thread(target=get)\n"
        "thread.start()\n"  # before the block, so that it does not block the signal
        "try:\n"
        "  with StopSignals():\n"
        "    with children_ignore_ctrl_c():\n"
        "      go.set(); thread.join(); time.sleep(0.2)\n"
        "      print('in the block', flush=True)\n"
        "    time.sleep(30)\n"
        "except Stopped as stopped: print('stopped', stopped.number, flush=True)\n"
    ).replace("NAME", name)
    process = python(code, stdout=subprocess.PIPE)
    number = int(getattr(signal, name))
    assert process.communicate(timeout=60)[0] == f"in the block\nstopped {number}\n"


def test_a_stopped_command_ends_at_once_whatever_its_libraries_do_as_they_exit():
    code = (
        "import atexit, os, signal\n"
        "from imagefec import cli\n"
        "atexit.register(lambda: os.kill(os.getpid(), signal.SIGSEGV))\n"
        "def stopped(*_): os.kill(os.getpid(), signal.SIGTERM)\n"
        "cli._run = stopped\n"
        "import sys; sys.exit(cli.main())\n"
    )
    process = python(code, stdout=subprocess.PIPE)
    process.communicate(timeout=60)
    assert process.returncode in (143, 130)


STOP_IN_IMPORT = """
import os, pathlib, signal, sys
from imagefec.process import Stopped, StopSignals
sys.path.insert(0, sys.argv[1])
pathlib.Path(sys.argv[1], "slow.py").write_text(
    "import os, signal, time\\n"
    "for _ in range(int(os.environ['TIMES'])): os.kill(os.getpid(), signal.SIGTERM)\\n"
    "time.sleep(0.3)\\n"
    "print('imported', flush=True)\\n"
)
with StopSignals() as signals:
    try:
        import slow
        import time
        time.sleep(30)
    except Stopped as stopped:
        print("stopped by", stopped.number, flush=True)
"""


@pytest.mark.parametrize(
    ("times", "said", "code"), [(1, "imported\nstopped by 15\n", 0), (2, "", 143)]
)
def test_a_signal_waits_for_the_end_of_an_import_and_a_second_one_does_not(
    times, said, code, tmp_path
):
    done = subprocess.run(
        [PYTHON, "-c", STOP_IN_IMPORT, tmp_path],
        env={**ENVIRONMENT, "TIMES": str(times)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr, done.returncode) == (said, "", code)


def test_a_signal_in_a_finalizer_is_neither_lost_nor_printed():
    code = (
        "import os, signal, time\n"
        "from imagefec.process import Stopped, StopSignals\n"
        "class Finalized:\n"
        "  def __del__(self): os.kill(os.getpid(), signal.SIGINT); time.sleep(0.01)\n"
        "with StopSignals() as signals:\n"
        "  try:\n"
        "    finalized = Finalized(); del finalized; time.sleep(30)\n"
        "  except Stopped: print('stopped', signals.received)\n"
    )
    process = python(code, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.communicate(timeout=60) == ("stopped 2\n", "") and process.returncode == 0
