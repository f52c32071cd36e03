"""Benchmarks: each answers one question by ratios within one run; absolute times differ from machine to machine."""

# First of all: it says how torch's threads wait, which is read when torch is loaded.
import licap as licap
