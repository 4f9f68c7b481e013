#!/usr/bin/env bash
# The experiments of docs/experiments/report.md from nothing: a drawn world, its datasets, every run, the report.
#   bash benchmarks/drawn_experiments.sh OUT        (an hour or two on two cores; killed and started again, it goes on)
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1" && cd "$1"
STEPS=3000 MORE_STEPS=2000 SEEDS=(0 1 2) UDA_WEIGHTS=(0 1 10 100)

[ -f world/controls.csv ] || imagefec draw world --faces=20000 --identities=600 --triplets=60000 --seed=7 \
  --test_fraction=0.15 --validation_fraction=0.1 --people_folders
imagefec fetch world/faceexp-*.csv --cache=cache
imagefec crop world/faceexp-*.csv --cache=cache --faces=world/faces --detector=haar
tfds build "$repository/tfds_builders/fec" --config=triplets --manual_dir=world --data_dir=data
for config in triplets faces; do
  tfds build "$repository/tfds_builders/vggface2" --config=$config --manual_dir=world/people --data_dir=data
done

train() {  # NAME GIN_FILE BINDING…: small.gin's network goes over the file's ResNet-50
  local name=$1 file=$2
  imagefec train --config_file="$file" --config_file=small.gin "${@:3}" --data_dir=data --output_dir="runs/$name"
}

train identity identity.gin --config='steps = 1500' --config='training.steps_per_eval = 300' \
  --config='training.stop_at_tpa = 0.0' --config='training.eval_split = "test[:10%]"'
for seed in "${SEEDS[@]}"; do
  both=(--config="steps = $STEPS" --config="training.seed = $seed")
  train "best-seed$seed" best.gin "${both[@]}"
  train "paper-seed$seed" paper.gin "${both[@]}"
  train "clarify-seed$seed" clarify.gin "${both[@]}"
done
# UDA from the start holds learning back (gin_configs/best.md), so each weight goes on from the same run without it.
for seed in "${SEEDS[@]}"; do
  for weight in "${UDA_WEIGHTS[@]}"; do
    train "continued-uda$weight-seed$seed" best.gin --config="steps = $MORE_STEPS" --config="training.seed = $seed" \
      --config="training.init_checkpoint = 'runs/best-seed$seed'" --config='warmup_cosine.learning_rate = 2e-3' \
      --config='uda_consistency.distance = "squared_l2"' --config="uda_consistency.weight = $weight"
  done
done
imagefec evaluate --run=runs/identity --data_dir=data --dataset=vggface2 --split='test[10%:]' --json
imagefec report --runs runs/*-seed? --data_dir=data --split=test --out=report
