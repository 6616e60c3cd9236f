"""One mask a class or an object: the forms, the overlaps, and what stops and asks."""

import numpy as np
import pytest
from PIL import Image
from sources import grey, photo, read_source

from cli import Refusal
from data.formats import Objects

EMPTY = np.zeros((20, 24), np.uint8)


def block(top, bottom, left, right, value=255):
    mask = EMPTY.copy()
    mask[top:bottom, left:right] = value
    return mask


def drawn(found) -> dict:
    """Stem to (mask of class names, account)."""
    names = np.array([*found.classes, "-"])
    made = {item.stem: item.mask() for item in found.items}
    return {stem: (names[one.mask], one.objects) for stem, one in made.items()}


def test_the_class_follows_the_name_and_the_smaller_mask_is_on_top(tmp_path):
    photo(tmp_path / "images/a.jpg", 0)
    grey(tmp_path / "masks/a_small.png", block(4, 6, 4, 6))
    grey(tmp_path / "masks/a_big one.png", block(2, 12, 2, 12, value=1))
    found = read_source("separate-masks", tmp_path)
    assert found.classes == ["background", "big one", "small"] and not found.broken
    mask, objects = drawn(found)["a"]
    wanted = np.full((20, 24), "background", object)
    wanted[2:12, 2:12] = "big one"
    wanted[4:6, 4:6] = "small"
    assert (mask == wanted).all()
    assert (objects.read, objects.drawn, objects.skipped) == (2, 2, ())


def test_order_names_the_class_on_top(tmp_path):
    photo(tmp_path / "images/a.jpg", 0)
    grey(tmp_path / "masks/a_small.png", block(4, 6, 4, 6))
    grey(tmp_path / "masks/a_big.png", block(2, 12, 2, 12))
    mask, _ = drawn(read_source("separate-masks", tmp_path, "--order", "small", "big"))["a"]
    assert (mask == "small").sum() == 0 and (mask == "big").sum() == 100
    with pytest.raises(Refusal, match=r"needed: all of big, small"):
        read_source("separate-masks", tmp_path, "--order", "big")


def test_celebamask_hq(tmp_path):
    """0.jpg and 00000_hair.png, below a folder that has mask in its name."""
    top = tmp_path / "CelebAMask-HQ"
    for number in (0, 1):
        photo(top / f"CelebA-HQ-img/{number}.jpg", number)
        for name in ("hair", "l_brow"):
            mask = block(2, 4, 2, 4 + number) if name == "hair" else block(6, 8, 2, 4)
            path = top / f"CelebAMask-HQ-mask-anno/0/0000{number}_{name}.png"
            grey(path, np.stack([mask] * 3, -1))  # RGB with equal channels, as in the set
    found = read_source("separate-masks", tmp_path)
    assert found.classes == ["background", "hair", "l_brow"] and not found.broken
    made = drawn(found)
    assert [(made[stem][0] == "hair").sum() for stem in "01"] == [4, 6]
    assert [(made[stem][0] == "l_brow").sum() for stem in "01"] == [4, 4]


def test_data_science_bowl(tmp_path):
    """A folder an image and a mask an object; masks of touching nuclei are merged."""
    for at, stem in enumerate(("id1", "id2")):
        photo(tmp_path / f"{stem}/images/{stem}.png", at)
        grey(tmp_path / f"{stem}/masks/{at}a.png", block(0, 3, 0, 4))
        grey(tmp_path / f"{stem}/masks/{at}b.png", block(3, 5, 0, 4))
    found = read_source("separate-masks", tmp_path, "--object", "nucleus")
    assert found.classes == ["background", "nucleus"] and len(found.items) == 2
    mask, objects = drawn(found)["id1"]
    assert (mask[:5, :4] == "nucleus").all() and (mask == "nucleus").sum() == 20
    assert objects.read == objects.drawn == 2
    assert read_source("separate-masks", tmp_path).classes == ["background", "object"]


def test_folders_of_an_image_with_the_same_names_ask(tmp_path):
    for at, stem in enumerate(("id1", "id2")):
        photo(tmp_path / f"{stem}/images/{stem}.png", at)
        grey(tmp_path / f"{stem}/masks/car.png", block(0, 3, 0, 4))
    with pytest.raises(Refusal, match=r"called car: add --object NAME .* or --names"):
        read_source("separate-masks", tmp_path)
    option = "(?P<image>[^/]+)/masks/(?P<cls>.*)"
    found = read_source("separate-masks", tmp_path, "--names", option)
    assert found.classes == ["background", "car"] and len(found.items) == 2


def test_folders_per_class(tmp_path):
    for at, stem in enumerate("ab"):
        photo(tmp_path / f"train/images/{stem}.jpg", at)
        grey(tmp_path / f"train/masks/cat/{stem}.png", block(0, 2, 0, 2))
        grey(tmp_path / f"train/masks/dog/{stem}.png", block(5, 7, 0, 3))
    found = read_source("separate-masks", tmp_path)
    assert found.classes == ["background", "cat", "dog"]
    assert {item.split for item in found.items} == {"train"}
    mask, _ = drawn(found)["b"]
    assert (mask == "cat").sum() == 4 and (mask == "dog").sum() == 6


def test_one_mask_an_image_asks(tmp_path):
    for at, stem in enumerate("ab"):
        photo(tmp_path / f"images/{stem}.jpg", at)
        grey(tmp_path / f"masks/city/{stem}.png", block(0, 2, 0, 2))
    with pytest.raises(Refusal, match=r"one mask an image.*import folder.*--object.*--names"):
        read_source("separate-masks", tmp_path)
    names = read_source(
        "separate-masks", tmp_path, "--names", "(?P<cls>[^/]+)/(?P<image>[^/]+)"
    ).classes
    assert names == ["background", "city"]


