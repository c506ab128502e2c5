"""A first round by the API: two satellites fly in this process, and the run says what was saved.

    python examples/first_round.py

Nothing is written; with `output="runs"` the run keeps a folder, which `dlrc.open` reads back."""

import dlrc

run = dlrc.run("smoke", rounds=1)
run.show()  # the table that a launched run ends with

saving, quality = run.summary.saving_pct, run.summary.quality
assert saving is not None and quality.dlrc is not None
print(f"saved {saving.total:.1f} % of all bytes at {quality.dlrc.psnr_db:.2f} dB")

for satellite in run.rounds[0].satellites:
    image = run.gallery.images(0, satellite.satellite).dlrc  # uint8 [P, P, 3], what the ground rebuilt
    assert image is not None
    print(satellite.satellite, satellite.outcome, satellite.ledger.received, "bytes", image.shape)
