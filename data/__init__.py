"""Datasets of images and masks: folder layout, decoding, augmentation, batches, import, checks."""
