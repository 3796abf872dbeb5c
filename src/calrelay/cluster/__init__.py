"""Workers that share the pipelines of a config, on one PostgreSQL: whose turn it is, and their queue. Passes are the engine's."""
