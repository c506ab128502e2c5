"""One rank of a run: `torchrun --nproc-per-node 8 launch.py scenario=dense`; the story is in
dlrc/launch.py."""

from dlrc.launch import main

if __name__ == "__main__":
    main()
