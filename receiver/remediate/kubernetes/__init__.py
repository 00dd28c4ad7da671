"""Writing to Kubernetes: scale, restart and undo of workloads, the eviction of one pod, the cordon of one node."""
