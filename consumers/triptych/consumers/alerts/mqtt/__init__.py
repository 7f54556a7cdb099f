"""Alerts over MQTT: messages, and sensors that Home Assistant discovers."""
