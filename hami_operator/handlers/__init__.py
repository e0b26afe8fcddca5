"""Sensors: what Kopf (or the reflector) sees becomes values in inventory, ledger and queue. Nothing is written here."""