def test_folders_of_two_kinds_of_masks_ask(tmp_path):
    photo(tmp_path / "images/a.jpg", 0)
    for folder in ("masks", "masks_machine"):
        grey(tmp_path / f"{folder}/a.png", block(0, 2, 0, 2))
    with pytest.raises(Refusal, match=r"is masks, the folder of .*, a class"):
        read_source("separate-masks", tmp_path)


def test_numbers_of_objects_ask(tmp_path):
    photo(tmp_path / "images/a.jpg", 0)
    for number in (0, 1):
        grey(tmp_path / f"masks/a_cat_{number}.png", block(5 * number, 5 * number + 2, 0, 2))
    with pytest.raises(
        Refusal, match=r"is cat_0 a class, or does it end in the number of an object"
    ):
        read_source("separate-masks", tmp_path)
    option = r"(?P<image>[^/]+)_(?P<cls>[a-z]+)_\d+"
    found = read_source("separate-masks", tmp_path, "--names", option)
    assert found.classes == ["background", "cat"]
    mask, objects = drawn(found)["a"]
    assert (mask == "cat").sum() == 8 and objects.drawn == 2


def test_of_two_images_the_one_whose_class_is_known_fits(tmp_path):
    for at, stem in enumerate(("a", "a_b")):
        photo(tmp_path / f"images/{stem}.jpg", at)
        grey(tmp_path / f"masks/{stem}_car.png", block(0, 2, 0, 2 + at))
    made = drawn(read_source("separate-masks", tmp_path))
    assert [(made[stem][0] == "car").sum() for stem in ("a", "a_b")] == [4, 6]
    (tmp_path / "masks/a_car.png").unlink()
    with pytest.raises(Refusal, match=r"may belong to a or a_b: add --names"):
        read_source("separate-masks", tmp_path)


def test_label_studio_s_png_export_is_sent_to_its_json(tmp_path):
    photo(tmp_path / "images/cat.jpg", 0)
    grey(tmp_path / "masks/task-1-annotation-1-by-1-tag-cat-0.png", block(0, 2, 0, 2))
    with pytest.raises(Refusal, match=r"does not name its image: export JSON"):
        read_source("separate-masks", tmp_path)


def test_soft_edges_need_a_threshold(tmp_path):
    photo(tmp_path / "images/a.jpg", 0)
    mask = block(0, 2, 0, 2)
    mask[0, 2], mask[1, 2] = 100, 200
    grey(tmp_path / "masks/a_cat.png", mask)
    with pytest.raises(Refusal, match=r"values 100, 200, 255 besides 0.*--threshold 128"):
        read_source("separate-masks", tmp_path).items[0].mask()
    found = read_source("separate-masks", tmp_path, "--threshold", "128")
    assert (drawn(found)["a"][0] == "cat").sum() == 5


def test_images_without_masks_are_told_and_may_be_background(tmp_path):
    for at, stem in enumerate("ab"):
        photo(tmp_path / f"images/{stem}.jpg", at)
    grey(tmp_path / "masks/a_cat.png", block(0, 2, 0, 2))
    grey(tmp_path / "masks/a_dog.png", EMPTY)
    found = read_source("separate-masks", tmp_path)
    assert len(found.items) == 1 and "b.jpg has no mask: add --background" in found.broken[0]
    found = read_source("separate-masks", tmp_path, "--background")
    made = drawn(found)
    assert (made["b"][0] == "background").all() and made["b"][1].read == 0
    assert made["a"][1] == Objects(read=2, drawn=1, empty=1)


def test_masks_of_two_sizes_and_without_image(tmp_path):
    photo(tmp_path / "images/a.jpg", 0)
    grey(tmp_path / "masks/a_cat.png", block(0, 2, 0, 2))
    grey(tmp_path / "masks/a_dog.png", np.full((4, 4), 255, np.uint8))
    grey(tmp_path / "masks/z_dog.png", block(0, 2, 0, 2))
    found = read_source("separate-masks", tmp_path)
    assert any("z_dog.png has no image" in line for line in found.broken)
    with pytest.raises(Refusal, match=r"a_dog.png is 4x4 .*another mask .* 20x24"):
        found.items[0].mask()


@pytest.mark.parametrize("options", [(), ("--threshold", "1")])
def test_a_palette_that_shows_the_object_darker_is_refused(tmp_path, options):
    """Stored are 0 and 1, shown are white and black: either may be the object."""
    photo(tmp_path / "images/a.jpg", 0)
    image = Image.fromarray(block(4, 6, 4, 6, value=1), "P")
    image.putpalette([255, 255, 255, 0, 0, 0])
    (tmp_path / "masks").mkdir()
    image.save(tmp_path / "masks/a_cat.png")
    found = read_source("separate-masks", tmp_path, *options)
    with pytest.raises(Refusal, match=r"a_cat.png shows greater values darker: save it as grey"):
        found.items[0].mask()
    image.putpalette([0, 0, 0, 255, 0, 0])  # red on black
    image.save(tmp_path / "masks/a_cat.png")
    mask, _ = drawn(read_source("separate-masks", tmp_path, *options))["a"]
    assert (mask[4:6, 4:6] == "cat").all() and (mask == "cat").sum() == 4
