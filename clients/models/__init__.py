"""Models on disk: the model file, the store of models by hash, the moving average.

It may import ``clients.files`` and the settings and networks of ``clients``.
"""
