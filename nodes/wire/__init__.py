"""How satellites and ground talk: the protocol of a round, its faults, and what carries it between
processes."""
