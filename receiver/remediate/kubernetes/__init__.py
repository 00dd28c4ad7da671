"""Writing to Kubernetes: scale, rollout restart and rollout undo of Deployments."""
