#!/usr/bin/env bash
# Runs the experiments of gin_configs/photos.md on synthetic faces: a run on varied faces, options of augmentation, own photos.
#   bash benchmarks/photo_recipes.sh QUICKSTART OUT    (three hours on one core; run it again to resume)
# QUICKSTART is the folder of `imagefec quickstart --seed=0`. Results: OUT/sets, OUT/options, OUT/own_runs.
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
quickstart=$(realpath "$1")
mkdir -p "$2" && cd "$2"

build() {  # FOLDER
  imagefec fetch "$1"/faceexp-*.csv --cache="$1/cache"
  imagefec crop "$1"/faceexp-*.csv --cache="$1/cache" --faces="$1/faces" --detector=blazeface
  for config in faces index; do
    tfds build "$repository/tfds_builders/fec" --config=$config --manual_dir="$1" --data_dir="$1/data"
  done
}

world() {  # FOLDER, flags of draw
  imagefec draw "$1" --test_fraction=0.18 --validation_fraction=0.1 "${@:2}"
  build "$1"
}

# A run on varied faces, and the shift set.
world varied --world=varied --faces=20000 --identities=660 --triplets=54000 --seed=1
imagefec train --config_file=varied.gin --data_dir=varied/data --output_dir=runs/varied \
  --config="training.init_checkpoint = '$quickstart/run'"
bash "$repository/benchmarks/drawn_worlds.sh" runs/varied sets plain pose box varied hard

# Options of augmentation and regularisation, from quickstart's run, on frontal faces that nothing hides.
world easy --vary=looks,light,camera,asymmetry,partial --faces=5000 --identities=165 --triplets=13500 --seed=4
python "$repository/benchmarks/augmentation_options.py" easy/data options --init="$quickstart/run" --shifted=varied/data

# Labelled photos of 100 people, as somebody would bring them.
if [ ! -d own ]; then
  imagefec draw drawn --world=varied --faces=3000 --identities=100 --triplets=9000 --seed=5
  python "$repository/benchmarks/labelled_folders.py" drawn portraits
  imagefec triplets portraits --by=folders:label/person --boxes=blazeface --triplets=12000 --out=own
fi
build own

own_run() {  # NAME SEED BINDING…
  local run=own_runs/$1-$2
  [ -s "$run.json" ] && return
  imagefec train --config_file=photos.gin --data_dir=own/data --output_dir="$run" --config="training.seed = $2" "${@:3}"
  imagefec evaluate --run="$run" --data_dir=own/data --annotations own --json >"$run.part"
  mv "$run.part" "$run.json"
}

for seed in 0 1 2; do
  own_run scratch $seed --config='training.init_checkpoint = None' --config='steps = 1500' \
    --config='warmup_cosine.learning_rate = 5e-3'
  own_run quickstart $seed --config="training.init_checkpoint = '$quickstart/run'"
  own_run varied $seed
  own_run varied_no_geometry $seed --config='Augment.rotation = 0' --config='Augment.scale = 0' \
    --config='Augment.translation = 0'
  for weight in 0.3 1; do
    own_run "varied_removal_$weight" $seed --config="identity_removal.weight = $weight" \
      --config='training.annotations = "own/persons.csv"'
  done
done
# The same without training on these photos.
imagefec evaluate --run="$quickstart/run" --data_dir=own/data --annotations own --json >own_runs/quickstart_untrained-0.json
imagefec evaluate --run=runs/varied --data_dir=own/data --annotations own --json >own_runs/varied_untrained-0.json

python - <<'END'
import json, pathlib, statistics
print("run                   TPA              odd one the same person   nearest the same person")
results = {}
for path in sorted(pathlib.Path("own_runs").glob("*.json")):
    results.setdefault(path.stem.rpartition("-")[0], []).append(json.loads(path.read_text()))
for name, each in results.items():
    tpa = [one["tpa"] for one in each]
    error = f" ± {statistics.stdev(tpa) / len(tpa) ** 0.5:.3f}" if len(tpa) > 1 else ""
    near = [one["neighbours"] for one in each]
    odd = statistics.mean(one["same_person_odd"]["tpa"] for one in near)
    same = statistics.mean(one["same_person"]["1"]["share"] for one in near)
    print(f"{name:20} {statistics.mean(tpa):.3f}{error:8} {odd:18.3f} {same:25.3f}")
END
