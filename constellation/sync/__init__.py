"""What the exchange between satellites costs in time."""
