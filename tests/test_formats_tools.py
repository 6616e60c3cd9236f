"""Annotation tools: CVAT's XML and VIA, pixel by pixel."""

import json

import numpy as np
import pytest
from sources import photo, read_source, real_data, text
from test_formats_separate import drawn

from cli import Refusal
from data.formats import Objects


def around(x, y, radius_x, radius_y, degrees=0.0):
    """(certainly inside, certainly outside) of an ellipse: pixels whose centre is 0.75 off."""
    down, right = np.mgrid[:20, :24] + 0.5
    turn = np.radians(degrees)
    across = (right - x) * np.cos(turn) + (down - y) * np.sin(turn)
    along = (down - y) * np.cos(turn) - (right - x) * np.sin(turn)

    def within(by):
        return (across / (radius_x + by)) ** 2 + (along / (radius_y + by)) ** 2 <= 1

    return within(-0.75), ~within(0.75)


def cvat(folder, *shapes, labels=("cat", "dog"), image='name="a.png" width="24" height="20"'):
    photo(folder / "images/a.png", 0)
    named = "".join(f"<label><name>{name}</name></label>" for name in labels)
    head = f"<annotations><meta><task><labels>{named}</labels></task></meta>"
    text(folder / "annotations.xml", head, f"<image {image}>", *shapes, "</image></annotations>")
    return folder


def test_cvat_draws_by_z_order_then_by_place(tmp_path):
    """An rle counts pixels row by row in its box, first those outside."""
    cvat(
        tmp_path,
        '<polygon label="dog" points="2,3;12,3;12,15;2,15" z_order="1"/>',
        '<box label="cat" xtl="1" ytl="4" xbr="6" ybr="8" z_order="0"/>',
        '<box label="cat" xtl="10" ytl="4" xbr="16" ybr="8" z_order="1"/>',
        '<mask label="cat" rle="1, 3, 2" left="20" top="18" width="3" height="2" z_order="2"/>',
    )
    found = read_source("cvat-xml", tmp_path)
    assert found.classes == ["background", "cat", "dog"] and not found.broken
    mask, objects = drawn(found)["a"]
    wanted = np.full((20, 24), "background", object)
    wanted[4:8, 1:6] = "cat"
    wanted[3:15, 2:12] = "dog"
    wanted[4:8, 10:16] = "cat"
    wanted[18, 21:23] = wanted[19, 20] = "cat"
    assert (mask == wanted).all()
    assert (objects.read, objects.drawn, objects.boxes) == (4, 4, 0)
    assert found.notes == (
        "2 rectangles are drawn filled; if they are frames around objects, add --boxes void",
    )


def test_cvat_boxes_may_be_frames(tmp_path):
    cvat(
        tmp_path,
        '<polygon label="dog" points="2,3;6,3;6,5;2,5"/>',
        '<box label="cat" xtl="1" ytl="2" xbr="8" ybr="9"/>',
    )
    found = read_source("cvat-xml", tmp_path, "--boxes", "void")
    mask, objects = drawn(found)["a"]
    assert (mask == "dog").sum() == 8 and (mask == "-").sum() == 7 * 7 - 8
    assert (objects.drawn, objects.boxes, found.notes) == (1, 1, ())


@pytest.mark.parametrize("turn", [0, 30, 90])
def test_cvat_ellipses(tmp_path, turn):
    cvat(tmp_path, f'<ellipse label="cat" cx="12" cy="10" rx="8" ry="4" rotation="{turn}"/>')
    mask, _ = drawn(read_source("cvat-xml", tmp_path))["a"]
    inside, outside = around(12, 10, 8, 4, turn)
    assert (mask[inside] == "cat").all() and (mask[outside] == "background").all()
    assert inside.sum() > 50


def test_cvat_turns_a_box_about_its_centre(tmp_path):
    """10 wide and 4 high about (12, 10), a quarter turn: 4 wide and 10 high."""
    cvat(tmp_path, '<box label="cat" xtl="7" ytl="8" xbr="17" ybr="12" rotation="90"/>')
    mask, _ = drawn(read_source("cvat-xml", tmp_path))["a"]
    wanted = np.zeros((20, 24), bool)
    wanted[5:15, 10:14] = True
    assert ((mask == "cat") == wanted).all()


