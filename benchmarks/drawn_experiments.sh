#!/usr/bin/env bash
# Runs the experiments of docs/experiments/report.md from scratch: synthetic faces, datasets, every run, the report.
#   bash benchmarks/drawn_experiments.sh OUT        (one to two hours on two cores; run it again to resume)
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1" && cd "$1"
SEEDS=(0 1 2) UDA_WEIGHTS=(0 1 10 100)

[ -f world/controls.csv ] || imagefec draw world --faces=20000 --identities=600 --triplets=60000 --seed=7 \
  --test_fraction=0.15 --validation_fraction=0.1 --people_folders
imagefec fetch world/faceexp-*.csv --cache=cache
imagefec crop world/faceexp-*.csv --cache=cache --faces=world/faces --detector=haar
tfds build "$repository/tfds_builders/fec" --config=triplets --manual_dir=world --data_dir=data
for config in triplets faces; do
  tfds build "$repository/tfds_builders/vggface2" --config=$config --manual_dir=world/people --data_dir=data
done

train() {  # RUN GIN_FILE BINDING…
  imagefec train --config_file="$2" "${@:3}" --data_dir=data --output_dir="runs/$1"
}

train small_identity small_identity.gin
for seed in "${SEEDS[@]}"; do
  for name in small_cross_entropy small_paper small_hinge_identity_uda; do
    train "$name-seed$seed" $name.gin --config="training.seed = $seed"
  done
done
# UDA from the first step slows learning (gin_configs/small_cross_entropy.md), so every weight
# continues the same run without UDA.
for seed in "${SEEDS[@]}"; do
  for weight in "${UDA_WEIGHTS[@]}"; do
    train "small_cross_entropy_uda$weight-seed$seed" small_cross_entropy_uda.gin --config="training.seed = $seed" \
      --config="training.init_checkpoint = 'runs/small_cross_entropy-seed$seed'" \
      --config="uda_consistency.weight = $weight"
  done
done
imagefec evaluate --run=runs/small_identity --data_dir=data --dataset=vggface2 --split='test[10%:]' --json
imagefec report --runs runs/*-seed? --data_dir=data --split=test --out=report
