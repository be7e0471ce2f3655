"""Counts the primes below LIMIT; each rank takes every size-th odd number."""
from mpi4py import MPI

LIMIT = 20_000


def is_prime(number: int) -> bool:
    divisor = 3
    while divisor * divisor <= number:
        if number % divisor == 0:
            return False
        divisor += 2
    return True


def main() -> None:
    comm = MPI.COMM_WORLD
    rank, size = comm.Get_rank(), comm.Get_size()
    mine = sum(is_prime(number) for number in range(3 + 2 * rank, LIMIT, 2 * size))

    counts = comm.gather(mine, root=0)
    total = 1 + comm.allreduce(mine, op=MPI.SUM)  # 1: the one even prime
    if rank == 0:
        for other, count in enumerate(counts):
            print(f"rank {other} of {size} found {count} primes")
        print(f"{total} primes below {LIMIT}", flush=True)


main()
