"""What every service stands on: configuration, errors, identity, telemetry, a server and its peers."""
