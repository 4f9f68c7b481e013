#!/usr/bin/env bash
# Which start serves labelled photographs of new people: a folder of varied drawn faces stands for the photographs.
#   imagefec quickstart --output_dir=quickstart0 --seed=0
#   bash benchmarks/own_photos.sh quickstart0/run OUT [SEED…]     (about an hour on one core with two seeds; rerun it to resume)
# Trains a run on varied faces with the people of the quickstart (docs/drawn_world.md), then on triplets of labels of 100 new people
# in five ways, and prints their figures on people whom no training has seen.
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
quickstart=$(realpath "$1") out=$2
shift 2
[ $# -gt 0 ] && seeds=("$@") || seeds=(0 1)
mkdir -p "$out" && cd "$out"

build() {  # FOLDER
  compgen -G "$1/data/fec/index/[0-9]*" >/dev/null && return
  imagefec fetch "$1"/faceexp-*.csv --cache="$1/cache"
  imagefec crop "$1"/faceexp-*.csv --cache="$1/cache" --faces="$1/faces" --detector=blazeface
  for config in faces index; do
    tfds build "$repository/tfds_builders/fec" --config=$config --manual_dir="$1" --data_dir="$1/data"
  done
}

train() {  # RUN DATA BINDING…
  local bindings=() run=$1 data=$2
  for binding in "${@:3}"; do bindings+=(--config="$binding"); done
  [ -f "$run/history.json" ] || imagefec train --config_file=quickstart.gin "${bindings[@]}" --data_dir="$data" --output_dir="$run"
}

[ -f varied/controls.csv ] || imagefec draw varied --world=varied --faces=10000 --identities=330 --triplets=26700 \
  --test_fraction=0.18 --validation_fraction=0.1 --seed=0
build varied
train runs/varied varied/data "steps = ${VARIED_STEPS:-2000}" "training.init_checkpoint = '$quickstart'" \
  "warmup_cosine.learning_rate = 2e-3"

# Photographs in folders by label and person, as somebody's own.
[ -f drawn/controls.csv ] || imagefec draw drawn --world=varied --faces=3000 --identities=100 --triplets=9000 --seed=4
[ -d own ] || python - <<'END'
import collections, csv, pathlib, shutil
lines = list(csv.DictReader(open("drawn/controls.csv")))
person = {(r["image"], r["position"]): r["identity"] for r in csv.DictReader(open("drawn/identities.csv"))}
n = collections.Counter(r["image"] for r in lines)
for r in lines:
    if n[r["image"]] == 1:
        to = pathlib.Path("portraits", r["word"], person[r["image"], r["position"]])
        to.mkdir(parents=True, exist_ok=True)
        shutil.copy("drawn/" + r["image"], to)
END
[ -f own/report.json ] || imagefec triplets portraits --by=folders:label/person --boxes=blazeface --triplets=12000 --out=own
build own

own() {  # NAME SEED BINDING…
  train "runs/$1-seed$2" own/data "steps = ${STEPS:-600}" "training.steps_per_eval = 200" "training.seed = $2" "${@:3}"
}
from() { echo "training.init_checkpoint = '$1'"; }
slow="warmup_cosine.learning_rate = 2e-3"
for seed in "${seeds[@]}"; do
  own scratch "$seed"
  own quickstart "$seed" "$(from "$quickstart")" "$slow"
  own varied "$seed" "$(from runs/varied)" "$slow"
  for weight in 0.3 1; do
    own "removal$weight" "$seed" "$(from runs/varied)" "$slow" "identity_removal.weight = $weight" \
      "training.annotations = 'own/persons.csv'"
  done
done

for run in runs/*; do
  data=own/data annotations=(--annotations own)
  [ "$run" = runs/varied ] && data=varied/data annotations=()
  for split in validation test; do
    [ -s "$run/$split.json" ] && continue
    imagefec evaluate --run="$run" --data_dir="$data" --split=$split "${annotations[@]}" --json >"$run/part.json"
    mv "$run/part.json" "$run/$split.json"
  done
done
python - <<'END'
import json, pathlib
print(f"{'run':20} validation      test   same person odd   nearest the same person (chance)")
for run in sorted(pathlib.Path("runs").iterdir()):
    validation, test = (json.loads((run / f"{split}.json").read_text()) for split in ("validation", "test"))
    line = f"{run.name:20} {validation['tpa']:10.3f}   {test['tpa']:.3f} +- {test['tpa_se_clustered']:.3f}"
    if "neighbours" in test:
        odd, same = test["neighbours"]["same_person_odd"], test["neighbours"]["same_person"]["1"]
        line += f"   {odd['tpa']:.3f}   {same['share']:.3f} ({same['chance']:.3f})"
    print(line)
END
