"""Examples made with Beam in this process; command_line_test runs `tfds build` from a shell."""

import shutil
from pathlib import Path

import pytest
import tensorflow_datasets as tfds
from apache_beam.options.pipeline_options import PipelineOptions

from tfds_builders.beam_path import run_each
from tfds_builders.fec import fec_dataset_builder
from tfds_builders.vggface2 import vggface2_dataset_builder

FEC, VGGFACE2 = fec_dataset_builder.Builder, vggface2_dataset_builder.Builder
DUMMY = Path(__file__).parent / "fec" / "dummy_data"
REQUESTED = tfds.download.DownloadConfig(beam_options=PipelineOptions([]))


def build(data_dir, manual_dir=DUMMY, config="triplets", builder_class=FEC, **more):
    builder = builder_class(data_dir=data_dir, config=config)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual_dir, **more)
    )
    return builder


@pytest.mark.parametrize(
    ("builder_class", "config"), [(FEC, "triplets"), (FEC, "faces"), (VGGFACE2, "faces")]
)
def test_every_file_is_the_same_with_and_without_beam(builder_class, config, tmp_path):
    manual = DUMMY.parents[1] / builder_class.name / "dummy_data"
    builds = [
        build(
            tmp_path / str(with_beam),
            manual,
            config,
            builder_class,
            beam_options=with_beam and PipelineOptions([]),
        )
        for with_beam in (None, True)
    ]
    here, beam = (
        {path.name: path.read_bytes() for path in Path(builder.data_dir).iterdir()}
        for builder in builds
    )
    assert len([name for name in here if ".tfrecord" in name]) == 2  # train and test
    assert here == beam


@pytest.mark.parametrize(
    "options", [{"beam_options": PipelineOptions([])}, {"beam_runner": "DirectRunner"}]
)
def test_several_shards_hold_the_same_records_in_the_same_order_with_beam(options, tmp_path):
    """Shard limits differ: TFDS splits by number in one process, by hash of the key in Beam."""
    builds = [
        build(tmp_path / "here", num_shards=3),
        build(tmp_path / "beam", num_shards=3, **options),
    ]
    assert [builder.beam is None for builder in builds] == [True, False]
    here, beam = (
        [
            record
            for shard in sorted(Path(builder.data_dir).glob("fec-train.tfrecord*"))
            for record in records(shard)
        ]
        for builder in builds
    )
    assert len(here) == 8 and here == beam


def records(shard):
    import tensorflow as tf

    return list(tf.data.TFRecordDataset(str(shard)).as_numpy_iterator())


def test_an_error_in_a_worker_reaches_the_user(tmp_path):
    shutil.copytree(DUMMY, tmp_path / "manual")
    path = next((tmp_path / "manual" / "faces").glob("*/*.png"))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(Exception, match=rf"{path.name}: .*PNG.*imagefec crop"):
        build(tmp_path / "data", tmp_path / "manual", beam_options=PipelineOptions([]))
    assert not list((tmp_path / "data").glob("fec/triplets/*"))


def test_run_each_handles_every_item_before_it_yields(tmp_path):
    done = run_each(REQUESTED, Path.touch, [tmp_path / str(n) for n in range(5)])
    assert next(done) is None
    assert len(list(tmp_path.iterdir())) == 5
    assert len(list(done)) == 4