def test_cvat_boxes_around_what_has_no_area_are_void(tmp_path):
    """Five pixels wider than the points, below what is drawn."""
    cvat(
        tmp_path,
        '<polyline label="cat" points="10,8;12,8"/>',
        '<skeleton label="cat"><points label="leg" points="22,19"/>'
        '<points label="leg" points="23,19"/><points label="leg" points="1,1" outside="1"/>'
        "</skeleton>",
        '<cuboid label="cat" xtl1="1" ytl1="17" xbr2="2" ybr2="18"/>',
        '<polygon label="dog" points="6,4;9,4;9,6;6,6"/>',
    )
    found = read_source("cvat-xml", tmp_path)
    mask, objects = drawn(found)["a"]
    wanted = np.full((20, 24), "background", object)
    wanted[3:13, 5:17] = "-"
    wanted[14:, 17:] = "-"
    wanted[12:, :7] = "-"
    wanted[4:6, 6:9] = "dog"
    assert (mask == wanted).all()
    assert objects == Objects(4, 1, boxes=3) and found.objects == 4
    assert found.notes == (
        "shapes that have no area: 1 polyline, 1 skeleton, 1 cuboid; draw outlines to train on "
        "these objects",
    )


def test_cvat_names_what_has_no_area_or_no_label(tmp_path):
    """Nobody knows how far an object at a single point extends: all is void."""
    others = '<points label="cat" points="1,2"/><polyline label="cat" points="1,2;3,4"/>'
    cvat(
        tmp_path,
        others + '<skeleton label="cat"><points label="leg" points="1,2"/></skeleton>',
        '<cuboid label="cat" xtl1="1"/><polygon label="" points="1,2;5,2;5,6"/>',
        '<polygon label="cat" points="1,1;9,1"/>',
        "<tag label='cat'/>",
    )
    mask, objects = drawn(read_source("cvat-xml", tmp_path))["a"]
    assert (objects.read, objects.boxes, objects.empty) == (6, 4, 1) and (mask == "-").all()
    (told,) = objects.skipped
    assert told.endswith("a.png, polygon 4 () has no label: its pixels are void")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ('<polygon label="cat" points="1,2;x,3;4,5"/>', "points is 'x'; needed: a number"),
        ('<mask label="cat" rle="1, 3" left="0" top="0" width="3" height="2"/>', "4 pixels"),
        ('<mask label="cat" rle="6" left="0.5" top="0" width="3" height="2"/>', "left is 0.5"),
        ('<box label="cat" xtl="1" ytl="nan" xbr="3" ybr="4"/>', "ytl is 'nan'"),
        ('<sphere label="cat"/>', "unknown shape, 'sphere'"),
    ],
)
def test_cvat_damaged_shapes(tmp_path, shape, message):
    found = read_source("cvat-xml", cvat(tmp_path, shape))
    with pytest.raises(Refusal, match=message):
        found.items[0].mask()


def test_cvat_doctype_video_and_depth_are_refused(tmp_path):
    photo(tmp_path / "a.png", 0)
    entity = '<!DOCTYPE x [<!ENTITY e "ha">]><annotations>&e;</annotations>'
    for content, message in (
        (entity, "has a DOCTYPE"),
        (entity.encode("utf-16"), "has a DOCTYPE"),
        ("<annotations><track id='0'/></annotations>", "CVAT for video"),
        ("<a>" * 60 + "</a>" * 60, "more than 50 elements"),
        ("<annotations>", "cannot be read"),
        ("<annotation/>", "no XML file with <annotations>"),
    ):
        raw = content if isinstance(content, bytes) else content.encode()
        (tmp_path / "annotations.xml").write_bytes(raw)
        with pytest.raises(Refusal, match=message):
            read_source("cvat-xml", tmp_path)


def test_cvat_subsets_are_splits():
    source = real_data("datumaro_fixtures/cvat_dataset/for_images/export_project")
    found = read_source("cvat-xml", source)
    assert sorted(item.split for item in found.items) == ["test"] * 2 + ["train"] * 2 + ["val"] * 2
    for item in found.items:
        assert item.image.parent.name == {"val": "Validation"}.get(item.split, item.split.title())


