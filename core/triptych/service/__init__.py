"""Support for programs that run as a service: logs, signals, health checks, status endpoints, command-line options."""
