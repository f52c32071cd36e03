"""Runs a study: slots, the Ray actor around `licap.Trial`, and the driver that joins all rooms. The only room with Ray.

Empty on purpose: importing `search.engine.resources` must not load Ray.
"""
