"""A frame camera on a satellite: its attitude, the rays of its pixels, and the angles under which it sees.

The camera is turned until its middle looks at a point of the ground, with the image's upper edge ahead in the
direction of flight over the rotating Earth. A pixel is an angle: `gsd_m` at the nadir, more to the side,
where the ground is farther and slanted. The frame is taken at one instant."""

from __future__ import annotations

import math

import numpy as np

from constellation.common.frozen import value
from constellation.sight.earth import geodetic, point_km, up_at

EARTH_RATE_RAD_S = 7.2921150e-5  # WGS-84


@value
class Camera:
    """position_km, velocity_km_s: Earth-fixed, float64 [3]. axes: float64 [3, 3], rows: to the right of the
    image, to its lower edge, and where its middle looks; unit vectors. pixel_rad: angle of a pixel."""

    position_km: np.ndarray
    velocity_km_s: np.ndarray
    axes: np.ndarray
    pixel_rad: float

    def rays(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Directions of pixels, by their offset from the image's middle, px: float64 [..., 3], not unit
        vectors."""
        right, down, ahead = self.axes
        return ahead + self.pixel_rad * (cols[..., None] * right + rows[..., None] * down)

    def turned(self, roll_deg: float, pitch_deg: float) -> Camera:
        """Looking so much further to the right, and to the lower edge."""
        right, down, ahead = self.axes
        middle = ahead + math.tan(math.radians(roll_deg)) * right + math.tan(math.radians(pitch_deg)) * down
        middle = middle / np.linalg.norm(middle)
        right = right - (right @ middle) * middle
        right = right / np.linalg.norm(right)
        axes = np.stack([right, np.cross(middle, right), middle])
        return Camera(self.position_km, self.velocity_km_s, axes, self.pixel_rad)


def camera_at(state_km: np.ndarray, aim: tuple[float, float, float], gsd_m: float) -> Camera:
    """state_km: Earth-fixed position and velocity, km and km/s, float64 [6]. aim: longitude, latitude, height
    in m of what the middle looks at."""
    position, velocity = state_km[:3], state_km[3:]
    middle = point_km(aim[0], aim[1], aim[2]) - position
    middle = middle / np.linalg.norm(middle)
    down = -(velocity - (velocity @ middle) * middle)
    down = down / np.linalg.norm(down)
    height_m = float(geodetic(position)[2])
    return Camera(position, velocity, np.stack([np.cross(down, middle), down, middle]), gsd_m / height_m)


def earth_fixed_states(states_teme_km: np.ndarray, to_itrs: np.ndarray) -> np.ndarray:
    """Positions and velocities over the rotating Earth: TEME, km and km/s, float64 [T, S, 6], and rotations
    [T, 3, 3] -> float64 [T, S, 6]."""
    position = states_teme_km[..., :3] @ to_itrs.transpose(0, 2, 1)
    velocity = states_teme_km[..., 3:] @ to_itrs.transpose(0, 2, 1)
    turning = np.cross([0.0, 0.0, EARTH_RATE_RAD_S], position)
    return np.concatenate([position, velocity - turning], axis=-1)


def off_nadir_deg(position_km: np.ndarray, target_km: np.ndarray) -> np.ndarray:
    """Angle at the satellite between the normal through it, downwards, and a point: float64 [..., 3] twice ->
    float64 [...]."""
    longitude, latitude, _ = geodetic(position_km)
    return _angle_deg(-up_at(longitude, latitude), target_km - position_km)


def incidence_deg(position_km: np.ndarray, target_km: np.ndarray) -> np.ndarray:
    """Angle at the ground between the normal and the satellite, float64 [...]; 90 at the horizon."""
    longitude, latitude, _ = geodetic(target_km)
    return _angle_deg(up_at(longitude, latitude), position_km - target_km)


def azimuth_deg(target_km: np.ndarray, position_km: np.ndarray) -> np.ndarray:
    """In which direction, from north by east, a point of the ground has something: float64 [...]."""
    longitude, latitude, _ = geodetic(target_km)
    lon = np.radians(longitude)
    east = np.stack([-np.sin(lon), np.cos(lon), 0 * lon], axis=-1)
    north = np.cross(up_at(longitude, latitude), east)
    away = position_km - target_km
    return np.degrees(np.arctan2((away * east).sum(-1), (away * north).sum(-1))) % 360


def _angle_deg(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    sine = np.linalg.norm(np.cross(first, second), axis=-1)
    return np.degrees(np.arctan2(sine, (first * second).sum(-1)))
