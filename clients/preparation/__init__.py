"""From an image, as it was read, to what a network sees: geometry, intensity, size, augmentation.

May import ``clients.imaging``, ``clients.tasks``, and ``strategies``; the settings need no torch.
"""
