/* The largest eigenvalue of the Hilbert matrix; its rows are spread over the ranks. */
#include "matrix.h"
#include "power.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    int rank, size, iterations;
    double eigenvalue;
    struct matrix matrix;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);

    const int order = argc > 1 ? atoi(argv[1]) : 0;
    if (order < 1) {
        if (rank == 0)
            fprintf(stderr, "usage: eigen ORDER, a number above 0\n");
        MPI_Finalize();
        return 2;
    }
    if (matrix_create(&matrix, order, MPI_COMM_WORLD) != 0 ||
        power_iteration(&matrix, 1e-12, 100, &eigenvalue, &iterations) != 0) {
        fprintf(stderr, "rank %d: not enough memory\n", rank);
        MPI_Abort(MPI_COMM_WORLD, 1);
        return 1;
    }

    if (rank == 0)
        printf("largest eigenvalue of order %d: %.10f, %d iterations on %d ranks\n", order,
               eigenvalue, iterations, size);
    matrix_free(&matrix);
    MPI_Finalize();
    return 0;
}
