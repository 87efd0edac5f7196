"""An accelerator that is not there: its rules over tensors that live and compute on the CPU."""
