"""The search platform around `licap.Trial`: spaces, studies, strategy, engine, tracking, insight."""

# First of all: it says how torch's threads wait, which is read when torch is loaded.
import licap as licap
