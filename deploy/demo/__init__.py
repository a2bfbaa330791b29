"""`patchline demo`: a line learns from unfiltered frames, decides the rest, and reports figures and a contact sheet."""
