"""Knobs of coding: the learned codec, and what satellites do together (DLRC)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from constellation.common.knobs import Knobs, Word


class CodecKnobs(Knobs):
    """Learned image compression: model, checkpoint, and the rules of coding."""

    model: Word = "bmshj"
    """a family of codec/models: bmshj, mbt, cheng, elic"""
    lambda_: Annotated[float, Field(gt=0, le=10, alias="lambda")] = 0.013
    """trade of rate for quality; picks the shipped checkpoint"""
    weights: str = ""
    """a checkpoint file; none: the shipped one; zoo: CompressAI's"""
    grid: Literal["fixed", "centred"] = "fixed"
    """round(y), or round(y - mean) + mean as CompressAI does"""
    context: Literal["exact", "independent", "open"] = "exact"
    """of context models across dropped vectors; open: an estimate only"""
    portable: bool = True
    """whole-number entropy parameters, alike on every machine"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where the networks run"""


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
    dedup: Literal["signature", "footprint"] = "signature"
    """by what is seen, or by where one looks"""
    map_coding: Literal["successor", "lzma"] = "successor"
    """of the assignment map"""
