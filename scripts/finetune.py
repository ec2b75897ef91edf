#!/usr/bin/env python3
"""`sovereign tune run` for launchers that want a script: torchrun, accelerate, SLURM.

    torchrun --nproc_per_node 8 scripts/finetune.py RECIPE [key=value …] --out DIR
    ACCELERATE_USE_CPU=true torchrun --nproc_per_node 2 scripts/finetune.py scenarios/healthcare
    accelerate launch --multi_gpu scripts/finetune.py RECIPE --out DIR

Each process makes the same plan of batches and takes its part; the first one writes. The loss of a
step is the mean over all its learnt tokens, so the curve is that of one process with
train.accumulate times as many passes.
"""

import sys

from sovereign.cli import main

if __name__ == "__main__":
    main(["tune", "run", *sys.argv[1:]])
