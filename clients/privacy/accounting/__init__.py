"""How much privacy a mechanism costs, and which noise a budget asks for.

Pure arithmetic over Google's accounting library; it imports settings and errors only.
"""
