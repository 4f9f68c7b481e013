"""Identity datasets: VGGFace2 and other folders of photos by person, from files to examples."""
