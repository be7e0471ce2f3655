/* Many small Allreduces in a row: what a slow or broken network between the slaves shows first. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

enum { COUNT = 64 };

/* Adds one vector over all ranks, and returns the sum of the result's elements. */
static long round_sum(int rank, long round)
{
    long mine[COUNT], all[COUNT], sum = 0;

    for (int i = 0; i < COUNT; i++)
        mine[i] = (rank + 1) * round + i;
    MPI_Allreduce(mine, all, COUNT, MPI_LONG, MPI_SUM, MPI_COMM_WORLD);
    for (int i = 0; i < COUNT; i++)
        sum += all[i];
    return sum;
}

int main(int argc, char **argv)
{
    int rank, size;
    long checksum = 0;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);

    const long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 100;
    const double start = MPI_Wtime();
    for (long round = 0; round < rounds; round++)
        checksum += round_sum(rank, round);

    printf("rank %d of %d: %ld rounds, checksum %ld\n", rank, size, rounds, checksum);
    if (rank == 0)
        fprintf(stderr, "%ld Allreduces took %.3f s\n", rounds, MPI_Wtime() - start);
    MPI_Finalize();
    return 0;
}
