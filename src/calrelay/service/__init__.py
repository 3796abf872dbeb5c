"""The daemon: when passes run, how it starts, reloads and ends, and what it tells systemd. What a pass does is the engine's business."""
