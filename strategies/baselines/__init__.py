"""Server sides of the baselines, on Flower's own strategies; nothing of the project is needed here.

Methods whose server side is Flower's FedAvg or FedProx as it stands have no file here.
"""
