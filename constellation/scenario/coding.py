"""Knobs of coding: the learned codec, and what satellites do together (DLRC)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from constellation.common.knobs import ADDED, Knobs, Says, Several, Word

BY_STREAMS = ("conditional", "hybrid")  # of `dlrc.dedup`: those that need the others' streams
RULE = r"^(bits|overlap|[A-Za-z_][A-Za-z0-9_.]{0,150}:[A-Za-z_][A-Za-z0-9_]{0,40})$"


class CodecKnobs(Knobs):
    """Learned image compression: model, checkpoint, and the rules of coding."""

    model: Word = "bmshj"
    """a family of codec/models: bmshj, mbt, cheng, elic, or elic's decoder behind rsllic or cosmic"""
    models: Annotated[Several[Word] | None, ADDED] = None
    """encoders of a mixed fleet, elic,elic,rsllic: satellite s flies number s, and so on in turn; they need
    the decoder of `codec.model`"""
    lambda_: Annotated[float, Field(gt=0, le=10, alias="lambda")] = 0.013
    """trade of rate for quality; picks the shipped checkpoint"""
    weights: str = ""
    """a checkpoint, also CompressAI's .pth.tar; none: the shipped one; zoo: CompressAI's"""
    norm: Annotated[Literal["", "frozen", "group", "position", "none"], ADDED] = ""
    """of rsllic's dynamic kernels, which the checkpoint must have; none given: whatever it has"""
    grid: Literal["fixed", "centred"] = "fixed"
    """round(y), or round(y - mean) + mean as CompressAI does"""
    context: Literal["exact", "independent", "open"] = "exact"
    """of context models across dropped vectors; open: an estimate only"""
    portable: bool = True
    """whole-number entropy parameters, alike on every machine"""
    portable_pictures: Annotated[bool, ADDED] = False
    """pictures that are the same to the bit everywhere, with a digest in the stream; fixed grid"""
    prediction: Annotated[str, ADDED] = ""
    """a file of weights that predict from other views; none: the shipped ones of the checkpoint"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where the networks run"""

    @property
    def said(self) -> str:
        """The model, and who flies another encoder, in words."""
        return f"{self.model} behind {', '.join(self.models)} in turn" if self.models else self.model

    @property
    def flown(self) -> tuple[str, ...]:
        """The encoders of satellites 0, 1, ..., in turn."""
        return self.models or (self.model,)

    @model_validator(mode="after")
    def _a_portable_picture_is_of_integers(self) -> CodecKnobs:
        if self.portable_pictures and self.grid != "fixed":
            raise ValueError(f"codec.portable_pictures=true with codec.grid={self.grid}: expected fixed")
        return self


class DlrcKnobs(Knobs):
    """Distributed latent representation clustering (sections 3.3 to 3.5)."""

    enabled: bool = True
    """false: every satellite codes everything itself"""
    k: Annotated[int, Field(ge=1, le=64)] = 20
    """hash rounds of a signature"""
    rotation: Literal["hadamard", "dense"] = "hadamard"
    """of the hash"""
    magnitude: bool = True
    """hash a vector's length beside its direction; the paper does not"""
    signature: Literal["lsh", "content"] = "lsh"
    """locality-sensitive, or of the exact content"""
    representative: Literal["original", "mean"] = "mean"
    """of a cluster of vectors on board"""
    exchange: Annotated[Literal["signatures", "streams"], ADDED] = "signatures"
    """what satellites send each other: signatures of vectors, or their independent streams"""
    dedup: Literal["signature", "footprint", "conditional", "hybrid"] = "signature"
    """by what is seen, or by where one looks; with streams: prediction alone, or with exact copies"""
    references: Annotated[int, Field(ge=1, le=8), ADDED] = 2
    """how many of the streams heard predict one patch, at most"""
    reference_rule: Annotated[str, Field(pattern=RULE), Says("bits, overlap or module:function"), ADDED] = (
        "overlap"
    )
    """which they are: by measured bits, by footprints, or module:function of your own"""
    memory: Annotated[Literal["none", "rounds"], ADDED] = "none"
    """whether streams may refer to views of earlier rounds that the ground accepted"""
    memory_rounds: Annotated[int, Field(ge=1, le=31), ADDED] = 8
    """that are kept, on board and at the ground"""
    listen: Annotated[bool, ADDED] = False
    """satellites that do not look hear and keep the streams of those that do, as far as links reach; with
    memory"""
    map_coding: Literal["successor", "lzma"] = "successor"
    """of the assignment map"""

    @model_validator(mode="after")
    def _what_is_sent_is_what_is_used(self) -> DlrcKnobs:
        if self.enabled and (self.exchange == "streams") != (self.dedup in BY_STREAMS):
            kinds = BY_STREAMS if self.exchange == "streams" else ("signature", "footprint")
            raise ValueError(
                f"dlrc.dedup={self.dedup} with dlrc.exchange={self.exchange}: expected dlrc.dedup="
                f"{' or '.join(kinds)}, or dlrc.exchange="
                f"{'signatures' if self.exchange == 'streams' else 'streams'}"
            )
        if self.memory != "none" and not self.enabled:
            raise ValueError(f"dlrc.memory={self.memory}: needs dlrc.enabled=true, found false")
        if self.memory != "none" and self.dedup == "footprint":
            raise ValueError(
                f"dlrc.memory={self.memory} with dlrc.dedup=footprint: a place that was seen once would "
                "never be sent again; expected dlrc.dedup=signature"
            )
        if self.listen and not (self.remembers and self.streams):
            raise ValueError(
                "dlrc.listen=true: who does not look hears for later rounds alone, needs dlrc.memory=rounds "
                f"and dlrc.exchange=streams, found {self.memory} and {self.exchange}"
            )
        return self

    @property
    def remembers(self) -> bool:
        """Whether both ends keep earlier rounds."""
        return self.enabled and self.memory == "rounds"

    @property
    def streams(self) -> bool:
        """Whether satellites send each other streams and predict from them."""
        return self.enabled and self.exchange == "streams"
