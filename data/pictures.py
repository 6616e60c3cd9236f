"""The former name of data/images.py, kept for scripts of others for one more release."""

from data.images import read_image as read_picture

__all__ = ["read_picture"]
