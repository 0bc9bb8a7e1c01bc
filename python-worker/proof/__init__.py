"""Programs that put claims to the test, run by hand; their records are under `bench/records`."""
