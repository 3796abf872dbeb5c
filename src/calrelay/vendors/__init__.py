"""One folder per vendor: settings, wire, auth, client, mapping, and the port it fills. Vendors do not know each other."""
