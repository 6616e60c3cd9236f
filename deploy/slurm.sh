#!/bin/sh
# sbatch deploy/slurm.sh --data DIR --run runs/NAME --preset base --batch 256
# One process a node, which uses all GPUs of it; DIR and runs/ are on a file system that all see.
# Two minutes before the time is over the run is saved; submitted again it goes on.
#SBATCH --job-name=segnet
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=12:00:00
#SBATCH --signal=TERM@120
exec srun --kill-on-bad-exit=1 .venv/bin/python train.py --backend jax "$@"
