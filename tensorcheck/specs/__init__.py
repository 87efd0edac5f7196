"""What a tensor has to be, as people write it: `batch 3 h w`, of a dtype, on a device, with or without a gradient."""
