"""Apptoto: its settings, wire models, client and mapping; its words stay in this folder."""
