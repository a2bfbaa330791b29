"""What people are shown of frames: heat maps, boxes, and the sheets that commands end with. It draws values only."""
