"""What people are shown of a frame: heat maps, boxes, and the sheet that a run ends with."""
