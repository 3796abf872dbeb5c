"""The receiver of webhooks: who may speak, which events were named, and when the runners are told. What a body says is never believed."""
