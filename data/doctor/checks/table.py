"""All checks of a dataset, in the order in which they are shown. Each is a file of its own."""

from data.doctor.checks import (
    absent_class,
    broken_image,
    broken_mask,
    class_missing_from_split,
    class_names,
    cmyk_image,
    colour_mask,
    constant_class,
    contradiction,
    duplicate,
    empty_mask,
    exif_orientation,
    grey_levels,
    ignored_file,
    image_format,
    image_without_mask,
    leak,
    left_and_right,
    mask_format,
    mask_name,
    mask_size,
    mask_without_image,
    missing_split,
    much_void,
    near_duplicate,
    near_leak,
    non_ascii_name,
    off_by_one,
    palette_indices,
    rare_class,
    rotated_mask,
    scaled_mask,
    shared_mask,
    similar_names,
    sixteen_bit_image,
    smoothed_mask,
    tiny_image,
    transparency,
    transposed_mask,
    undeclared_void,
    unknown_ids,
    unknown_values,
)
from data.doctor.checks.check import ERROR, Finding
from data.doctor.exam import Exam

CHECKS = (
    # the files
    class_names.CHECK,
    missing_split.CHECK,
    image_without_mask.CHECK,
    mask_name.CHECK,
    shared_mask.CHECK,
    mask_without_image.CHECK,
    ignored_file.CHECK,
    non_ascii_name.CHECK,
    similar_names.CHECK,
    # images
    broken_image.CHECK,
    image_format.CHECK,
    exif_orientation.CHECK,
    sixteen_bit_image.CHECK,
    cmyk_image.CHECK,
    transparency.CHECK,
    tiny_image.CHECK,
    # masks
    broken_mask.CHECK,
    rotated_mask.CHECK,
    scaled_mask.CHECK,
    transposed_mask.CHECK,
    mask_size.CHECK,
    mask_format.CHECK,
    colour_mask.CHECK,
    unknown_values.CHECK,
    palette_indices.CHECK,
    grey_levels.CHECK,
    off_by_one.CHECK,
    smoothed_mask.CHECK,
    unknown_ids.CHECK,
    empty_mask.CHECK,
    much_void.CHECK,
    # classes and splits
    constant_class.CHECK,
    undeclared_void.CHECK,
    left_and_right.CHECK,
    absent_class.CHECK,
    class_missing_from_split.CHECK,
    rare_class.CHECK,
    # duplicates
    leak.CHECK,
    near_leak.CHECK,
    contradiction.CHECK,
    duplicate.CHECK,
    near_duplicate.CHECK,
)


def findings(exam: Exam) -> list[Finding]:
    """The checks that found something: errors first, then in the order of the table."""
    found = []
    for check in CHECKS:
        files = list(check.find(exam))
        if files:
            found.append(
                Finding(check.name, check.rank, files, check.what.removesuffix("."), check.effect,
                        check.remedy, check.fixable)
            )  # fmt: skip
    return sorted(found, key=lambda finding: finding.rank != ERROR)
