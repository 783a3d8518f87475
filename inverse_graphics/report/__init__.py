"""Results that people look at: sheets, overlays, benchmarks."""
