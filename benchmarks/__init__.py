"""Benchmarks: each answers one question by ratios within one run; absolute times differ from machine to machine."""
