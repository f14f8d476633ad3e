"""Networks built from schemes: residual blocks, the multistep network, network names."""

from robustbench_zs.networks.spec import NetworkSpec, network_from_name

__all__ = ["NetworkSpec", "network_from_name"]
