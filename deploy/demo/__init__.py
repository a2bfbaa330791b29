"""`patchline demo`: a line learns from unfiltered frames, decides the rest, and shows what it made of them."""
