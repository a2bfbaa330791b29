"""The console's addresses, by what they give: pages, pictures, events, actions, signing in."""