def via_region(kind, value, **shape):
    return {"shape_attributes": {"name": kind, **shape}, "region_attributes": value}


def via(folder, regions, wrap=None):
    photo(folder / "a.png", 0)
    tree = {"a.png99": {"filename": "a.png", "size": 99, "regions": regions}}
    text(folder / "via.json", json.dumps({wrap: tree} if wrap else tree))
    return folder


@pytest.mark.parametrize("wrap", [None, "_via_img_metadata"])
@pytest.mark.parametrize("as_table", [False, True])
def test_via_regions(tmp_path, wrap, as_table):
    """An export or a project, with a list as VIA 2 or a table as VIA 1; the smaller on top."""
    regions = [
        via_region("polygon", {"kind": "dog"}, all_points_x=[3, 5, 5, 3],
                   all_points_y=[3, 3, 5, 5]),
        via_region("rect", {"kind": "cat"}, x=2, y=2, width=8, height=6),
        via_region("point", {"kind": "cat"}, cx=3, cy=3),
        via_region("polyline", {"kind": "cat"}, all_points_x=[14, 15], all_points_y=[16, 14]),
        via_region("rect", {}, x=20, y=0, width=4, height=2),
    ]  # fmt: skip
    regions = {str(n): region for n, region in enumerate(regions)} if as_table else regions
    found = read_source("via", via(tmp_path, regions, wrap))
    assert found.classes == ["background", "cat", "dog"]
    mask, objects = drawn(found)["a"]
    wanted = np.full((20, 24), "background", object)
    wanted[:8, :8] = wanted[9:, 9:20] = wanted[:2, 20:] = "-"
    wanted[2:8, 2:10] = "cat"
    wanted[3:5, 3:5] = "dog"
    assert (mask == wanted).all()
    assert (objects.read, objects.drawn, objects.boxes) == (5, 2, 2) and found.objects == 5
    assert "shapes that have no area: 1 point, 1 polyline;" in found.notes[1]
    (told,) = objects.skipped
    assert told.endswith("rect 4 (None) has no class, or several: its pixels are void")


def test_via_circles_and_ellipses(tmp_path):
    """theta is in radians, clockwise."""
    turned = {"cx": 15, "cy": 12, "rx": 7, "ry": 3, "theta": 0.5}
    regions = [via_region("circle", {"kind": "cat"}, cx=5, cy=5, r=4),
               via_region("ellipse", {"kind": "dog"}, **turned)]  # fmt: skip
    mask, _ = drawn(read_source("via", via(tmp_path, regions)))["a"]
    for name, shape in (("cat", (5, 5, 4, 4)), ("dog", (15, 12, 7, 3, np.degrees(0.5)))):
        inside, outside = around(*shape)
        assert (mask[inside] == name).all() and not (mask[outside] == name).any()


def test_via_attributes(tmp_path):
    """Text or the one checked box; of several attributes one is asked for."""
    shape = {"x": 2, "y": 2, "width": 4, "height": 4}
    regions = [via_region("rect", {"kind": {"cat": True, "dog": False}, "age": "2"}, **shape)]
    via(tmp_path, regions)
    with pytest.raises(Refusal, match=r"several attributes: kind \(1 regions\), age"):
        read_source("via", tmp_path)
    assert read_source("via", tmp_path, "--attribute", "kind").classes == ["background", "cat"]
    with pytest.raises(Refusal, match=r"no region attribute 'knd'. Did you mean kind"):
        read_source("via", tmp_path, "--attribute", "knd")
    via(tmp_path, [via_region("rect", {}, **shape)])
    with pytest.raises(Refusal, match=r"no region has an attribute.*--object NAME"):
        read_source("via", tmp_path)
    assert read_source("via", tmp_path, "--object", "balloon").classes[1] == "balloon"


def test_via_3_is_named(tmp_path):
    text(tmp_path / "via.json", json.dumps({"project": {}, "metadata": {}, "file": {}}))
    with pytest.raises(Refusal, match=r"is of VIA 3"):
        read_source("via", tmp_path)
