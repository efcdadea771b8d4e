"""What is learnt: classification, segmentation, restoration; a file each, and their settings."""
