"""A pool of ten thousand workers in virtual time: the scheduling code of real workers, a model of everything else."""
