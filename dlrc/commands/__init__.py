"""The command line of `dlrc`: the table of commands, what --help prints, and the list of finished runs."""
