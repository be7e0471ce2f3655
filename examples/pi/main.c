/* Pi as the integral of 4 / (1 + x^2) over [0, 1]; the ranks share the intervals. */
#include "integrate.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

static double quarter_circle(double x)
{
    return 4.0 / (1.0 + x * x);
}

int main(int argc, char **argv)
{
    int rank, size;
    double part, pi;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);

    const long intervals = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
    if (intervals < 1) {
        if (rank == 0)
            fprintf(stderr, "usage: pi INTERVALS, a number above 0\n");
        MPI_Finalize();
        return 2;
    }

    part = integrate(quarter_circle, intervals, rank, size);
    MPI_Reduce(&part, &pi, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
    if (rank == 0)
        printf("pi = %.12f with %ld intervals on %d ranks\n", pi, intervals, size);
    MPI_Finalize();
    return 0;
}
