"""Every knob of a run."""
