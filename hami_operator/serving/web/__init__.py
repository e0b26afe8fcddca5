"""The page people look at, and the same data as JSON. Read-only; no assets from elsewhere, no build step."""
