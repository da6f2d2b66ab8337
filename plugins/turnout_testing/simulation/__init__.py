"""Traffic on an emulated fleet under the virtual clock: the same router, pool and plugins as in earnest."""
