"""Each protocol beside the tools that its users would take."""
