"""The use cases, without vendor names: sync, backfill, adopt, apply, and what the operator decides."""
