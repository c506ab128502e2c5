"""A run, or one rank of it: `torchrun --nproc-per-node 8 launch.py scenario=dense`."""

from dlrc.__main__ import main

if __name__ == "__main__":
    main()
