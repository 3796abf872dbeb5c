"""A simulated TimeTap business."""
