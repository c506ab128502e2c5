#!/usr/bin/env bash
# What only a machine with a GPU can show, in under ten minutes: examples/cluster/gpu_check.sh [FOLDER]
#   1. the main job with its networks on the GPU: all satellites in one rank, as a rank needs a GPU of its own
#   2. its streams, decoded once more where no GPU is seen: entropy parameters are whole numbers everywhere
#   3. streams under six kinds of arithmetic, and one training step on the GPU
# Stops at the first that fails. Without a GPU: one line, exit code 77, "skipped".
set -euo pipefail
home=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
to=${1:-$(mktemp -d)}
if ! "$home/launch.sh" python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
  echo "skipped: no GPU here" >&2
  exit 77
fi
cd "$home"
./launch.sh scenario=dense satellites_per_rank=8 codec.device=cuda "output=$to/gpu"
for run in "$to"/gpu/dense-*/; do
  CUDA_VISIBLE_DEVICES='' ./launch.sh decode "streams=$run" "out=$to/images" > "$to/decoded.txt"
done
echo "$(wc -l < "$to/decoded.txt") images from streams made on the GPU, decoded without it"
./launch.sh bench exactness patches=24
./launch.sh train model=bmshj lambda=0.013 "data=$to/images" val_share=0 steps=1 batch=2 crop=128 n=16 m=24 \
  device=cuda "out=$to/step.safetensors"
