"""Studies in virtual time: real decisions on recorded or modelled learning curves, without training."""
