#!/usr/bin/env bash
# Evaluates a run on the drawn worlds of docs/drawn_world.md: plain, each aspect alone, all of them, and the hard one.
#   bash benchmarks/drawn_worlds.sh RUN OUT [SET…]    (a minute or two per set on two cores; run it again to resume)
# Writes OUT/SET/crop.json and OUT/SET/tpa.json and prints a table. RUN must not be trained on faces of seed 100.
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
run=$(realpath "$1") out=$2
shift 2
aspects=(pose looks asymmetry partial occluders light blur camera resolution grey jpeg box)
[ $# -gt 0 ] && sets=("$@") || sets=(plain "${aspects[@]}" varied hard)
mkdir -p "$out"

prepare() {  # SET
  local folder=$out/$1 world=(--vary="$1")
  case $1 in plain | varied | hard) world=(--world="$1") ;; esac
  imagefec draw "$folder" --faces=1000 --identities=60 --triplets=1700 --test_fraction=0.9 --seed=100 "${world[@]}"
  local test=$folder/faceexp-comparison-data-test-public.csv
  imagefec fetch "$test" --cache="$folder/cache"
  imagefec crop "$test" --cache="$folder/cache" --faces="$folder/faces" --detector=blazeface --json >"$folder/crop.json"
  rm "$folder/faceexp-comparison-data-train-public.csv"  # else it is built too
  tfds build "$repository/tfds_builders/fec" --config=triplets --manual_dir="$folder" --data_dir="$folder/data"
}

for set in "${sets[@]}"; do
  compgen -G "$out/$set/data/fec/triplets/[0-9]*" >/dev/null || prepare "$set"
done
for set in "${sets[@]}"; do
  [ -s "$out/$set/tpa.json" ] && continue
  imagefec evaluate --run="$run" --data_dir="$out/$set/data" --split=test --json >"$out/$set/part.json"
  mv "$out/$set/part.json" "$out/$set/tpa.json"
done

python - "$out" "${sets[@]}" <<'END'
import json, pathlib, sys
print("set          faces found     triplets  TPA %")
for name in sys.argv[2:]:
    folder = pathlib.Path(sys.argv[1], name)
    crop, tpa = (json.loads((folder / file).read_text()) for file in ("crop.json", "tpa.json"))
    n, found = crop["n_faces"], crop["n_kept"]
    print(f"{name:12} {found:4} {100 * found / n:5.1f} %   {tpa['n_triplets']:6}    "
          f"{100 * tpa['tpa']:.1f} +- {100 * tpa['tpa_se_clustered']:.1f}")
END
