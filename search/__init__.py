"""The search platform around `licap.Trial`: spaces, studies, strategy, engine, tracking, insight."""
