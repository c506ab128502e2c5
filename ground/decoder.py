"""From the streams of a round to its latents and images: what the ground knows is the bytes, the checkpoint,
and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from codec.maps.assignment import AssignmentMap, all_kept, combined_digest
from codec.bitstream import Bitstream, unpack
from codec.models.checkpoint import CheckpointInfo
from codec.entropy.coder import DecodedLatents, EntropyCoder, StreamItem, decoder_layout
from codec.maps.coding import decode_map
from codec.models.model import LATENT_STRIDE_PX, LatentModel
from codec.surroundings import RING
from constellation.common.errors import BitstreamError
from ground.mosaic import mosaics
from ground.reconstructor import immediate_sources, reassemble, resolve


@dataclass(frozen=True)
class RoundResult:
    """What a round's streams gave, by satellite.

    streams: parsed containers. maps: assignment maps. latents: y_tilde, [M, H, W], complete where
    `unresolved` is 0. failures: why a stream gave nothing. unresolved: positions whose vector never arrived.
    images: uint8 [P, P, 3], after `synthesise`."""

    streams: dict[int, Bitstream] = field(default_factory=dict)
    maps: dict[int, AssignmentMap] = field(default_factory=dict)
    latents: dict[int, np.ndarray] = field(default_factory=dict)
    failures: dict[int, BitstreamError] = field(default_factory=dict)
    unresolved: dict[int, int] = field(default_factory=dict)
    images: dict[int, np.ndarray] = field(default_factory=dict)


class RoundDecoder:
    """Decodes rounds with one checkpoint. Streams of other checkpoints are refused, one by one."""

    def __init__(
        self, model: LatentModel, checkpoint: CheckpointInfo, device: str = "cpu", portable: bool = True
    ) -> None:
        self.model, self.checkpoint, self.device, self.portable = model, checkpoint, device, portable
        model.net.to(device)
        self._coders: dict[str, EntropyCoder] = {}

    def decode(self, streams: Mapping[int, bytes]) -> RoundResult:
        """Decode all streams of one round: parse, decode maps, then the latents in one joint schedule by
        priority, then resolve copies.

        A stream that cannot be read, and every stream that needs vectors of such a one, is reported in
        `failures`; nothing is raised."""
        result = self.parse(streams)
        kind_of = {s: (m.shape, result.streams[s].header.settings.grid) for s, m in result.maps.items()}
        for kind in sorted(set(kind_of.values())):  # one decode call takes maps of one size on one grid
            self._decode_latents(
                result, {s: m for s, m in result.maps.items() if kind_of[s] == kind}, kind[1]
            )
        return result

    def parse(self, streams: Mapping[int, bytes]) -> RoundResult:
        """Containers and assignment maps alone, without latents and images."""
        result = RoundResult()
        for satellite, data in streams.items():
            try:
                self._open(result, satellite, data)
            except BitstreamError as error:
                result.failures[satellite] = error
        return result

    def _open(self, result: RoundResult, satellite: int, data: bytes) -> None:
        stream = unpack(data)
        header, settings = stream.header, stream.header.settings
        if header.satellite != satellite:
            raise BitstreamError(f"stream of satellite {header.satellite}, expected satellite {satellite}")
        if header.weights != bytes.fromhex(self.checkpoint.sha256)[:4] or settings.model != self.model.name:
            raise BitstreamError(
                f"coded by {settings.model} with weights {header.weights.hex()}, this ground station has {self.model.name} with "
                f"{self.checkpoint.sha256[:8]}"
            )
        assignment = all_kept(header.height, header.width)
        if settings.dlrc:
            order = "checkerboard" if settings.model == "elic" else "raster"
            assignment = decode_map(
                stream.map,
                settings.map_coding,
                height=header.height,
                width=header.width,
                participants=header.participants,
                satellite=satellite,
                order=order,
            )
        result.streams[satellite] = stream
        result.maps[satellite] = assignment

    def _decode_latents(self, result: RoundResult, maps: dict[int, AssignmentMap], grid: str) -> None:
        maps = dict(maps)
        items: dict[int, StreamItem] = {}
        while len(items) != len(
            maps
        ):  # a stream whose references lead nowhere is blocked, and so may be those that need it
            items = self._items(result, maps)
            maps = {satellite: maps[satellite] for satellite in items}
        if not items:
            return
        coded = {}
        for satellite, decoded in zip(items, self._decoded(items, grid), strict=True):
            error = (
                decoded
                if isinstance(decoded, BitstreamError)
                else self._mismatch(result, satellite, decoded.y_digest)
            )
            if error is not None:
                result.failures[satellite] = error
            else:
                coded[satellite] = decoded.y_context
        self._reassemble(result, {satellite: maps[satellite] for satellite in coded}, coded)

    def _decoded(self, items: dict[int, StreamItem], grid: str) -> list[DecodedLatents | BitstreamError]:
        try:
            return self._coder(grid).decode(list(items.values()), on_error="return")
        except BitstreamError as error:  # a size or a reference that no stream of the batch survives
            return [error] * len(items)

    def _items(self, result: RoundResult, maps: dict[int, AssignmentMap]) -> dict[int, StreamItem]:
        sources = immediate_sources(maps)
        items = {}
        for slot, (satellite, assignment) in enumerate(maps.items()):
            stream = result.streams[satellite]
            context = "independent" if stream.header.settings.context == "independent" else "exact"
            try:
                layout = decoder_layout(assignment, sources[slot], list(range(len(maps))), context)
            except BitstreamError as error:
                result.failures[satellite] = error
                continue
            items[satellite] = StreamItem(stream.z, stream.y, *assignment.shape, layout)
        return items

    def _mismatch(self, result: RoundResult, satellite: int, y_digest: int) -> BitstreamError | None:
        stream = result.streams[satellite]
        found = combined_digest(y_digest, result.maps[satellite]) if stream.header.settings.dlrc else y_digest
        if found == stream.digest:
            return None
        return BitstreamError(
            f"decoded latents have digest {found:08x}, the satellite coded {stream.digest:08x}"
        )

    def _reassemble(
        self, result: RoundResult, maps: dict[int, AssignmentMap], coded: dict[int, np.ndarray]
    ) -> None:
        if not maps:
            return
        origins = resolve(maps)
        stack = np.stack([coded[satellite].reshape(coded[satellite].shape[0], -1) for satellite in maps])
        for satellite, latents, resolved in zip(
            maps, reassemble(stack, origins), origins.resolved, strict=True
        ):
            result.latents[satellite] = latents.reshape(coded[satellite].shape)
            result.unresolved[satellite] = int((~resolved).sum())

    def _coder(self, grid: str) -> EntropyCoder:
        if grid not in self._coders:
            self._coders[grid] = EntropyCoder(self.model, portable=self.portable, grid=grid)
        return self._coders[grid]

    @torch.no_grad()
    def synthesise(self, results: Mapping[str, RoundResult]) -> None:
        """x_hat = g_s(y_tilde), clamped and rounded to 8 bits, into `images`; equal latents are synthesised
        once.

        Latents that were made with a halo are given surroundings from the other streams of the round
        (ground.mosaic) before g_s."""
        done: dict[tuple[int, tuple[int, ...], bytes], np.ndarray] = {}
        for result in results.values():
            wide = {
                s: latents for s, latents in result.latents.items() if result.streams[s].header.settings.halo
            }
            mosaic_of = {satellite: mosaic for mosaic in mosaics(wide) for satellite in mosaic.corners}
            for satellite, latents in result.latents.items():
                ring = RING if satellite in wide else 0
                given = mosaic_of[satellite].surrounded(satellite) if ring else latents
                key = ring, given.shape, given.tobytes()
                if key not in done:
                    done[key] = synthesise(self.model, given, ring)
                result.images[satellite] = done[key]


@torch.no_grad()
def synthesise(model: LatentModel, latents: np.ndarray, ring: int) -> np.ndarray:
    """uint8 [16 H, 16 W, 3] from latents [M, H + 2 ring, W + 2 ring]: the ring feeds g_s and is cut off."""
    y_tilde = torch.from_numpy(latents.astype(np.float32))[None].to(model.device)
    x_hat = model.synthesis(y_tilde)[0].clamp(0, 1).permute(1, 2, 0).float().cpu().numpy()
    edge = ring * LATENT_STRIDE_PX
    return np.rint(x_hat[edge : x_hat.shape[0] - edge, edge : x_hat.shape[1] - edge] * 255).astype(np.uint8)
