"""Images and masks: the folder contract, decoding, augmentation, batches."""
