"""What `tfds build` prints at its end fits on a screen, and the description is still complete."""

import pathlib

import pytest

import tfds_builders
from tfds_builders.fec.fec_dataset_builder import Builder as Fec
from tfds_builders.vggface2.vggface2_dataset_builder import Builder as Vggface2


@pytest.mark.parametrize("builder_class", [Fec, Vggface2])
def test_info_shows_the_first_paragraph_and_has_the_complete_card(builder_class, tmp_path):
    info = builder_class(data_dir=tmp_path).info
    card = (pathlib.Path(tfds_builders.__file__).parent / info.name / "README.md").read_text()
    assert info.description.split() == card.split()
    assert "### Data card" in info.description
    shown = repr(info)
    assert "Data card" not in shown and len(shown.splitlines()) < 60
    first = card.partition("\n\n")[0]
    assert all(line in shown for line in first.splitlines())
    assert f"full_name='{info.full_name}'" in shown and "features=FeaturesDict" in shown
    assert info.citation in shown.replace("\n    ", "\n")
