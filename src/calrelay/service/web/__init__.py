"""The page: how things stand in a browser, the operator's decisions, and what monitors ask. It decides nothing the engine could."""
