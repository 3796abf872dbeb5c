"""What stands in config.toml: its models, secrets, example, schema and reference. Imports no vendor; vendors bring their part."""
