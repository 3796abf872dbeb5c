"""What a person types, and how answers look. Decisions are made below; nothing in here knows a vendor."""
