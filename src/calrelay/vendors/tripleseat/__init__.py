"""Tripleseat as a source: events of venues, read through its REST API v1 with OAuth 2.0."""
