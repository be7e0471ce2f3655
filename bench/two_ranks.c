/* What two ranks see of each other: microseconds for 8 bytes one way, GB/s at 4 MiB, microseconds for
 * an Allreduce of 1 MiB. Each is the best of many short blocks, so that a busy machine matters little. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL = 8, LARGE = 4 << 20, SUM = (1 << 20) / sizeof(float) };

static char *buffer;
static float *terms, *sums;
static int rank;

static void bounce(int size)
{
    if (rank == 0) {
        MPI_Send(buffer, size, MPI_CHAR, 1, 0, MPI_COMM_WORLD);
        MPI_Recv(buffer, size, MPI_CHAR, 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    } else {
        MPI_Recv(buffer, size, MPI_CHAR, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        MPI_Send(buffer, size, MPI_CHAR, 0, 0, MPI_COMM_WORLD);
    }
}

static void reduce(int count)
{
    MPI_Allreduce(terms, sums, count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}

/* Seconds a call, of the best of `blocks` times `calls`. */
static double best(void (*call)(int), int size, int blocks, int calls)
{
    double least = 1e9;

    for (int block = -1; block < blocks; block++) {
        MPI_Barrier(MPI_COMM_WORLD);
        double begun = MPI_Wtime();
        for (int i = 0; i < calls; i++)
            call(size);
        double each = (MPI_Wtime() - begun) / calls;
        if (block >= 0 && each < least)
            least = each;
    }
    return least;
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    buffer = malloc(LARGE);
    terms = malloc(SUM * sizeof *terms);
    sums = malloc(SUM * sizeof *sums);
    memset(buffer, 1, LARGE);
    for (int i = 0; i < SUM; i++)
        terms[i] = 1;

    double latency = best(bounce, SMALL, 200, 100) / 2;
    double large = best(bounce, LARGE, 60, 4) / 2;
    double sum = best(reduce, SUM, 60, 4);
    if (rank == 0)
        printf("result %.3f %.3f %.1f\n", latency * 1e6, LARGE / large / 1e9, sum * 1e6);
    MPI_Finalize();
    return 0;
}
