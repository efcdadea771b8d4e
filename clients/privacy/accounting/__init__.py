"""Compute the ε that a history of training costs, and the noise that a budget needs.

Pure arithmetic over Google's accounting library; it imports settings and errors only.
"""
