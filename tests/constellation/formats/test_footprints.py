"""Footprints against pyproj and laws of polygons; scenes against czml3."""

import itertools
import json

import numpy as np
import pytest

from constellation.formats.footprints import czml_packets, footprint_corners, footprints_of, geojson, rings
from constellation.scenario.load import load_network
from constellation.show.czml import packets
from constellation.show.data import view_data
from constellation.sync.series import Setting


def place(latitude_deg, longitude_deg, height_km=550.0):
    from pyproj import Transformer

    to_xyz = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
    return np.array(to_xyz.transform(longitude_deg, latitude_deg, height_km * 1e3)) / 1e3


@pytest.mark.parametrize("where", [(0, 0), (45, 100), (-60, 179.5), (89.9, 10)])
def test_corners_lie_on_the_ellipsoid_at_the_angle_asked_for(where):
    """Against pyproj's own ellipsoid and the angle between two vectors: within a metre, and 0.0001 deg."""
    from pyproj import Transformer

    position_km = place(*where)
    corners = footprint_corners(position_km, 40.0)
    to_xyz = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
    ground_km = np.stack(to_xyz.transform(corners[:, 0], corners[:, 1], np.zeros(len(corners))), axis=1) / 1e3
    ray = ground_km - position_km
    cosine = ray @ -position_km / np.linalg.norm(ray, axis=1) / np.linalg.norm(position_km)
    assert np.degrees(np.arccos(cosine)) == pytest.approx(np.full(len(corners), 40.0), abs=1e-4)


def test_a_cone_wider_than_the_earth_ends_at_the_horizon():
    position_km = place(0, 0)
    corners = footprint_corners(position_km, 89.0)
    horizon_deg = np.degrees(np.arccos(6378.137 / (6378.137 + 550)))
    assert corners[:, 0].max() == pytest.approx(horizon_deg, abs=0.1)


@pytest.mark.parametrize(("where", "pieces"), [((10, 20), 1), ((10, 179), 2), ((89, 0), 2), ((-88, 50), 2)])
def test_polygons_are_cut_at_the_antimeridian_and_go_up_to_the_poles(where, pieces):
    from pyproj import Geod

    corners = footprint_corners(place(*where), 45.0)
    found = rings(corners)
    assert len(found) == pieces
    area = 0.0
    for ring in found:
        ring = np.array(ring)
        assert (np.abs(ring[:, 0]) <= 180).all() and (np.abs(ring[:, 1]) <= 90).all()
        assert (ring[0] == ring[-1]).all()
        dense = np.concatenate([np.linspace(a, b, 50, endpoint=False) for a, b in itertools.pairwise(ring)])
        area += Geod(ellps="WGS84").polygon_area_perimeter(*dense.T)[0]
    radius_km = np.pi * 585.0**2  # of a cone of 45 deg from 550 km, some 585 km
    assert area / 1e6 == pytest.approx(radius_km, rel=0.15)  # counter-clockwise: positive


@pytest.fixture(scope="module")
def view():
    words = ["orbit.pattern=53:24/3/1", "satellites=3", "ground.stations=Matera,Santiago"]
    knobs = load_network("edge_space_com", words)
    return view_data(Setting.of(knobs), knobs.ground, "scene", 1800.0)


def test_geojson_has_a_feature_for_each_observer_at_each_instant(view):
    prints = footprints_of(view, 45.0)
    found = json.loads(geojson(view, prints))
    assert found["type"] == "FeatureCollection" and len(found["features"]) == len(prints) == 31 * 3
    assert {feature["geometry"]["type"] for feature in found["features"]} == {"MultiPolygon"}


def test_every_packet_of_a_scene_is_czml3s(view):
    """czml3 builds each packet anew from what was written: nothing in it is foreign to CZML."""
    from czml3 import CZML_VERSION, Document, Packet
    from czml3.properties import Polygon, Polyline

    everything = [*packets(view), *czml_packets(view, footprints_of(view, 45.0)[:20])]
    assert everything[0]["version"] == CZML_VERSION
    kinds = {"polygon": Polygon, "polyline": Polyline}
    rebuilt = []
    for packet in everything[1:]:
        fields = {key: value for key, value in packet.items() if key in ("id", "name")}
        for key, kind in kinds.items():
            if key in packet:
                assert set(packet[key]) <= set(kind.model_fields)
        rebuilt.append(Packet(**fields))
    Document(packets=[Packet(id="document", name="x", version=CZML_VERSION), *rebuilt])
    ids = [packet["id"] for packet in everything]
    assert len(set(ids)) == len(ids) and {"ground", "ground-1"} <= set(ids)
