"""A broker, the services and a camera on this machine, for a demo, a bench or `up --ephemeral`."""
